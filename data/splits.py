"""Splitting items into train, validation and golden parts that share no creator, cluster or other group."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from data.annotations import read_annotations
from data.errors import InputError
from data.files import atomic_folder, sha256_of_file, write_json
from data.golden import GoldenDescription, freeze_golden, keep_looks
from data.items import read_items, write_items
from data.labels import derive_labels
from data.policy import Policy, load_policies
from data.summary import Summary
from data.tables import write_parquet

PARTS = ("train", "validation", "golden")


@dataclass(frozen=True)
class Fractions:
    """Shares of the groups, each above 0, together 1."""

    train: float
    validation: float
    golden: float


def linked_groups(items: pl.DataFrame, group_by: list[str]) -> pl.Series:
    """Number the connected parts of the items: two that share a value of any column are in one part.

    Args:
        items: N items.
        group_by: columns; a null links nothing.

    Returns:
        Int32 series `group` [N], numbered by first appearance.
    """
    count = len(items)
    item_ends, value_ends, offset = [], [], count
    for column in group_by:
        codes = items[column].cast(pl.String).cast(pl.Categorical).to_physical()
        known = np.flatnonzero(codes.is_not_null().to_numpy())
        item_ends.append(known)
        value_ends.append(codes.drop_nulls().to_numpy().astype(np.int64) + offset)
        offset = int(value_ends[-1].max(initial=offset - 1)) + 1
    rows, columns = np.concatenate(item_ends), np.concatenate(value_ends)
    graph = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(offset, offset))
    parts = connected_components(graph, directed=False)[1][:count]
    return pl.Series("group", parts, dtype=pl.Int32)


def assign_parts(items: pl.DataFrame, group_by: list[str], fractions: Fractions, seed: int) -> pl.DataFrame:
    """Give every item a part, whole groups at a time, by a hash of the seed and the group's first item_id.

    Each group falls into a part with that part's fraction as its probability, whatever its labels or scores; an
    item keeps its part when further items come, unless one of them links two groups. The golden part keeps one
    item a cluster, the one of lowest hash; its near-duplicates are left out of every part.

    Returns:
        The items with `part` (train, validation, golden, or null for a golden item's near-duplicates).
    """
    leader = pl.col("item_id").min().over("group")
    placed = items.with_columns(linked_groups(items, group_by)).with_columns(
        __place=leader.map_elements(lambda name: _uniform(f"{seed}:{name}"), return_dtype=pl.Float64),
        __order=pl.col("item_id").map_elements(lambda name: _uniform(f"{seed}/{name}"), return_dtype=pl.Float64),
        __cluster=pl.coalesce("cluster_id", pl.concat_str(pl.lit("item "), "item_id")),
    )
    first_of_cluster = pl.col("__order") == pl.col("__order").min().over("__cluster")
    part = (
        pl.when(pl.col("__place") < fractions.train)
        .then(pl.lit("train"))
        .when(pl.col("__place") < fractions.train + fractions.validation)
        .then(pl.lit("validation"))
        .when(first_of_cluster)
        .then(pl.lit("golden"))
    )
    return placed.with_columns(part=part).drop("group", "__place", "__order", "__cluster")


def split(
    *,
    items: Path,
    annotations: Path,
    policies: Path,
    out: Path,
    group_by: list[str],
    fractions: Fractions,
    seed: int,
    golden_name: str,
    golden_version: str,
) -> Summary:
    """Split items and annotations into train, validation and a frozen golden set.

    Writes `out/{train,validation}/{items,annotations}.parquet`, `out/golden/NAME/VERSION/` and `out/split.json`.

    Raises:
        InputError: for wrong input, and when a part would hold no known label of a policy.
    """
    _check_fractions(fractions)
    all_policies = load_policies(policies)
    all_items = read_items(items)
    all_annotations = read_annotations(annotations, all_items, all_policies)
    missing = [column for column in group_by if column not in all_items.columns]
    if missing or not group_by:
        raise InputError(f"group_by={group_by}: {items} has no such column; found {', '.join(all_items.columns)}")
    assigned = assign_parts(all_items, group_by, fractions, seed)
    frames = {part: assigned.filter(pl.col("part") == part).drop("part") for part in PARTS}
    _check_parts(frames, all_annotations, all_policies)

    description = GoldenDescription(
        name=golden_name,
        version=golden_version,
        design="simple_random",
        population=f"one post a near-duplicate cluster of {items.name}, drawn by {' and '.join(group_by)}",
    )
    with atomic_folder(out) as folder:
        for part in ("train", "validation"):
            # atomic_folder moves the folder, so media paths are written for the final place
            _write_part(frames[part], all_annotations, folder / part)
        golden_items = frames["golden"].with_columns(inclusion_prob=pl.lit(fractions.golden))
        freeze_golden(
            folder / "golden" / golden_name / golden_version,
            golden_items,
            _of_items(all_annotations, golden_items),
            all_policies,
            description,
        )
        golden_place = Path("golden") / golden_name / golden_version
        keep_looks(out / golden_place, folder / golden_place)
        record = {
            "schema": "setpoint/split/v1",
            "seed": seed,
            "group_by": group_by,
            "fractions": {part: getattr(fractions, part) for part in PARTS},
            "counts": {part: len(frame) for part, frame in frames.items()},
            "near_duplicates_left_out": int(assigned["part"].null_count()),
            "items_sha256": sha256_of_file(items),
            "annotations_sha256": sha256_of_file(annotations),
        }
        write_json(folder / "split.json", record)
    return Summary(
        f"split: {len(all_items)} items into "
        + ", ".join(f"{len(frame)} {part}" for part, frame in frames.items())
        + f"; {record['near_duplicates_left_out']} near-duplicates of golden items left out",
        [out / part for part in ("train", "validation")] + [out / "golden" / golden_name / golden_version],
        _label_table(frames, all_annotations, all_policies),
    )


def _check_fractions(fractions: Fractions) -> None:
    values = [getattr(fractions, part) for part in PARTS]
    if min(values) <= 0 or abs(sum(values) - 1) > 1e-9:
        shown = ", ".join(f"{part}={value}" for part, value in zip(PARTS, values, strict=True))
        raise InputError(f"fractions: expected three shares above 0 that add up to 1; found {shown}")


def _check_parts(frames: dict[str, pl.DataFrame], annotations: pl.DataFrame, policies: list[Policy]) -> None:
    for part, frame in frames.items():
        known = derive_labels(_of_items(annotations, frame), policies).drop_nulls("label")["policy_id"].to_list()
        without = [policy.policy_id for policy in policies if policy.policy_id not in known]
        if without:
            raise InputError(
                f"the {part} part would hold {len(frame)} items and no known label of {', '.join(without)}; "
                "try another seed, a larger share, or fewer group_by columns; leave out a policy that nobody labelled"
            )


def _of_items(annotations: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    return annotations.filter(pl.col("item_id").is_in(items["item_id"].to_list()))


def _write_part(items: pl.DataFrame, annotations: pl.DataFrame, folder: Path) -> None:
    folder.mkdir(parents=True)
    write_items(items, folder / "items.parquet")
    write_parquet(_of_items(annotations, items), folder / "annotations.parquet")


def _label_table(frames: dict[str, pl.DataFrame], annotations: pl.DataFrame, policies: list[Policy]) -> list[str]:
    lines, cautions = [], []
    for policy in policies:
        counts = []
        for part, frame in frames.items():
            labels = derive_labels(_of_items(annotations, frame), [policy])["label"].drop_nulls()
            counts.append(f"{part} {int(labels.sum())} of {len(labels)}")
            if part == "train" and labels.n_unique() < 2:
                lacking = "not violating" if labels.any() else "violating"
                cautions.append(
                    f"caution: {policy.policy_id}: train has no label that is {lacking}, and `train` will refuse it; "
                    "split by another seed, label more, or leave the policy out"
                )
        lines.append(f"{policy.policy_id}: violating of labelled: " + ", ".join(counts))
    return lines + cautions


def _uniform(text: str) -> float:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
