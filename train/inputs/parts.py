"""The parts of a split as training reads them, and the check that none of them leaks into another.

Shapes: N items, P policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data.annotations import read_annotations
from data.errors import InputError
from data.files import existing_folder, read_json, sha256_of_file
from data.golden import load_golden
from data.items import read_items
from data.labels import derive_labels, label_matrix
from data.policy import Policy

NEVER_SHARED = ("item_id", "creator_id", "cluster_id")


@dataclass(frozen=True)
class Part:
    """Items of one part with their labels.

    Attributes:
        items: N items.
        labels: float32 [N, P], NaN where unknown.
        p_violating: float32 [N, P], the share of annotators who found a violation; NaN where nobody knows.
        digests: SHA-256 of its files.
    """

    items: pl.DataFrame
    labels: npt.NDArray[np.float32]
    p_violating: npt.NDArray[np.float32]
    digests: dict[str, str]

    def without(self, item_ids: set[str]) -> "Part":
        """The part less some items."""
        kept = ~self.items["item_id"].is_in(list(item_ids))
        rows = kept.to_numpy()
        return Part(self.items.filter(kept), self.labels[rows], self.p_violating[rows], self.digests)


@dataclass(frozen=True)
class Split:
    """What a run trains on and validates with; the golden sets were looked at for leaks alone."""

    train: Part
    validation: Part
    golden_digests: dict[str, str]
    media_digests: dict[str, str] = field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, Part]:
        """The parts that training reads."""
        return {"train": self.train, "validation": self.validation}

    @property
    def num_items(self) -> int:
        """Of both parts."""
        return len(self.train.items) + len(self.validation.items)

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of everything that was read, by name."""
        return {
            **{f"train/{name}": digest for name, digest in self.train.digests.items()},
            **{f"validation/{name}": digest for name, digest in self.validation.digests.items()},
            **self.golden_digests,
            **self.media_digests,
        }


def read_split(folder: Path, policies: Sequence[Policy]) -> Split:
    """Read a split folder and check it.

    Raises:
        InputError: a file is missing or wrong, two parts share an item, a creator, a cluster or another group that
            the split was made by, or a policy has no violating or no harmless label to learn from.
    """
    folder = existing_folder(folder)
    train = _read_part(folder / "train", policies)
    validation = _read_part(folder / "validation", policies)
    golden = {
        f"golden/{file.parent.parent.name}/{file.parent.name}": load_golden(file.parent)
        for file in sorted(folder.glob("golden/*/*/golden.yaml"))
    }
    frames = {"train": train.items, "validation": validation.items}
    frames.update({name: one.items for name, one in golden.items()})
    check_leaks(frames, columns=_never_shared(folder))
    for column, policy in enumerate(policies):
        known = train.labels[:, column][~np.isnan(train.labels[:, column])]
        if len(np.unique(known)) < 2:
            raise InputError(
                f"policy {policy.policy_id}: the train part holds {len(known)} labels, {int(known.sum())} of them "
                "violating; expected some that violate and some that do not"
            )
    return Split(train, validation, {name: one.digest for name, one in golden.items()})


def check_leaks(frames: dict[str, pl.DataFrame], *, columns: Sequence[str] = NEVER_SHARED) -> None:
    """Fail when two parts share a value of any of the columns; two golden sets may share what they like.

    Raises:
        InputError: naming parts, column, values and what to do.
    """
    for (first, left), (second, right) in combinations(frames.items(), 2):
        if first.startswith("golden/") and second.startswith("golden/"):
            continue
        for column in columns:
            if column not in left.columns or column not in right.columns:
                continue
            shared = sorted(set(left[column].drop_nulls()) & set(right[column].drop_nulls()))
            if shared:
                raise InputError(
                    f"{first} and {second} share {len(shared)} values of {column}, e.g. {shared[0]!r}: what is "
                    "learned would be tested on itself. Split again with `setpoint split`, grouped by this column"
                )


def _never_shared(folder: Path) -> list[str]:
    """The columns that the split was made by, and those that no split may share."""
    grouped: list[str] = []
    if (folder / "split.json").is_file():
        grouped = list(read_json(folder / "split.json").get("group_by", []))
    return list(dict.fromkeys([*NEVER_SHARED, *grouped]))


def _read_part(folder: Path, policies: Sequence[Policy]) -> Part:
    items = read_items(folder / "items.parquet")
    annotations = read_annotations(folder / "annotations.parquet", items, list(policies))
    derived = derive_labels(annotations, list(policies))
    item_ids, policy_ids = items["item_id"].to_list(), [policy.policy_id for policy in policies]
    shares = derived.select("item_id", "policy_id", label="p_violating")
    digests = {name: sha256_of_file(folder / f"{name}.parquet") for name in ("items", "annotations")}
    return Part(
        items, label_matrix(item_ids, derived, policy_ids), label_matrix(item_ids, shares, policy_ids), digests
    )
