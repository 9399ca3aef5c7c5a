import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import InputError
from data.golden import GoldenDescription, freeze_golden
from data.items import read_items
from data.policy import load_policies
from train.inputs.parts import check_leaks, read_split


@pytest.fixture
def split(split_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(split_folder, tmp_path / "split")
    return tmp_path / "split"


def change(path: Path, **columns: pl.Expr) -> None:
    pl.read_parquet(path).with_columns(**columns).write_parquet(path)


def test_a_clean_split_is_read(split: Path) -> None:
    parts = read_split(split, load_policies(split / "policies"))
    assert parts.train.labels.shape == (32, 3)
    assert int(parts.train.labels[0].sum()) == 3
    assert set(parts.digests) == {
        f"{part}/{name}" for part in ("train", "validation") for name in ("items", "annotations")
    }


def test_a_tie_is_no_label_and_yet_half_a_violation(split: Path) -> None:
    path = split / "train" / "annotations.parquet"
    votes = pl.read_parquet(path)
    other = votes.head(1).with_columns(annotator_id=pl.lit("b"), value=pl.lit("not_violating"))
    pl.concat([votes, other]).write_parquet(path)
    part = read_split(split, load_policies(split / "policies")).train
    [row] = part.items.with_row_index().filter(pl.col("item_id") == other["item_id"][0])["index"]
    assert np.isnan(part.labels[row]).tolist() == [False, True, False]
    assert part.p_violating[row].tolist() == [1.0, 0.5, 1.0]
    assert part.without({part.items["item_id"][0]}).p_violating.shape == (31, 3)


@pytest.mark.parametrize("column", ["item_id", "creator_id", "cluster_id"])
def test_a_value_in_two_parts_is_a_leak(split: Path, column: str) -> None:
    train = pl.read_parquet(split / "train" / "items.parquet")
    first = pl.int_range(pl.len()) == 0
    change(
        split / "validation" / "items.parquet",
        **{column: pl.when(first).then(pl.lit(train[column][3])).otherwise(column)},
    )
    if column == "item_id":
        old = "validation00"
        change(
            split / "validation" / "annotations.parquet",
            item_id=pl.col("item_id").replace(old, train[column][3]),
        )
    with pytest.raises(InputError, match=f"train and validation share 1 values of {column}"):
        read_split(split, load_policies(split / "policies"))


def test_a_golden_set_is_looked_at(split: Path) -> None:
    policies = load_policies(split / "policies")
    items = read_items(split / "validation" / "items.parquet").with_columns(
        item_id="golden " + pl.col("item_id"), inclusion_prob=pl.lit(0.5)
    )
    description = GoldenDescription(name="g", version="1", design="simple_random", population="p")
    annotations = pl.read_parquet(split / "validation" / "annotations.parquet").with_columns(
        item_id="golden " + pl.col("item_id")
    )
    freeze_golden(split / "golden" / "g" / "1", items, annotations, policies, description)
    with pytest.raises(InputError, match="validation and golden/g/1 share"):
        read_split(split, policies)


def test_unknown_creators_link_nothing() -> None:
    frame = pl.DataFrame({"item_id": ["a"], "creator_id": [None], "cluster_id": [None]})
    check_leaks({"train": frame, "validation": frame.with_columns(item_id=pl.lit("b"))})


def test_a_policy_needs_both_labels(split: Path) -> None:
    change(split / "train" / "annotations.parquet", value=pl.lit("not_violating"))
    with pytest.raises(InputError, match="policy both: the train part holds 28 labels, 0 of them violating"):
        read_split(split, load_policies(split / "policies"))
