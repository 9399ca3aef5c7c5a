"""A data set like the given one, with rare violations and most labels unknown, to try methods on.

    python -m scripts.make_imbalanced --out FOLDER [--one-in 200] [--unknown 0.7] [--seed 0]
        [--items FILE --annotations FILE --policies FOLDER]

Writes items.parquet, whose media are the given files, and annotations.parquet, all annotations of the labels that
are kept. The same input and seed give the same bytes. By default it reads moderation-mini.
"""

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from data.policy import Policy

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "moderation-mini"


def keep_few_labels(
    items: "pl.DataFrame",
    annotations: "pl.DataFrame",
    policies: "list[Policy]",
    *,
    one_in: int,
    unknown: float,
    seed: int,
) -> "pl.DataFrame":
    """The annotations of the labels that are kept.

    Of each policy 1 - `unknown` of all items keep their label, one in `one_in` of them violating, at least one;
    fewer where there are too few harmless ones. Which ones hangs on seed, policy and item alone.

    Args:
        items: as `data.items.read_items` returns them.
        annotations: as `data.annotations.read_annotations` returns them.
        policies: all others lose their labels.
        one_in: labels for one violating one.
        unknown: share of item x policy without a label, at least.
        seed: of the choice.

    Raises:
        InputError: a policy has no violating or no harmless label.
    """
    import polars as pl

    from data.errors import InputError
    from data.labels import derive_labels

    labels = derive_labels(annotations, policies).drop_nulls("label")
    kept = []
    for policy in policies:
        of_policy = labels.filter(pl.col("policy_id") == policy.policy_id)
        sides = [of_policy.filter(pl.col("label") == violating) for violating in (True, False)]
        if any(side.is_empty() for side in sides):
            raise InputError(f"policy {policy.policy_id}: expected violating and harmless labels to choose from")
        num_labels = min(round((1 - unknown) * len(items)), len(sides[1]) * one_in // (one_in - 1))
        num_violating = max(1, round(num_labels / one_in))
        for side, count in zip(sides, (num_violating, num_labels - num_violating), strict=True):
            places = [_place(f"{seed}:{policy.policy_id}:{item_id}") for item_id in side["item_id"]]
            placed = side.with_columns(place=pl.Series(places, dtype=pl.UInt64))
            kept.append(placed.sort("place", "item_id").head(count).select("item_id", "policy_id"))
    return annotations.join(pl.concat(kept), on=["item_id", "policy_id"], how="semi", maintain_order="left")


def _place(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def write_imbalanced(
    items: Path,
    annotations: Path,
    policies: Path,
    out: Path,
    *,
    one_in: int = 200,
    unknown: float = 0.7,
    seed: int = 0,
) -> list[str]:
    """Read a data set and write the imbalanced one.

    Returns:
        A line a policy: how many labels are left, how many of them violating.
    """
    import polars as pl

    from data.annotations import read_annotations
    from data.items import read_items, write_items
    from data.labels import derive_labels
    from data.policy import load_policies
    from data.tables import write_parquet

    all_policies = load_policies(policies)
    all_items = read_items(items)
    given = read_annotations(annotations, all_items, all_policies)
    kept = keep_few_labels(all_items, given, all_policies, one_in=one_in, unknown=unknown, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    write_items(all_items, out / "items.parquet")
    write_parquet(kept, out / "annotations.parquet")
    labels = derive_labels(kept, all_policies)
    lines = []
    for policy in all_policies:
        left = labels.filter(pl.col("policy_id") == policy.policy_id)["label"]
        lines.append(f"{policy.policy_id}: {int(left.sum())} violating of {len(left)} labels, {len(all_items)} items")
    return lines


def main() -> int:
    """Write the data set and print what is left.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, default=DATA / "items.parquet")
    parser.add_argument("--annotations", type=Path, default=DATA / "annotations.parquet")
    parser.add_argument("--policies", type=Path, default=DATA / "policies")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--one-in", type=int, default=200)
    parser.add_argument("--unknown", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.one_in < 2 or not 0 <= arguments.unknown < 1:
        parser.error("expected --one-in of 2 or more and --unknown from 0 to below 1")
    print("\n".join(write_imbalanced(**vars(arguments))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
