from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.errors import InputError
from data.freezing import golden
from data.golden import LOOKS, load_golden
from data.items import read_items
from data.splits import Fractions, assign_parts, linked_groups, split
from data.summary import Summary


def run_split(items: Path, annotations: Path, policies: Path, out: Path, **changes: Any) -> Summary:
    settings: dict[str, Any] = {
        "group_by": ["creator_id", "cluster_id"],
        "fractions": Fractions(0.5, 0.2, 0.3),
        "seed": 1,
        "golden_name": "g",
        "golden_version": "1",
    }
    return split(items=items, annotations=annotations, policies=policies, out=out, **{**settings, **changes})


def freeze(items: Path, annotations: Path, policies: Path, out: Path, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "name": "g",
        "version": "1",
        "design": "simple_random",
        "population": "posts of May",
        "population_size": None,
        "expires_at": None,
    }
    golden(items=items, annotations=annotations, policies=policies, out=out, **{**settings, **changes})


def test_items_that_share_any_value_are_linked_and_nulls_link_nothing() -> None:
    items = pl.DataFrame({"a": ["x", "x", "y", None, None], "b": ["1", "2", "2", "3", None]})
    assert linked_groups(items, ["a", "b"]).to_list() == [0, 0, 0, 1, 2]


def test_parts_share_no_group_on_real_posts(moderation_mini: Path) -> None:
    columns = ["creator_id", "cluster_id", "caption_group"]
    items = read_items(moderation_mini / "items.parquet")
    assigned = assign_parts(items, columns, Fractions(0.5, 0.15, 0.35), seed=0)
    for column in columns:
        parts = assigned.drop_nulls([column, "part"]).group_by(column).agg(pl.col("part").n_unique())
        assert parts["part"].max() == 1, column
    kept = assigned.filter(pl.col("part") == "golden")
    assert kept["cluster_id"].is_unique().all()
    left_out = assigned.filter(pl.col("part").is_null())
    assert set(left_out["cluster_id"]) <= set(kept["cluster_id"])


def test_an_item_keeps_its_part_when_unlinked_items_come() -> None:
    items = pl.DataFrame({"item_id": [f"i{n}" for n in range(300)], "cluster_id": [f"k{n}" for n in range(300)]})
    fractions = Fractions(0.5, 0.2, 0.3)
    first = assign_parts(items.head(200), ["cluster_id"], fractions, seed=1)
    later = assign_parts(items, ["cluster_id"], fractions, seed=1).head(200)
    assert first["part"].to_list() == later["part"].to_list()
    shares = first["part"].value_counts(normalize=True)
    assert dict(shares.iter_rows())["train"] == pytest.approx(0.5, abs=0.12)  # 3.4 standard errors


def test_split_freezes_a_golden_set_and_repeats_byte_for_byte(
    tmp_path: Path, items_file: Path, annotations_file: Path, policy_folder: Path
) -> None:
    for name in ("one", "two"):
        run_split(items_file, annotations_file, policy_folder, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 8
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    frozen = load_golden(tmp_path / "one/golden/g/1")
    assert frozen.items["inclusion_prob"].unique().to_list() == [0.3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fractions": Fractions(0.5, 0.5, 0.5)}, "add up to 1"),
        ({"fractions": Fractions(0.5, 0.5, 0.0)}, "above 0"),
        ({"group_by": ["camera"]}, "no such column"),
        ({"group_by": []}, "group_by"),
        ({"fractions": Fractions(0.998, 0.001, 0.001)}, "no known label"),
    ],
)
def test_a_wrong_split_is_refused_and_leaves_nothing(
    tmp_path: Path, items_file: Path, annotations_file: Path, policy_folder: Path, changes: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        run_split(items_file, annotations_file, policy_folder, tmp_path / "out", **changes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations.parquet", "items.parquet", "policies"]


def test_a_policy_with_nothing_to_learn_is_told_at_once(
    items_file: Path, annotations_file: Path, policy_folder: Path, tmp_path: Path
) -> None:
    annotations = pl.read_parquet(annotations_file)
    harmless = pl.when(pl.col("policy_id") == "scam").then(pl.lit("not_violating")).otherwise(pl.col("value"))
    annotations.with_columns(value=harmless).write_parquet(annotations_file)
    told = run_split(items_file, annotations_file, policy_folder, tmp_path / "split").lines
    [caution] = [line for line in told if line.startswith("caution: ")]
    assert caution.startswith("caution: scam: train has no label that is violating, and `train` will refuse it; ")


@pytest.mark.parametrize("name", ["items.parquet", "annotations.parquet", "golden.yaml"])
def test_a_changed_golden_set_is_refused(
    tmp_path: Path, items_file: Path, annotations_file: Path, policy_folder: Path, name: str
) -> None:
    freeze(items_file, annotations_file, policy_folder, tmp_path / "golden", population_size=400)
    folder = tmp_path / "golden/g/1"
    assert load_golden(folder).items["inclusion_prob"][0] == 0.1
    file = folder / name
    if name == "golden.yaml":
        file.write_text(file.read_text().replace("posts of May", "posts of June"))
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"2")
    with pytest.raises(InputError, match="digest does not match"):
        load_golden(folder)


def test_a_frozen_set_is_never_overwritten(
    tmp_path: Path, items_file: Path, annotations_file: Path, policy_folder: Path
) -> None:
    freeze(items_file, annotations_file, policy_folder, tmp_path / "golden")
    freeze(items_file, annotations_file, policy_folder, tmp_path / "golden")  # the same again is no change
    before = load_golden(tmp_path / "golden/g/1").digest
    with pytest.raises(InputError, match="use a new version"):
        freeze(items_file, annotations_file, policy_folder, tmp_path / "golden", population="others")
    assert load_golden(tmp_path / "golden/g/1").digest == before


@pytest.mark.parametrize("again", [freeze, run_split])
def test_the_ledger_outlives_the_same_set_frozen_again_and_no_other(
    again: Any, tmp_path: Path, items_file: Path, annotations_file: Path, policy_folder: Path
) -> None:
    again(items_file, annotations_file, policy_folder, tmp_path / "out")
    [folder] = (file.parent for file in tmp_path.rglob("golden.yaml"))
    (folder / LOOKS).write_text("looks\n")
    digest = load_golden(folder).digest
    again(items_file, annotations_file, policy_folder, tmp_path / "out")
    assert (folder / LOOKS).read_text() == "looks\n"
    assert load_golden(folder).digest == digest
    if again is run_split:
        again(items_file, annotations_file, policy_folder, tmp_path / "out", seed=2)
        assert not (folder / LOOKS).exists()


@pytest.mark.parametrize(
    ("probabilities", "words"), [([0.1] * 39 + [0.2], "one probability"), ([0.1] * 39 + [None], "row 40")]
)
def test_a_simple_random_sample_needs_one_probability_for_all(
    tmp_path: Path,
    items_file: Path,
    annotations_file: Path,
    policy_folder: Path,
    probabilities: list[float | None],
    words: str,
) -> None:
    items = pl.read_parquet(items_file).with_columns(inclusion_prob=pl.Series(probabilities))
    items.write_parquet(items_file)
    with pytest.raises(InputError, match=words):
        freeze(items_file, annotations_file, policy_folder, tmp_path / "golden")
    assert not (tmp_path / "golden").exists() or not any((tmp_path / "golden").rglob("golden.yaml"))
