"""The imbalanced variant of the real posts, and that every loss trains on it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.annotations import read_annotations
from data.errors import InputError
from data.files import sha256_of_file
from data.items import read_items
from data.labels import derive_labels, label_matrix
from data.policy import load_policies
from scripts.make_imbalanced import keep_few_labels, main


@pytest.fixture
def variant(moderation_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "argv", ["make_imbalanced", "--out", str(tmp_path / "variant")])
    assert main() == 0
    return tmp_path / "variant"


def test_one_label_in_200_violates_and_most_are_unknown(variant: Path, moderation_mini: Path) -> None:
    policies = load_policies(moderation_mini / "policies")
    items = read_items(variant / "items.parquet")
    kept = read_annotations(variant / "annotations.parquet", items, policies)
    given = read_annotations(moderation_mini / "annotations.parquet", items, policies)
    item_ids, policy_ids = items["item_id"].to_list(), [policy.policy_id for policy in policies]
    labels, before = (label_matrix(item_ids, derive_labels(one, policies), policy_ids) for one in (kept, given))
    known = ~np.isnan(labels)
    assert np.array_equal(labels[known], before[known])
    assert 0.7 <= 1 - known.mean() < 0.72
    for rate in np.nansum(labels, axis=0) / known.sum(0):
        assert 1 / 230 < rate < 1 / 170  # four of some 800
    # All votes of a label that is kept are there, and the media are those of the original.
    assert derive_labels(kept, policies).equals(
        derive_labels(given, policies).join(kept, on=["item_id", "policy_id"], how="semi", maintain_order="left")
    )
    assert all(Path(name).is_file() for name in items["media"].explode())
    assert {path.name for path in variant.iterdir()} == {"items.parquet", "annotations.parquet"}


def test_a_seed_gives_the_same_bytes(variant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for name, seed in (("again", 0), ("other", 1)):
        monkeypatch.setattr(sys, "argv", ["make_imbalanced", "--out", str(tmp_path / name), "--seed", str(seed)])
        main()
        found[name] = sha256_of_file(tmp_path / name / "annotations.parquet")
    assert found["again"] == sha256_of_file(variant / "annotations.parquet") != found["other"]


def test_a_choice_does_not_hang_on_the_order_of_rows(variant: Path, moderation_mini: Path) -> None:
    policies = load_policies(moderation_mini / "policies")
    items = read_items(moderation_mini / "items.parquet")
    given = read_annotations(moderation_mini / "annotations.parquet", items, policies)
    settings: dict[str, Any] = {"one_in": 200, "unknown": 0.7, "seed": 0}
    reverse = keep_few_labels(items.reverse(), given.reverse(), policies, **settings).reverse()
    assert reverse.equals(pl.read_parquet(variant / "annotations.parquet").select(reverse.columns))
    harmless = given.filter(pl.col("value") == "not_violating")
    with pytest.raises(InputError, match="expected violating and harmless labels"):
        keep_few_labels(items, harmless, policies, **settings)
