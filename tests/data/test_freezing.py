"""The verb `golden`: draw from a pool, label, freeze; and what it refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from data.drafts import read_draft
from data.errors import InputError
from data.freezing import golden
from data.golden import GoldenRecord, load_golden
from data.scores import Scores, ScoresMetadata, write_scores

N = 400


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Scores of 400 posts under `fire` and `scam`, and the posts themselves beside them."""
    names = [f"p{index:03d}" for index in range(N)]
    pl.DataFrame(
        {"item_id": names, "media": [[f"{name}.jpg"] for name in names], "media_type": ["photo"] * N, "shop": names}
    ).write_parquet(tmp_path / "posts.parquet")
    values = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
    metadata = ScoresMetadata(model_digest="ab" * 32, runtime="onnx")
    write_scores(tmp_path / "pool.parquet", Scores(names, ["fire", "scam"], values, metadata))
    return tmp_path / "pool.parquet"


@pytest.fixture
def run(tmp_path: Path, policy_folder: Path) -> Callable[..., Any]:
    def call(**changes: Any) -> Any:
        keys: dict[str, Any] = {
            "items": tmp_path / "posts.parquet",
            "annotations": None,
            "policies": policy_folder,
            "name": "g",
            "version": "1",
            "design": None,
            "population": "posts of May",
            "population_size": None,
            "expires_at": None,
            "out": tmp_path / "out",
        }
        return golden(**{**keys, **changes})

    return call


def label(items: Path, out: Path) -> Path:
    rows = [
        {
            "item_id": item_id,
            "policy_id": policy_id,
            "policy_version": "1.0.0",
            "annotator_id": "a",
            "source": "human",
            "value": "violating" if index % 3 else "not_violating",
            "round": "blind",
        }
        for index, item_id in enumerate(pl.read_parquet(items)["item_id"])
        for policy_id in ("fire", "scam")
    ]
    pl.DataFrame(rows).write_parquet(out)
    return out


def test_draw_label_freeze(tmp_path: Path, pool: Path, run: Callable[..., Any]) -> None:
    drawn = run(pool=pool, policy="fire", floor=0.5, size=30)
    items = tmp_path / "out/g/1-draft/items.parquet"
    sample = pl.read_parquet(items)
    scores = pl.read_parquet(pool)
    above = scores.filter(pl.col("fire") >= 0.5)
    assert drawn.title == f"golden: 30 posts drawn of those that score at least 0.5 under fire, {len(above)} of 400"
    assert sample["inclusion_prob"].unique().to_list() == [30 / len(above)]
    assert set(sample["item_id"]) <= set(above["item_id"])
    assert sample["shop"].to_list() == sample["item_id"].to_list()  # further columns are kept

    # The annotators' file may speak of other posts, too.
    every = label(tmp_path / "posts.parquet", tmp_path / "labels.parquet")
    frozen = run(items=items, annotations=every)
    assert "740 annotations of posts that were not drawn are left out" in frozen.lines
    assert load_golden(tmp_path / "out/g/1").annotations["item_id"].n_unique() == 30
    assert any("evidence for that policy alone" in line for line in frozen.lines)
    record = load_golden(tmp_path / "out/g/1").record
    assert (record.design, record.floor, record.n_population) == ("simple_random", 0.5, len(above))
    assert record.scored_by is not None
    assert (record.scored_by.policy_id, record.scored_by.model_digest) == ("fire", "ab" * 32)


def test_the_same_draw_gives_the_same_bytes_and_another_is_refused(
    tmp_path: Path, pool: Path, run: Callable[..., Any]
) -> None:
    folder = tmp_path / "out/g/1-draft"
    run(pool=pool, policy="fire", size=30)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(before) == ["draft.yaml", "items.parquet"]
    run(pool=pool, policy="fire", size=30)
    with pytest.raises(InputError, match="use a new version="):
        run(pool=pool, policy="fire", size=30, seed=1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_simple_sample_of_the_whole_pool_is_evidence_for_every_policy(
    tmp_path: Path, pool: Path, run: Callable[..., Any]
) -> None:
    run(pool=pool, policy="fire", size=30)
    items = tmp_path / "out/g/1-draft/items.parquet"
    run(items=items, annotations=label(items, tmp_path / "labels.parquet"))
    assert load_golden(tmp_path / "out/g/1").record.scored_by is None


def test_strata_keep_their_probabilities(tmp_path: Path, pool: Path, run: Callable[..., Any]) -> None:
    summary = run(pool=pool, policy="scam", size=40, strata=3, design="stratified")
    assert len([line for line in summary.lines if line.startswith("stratum")]) == 3
    items = tmp_path / "out/g/1-draft/items.parquet"
    run(items=items, annotations=label(items, tmp_path / "labels.parquet"))
    frozen = load_golden(tmp_path / "out/g/1")
    assert frozen.record.design == "stratified"
    assert frozen.items.group_by("stratum").agg(pl.len()).sort("stratum")["len"].to_list() == [13, 13, 14]
    assert (1 / frozen.items["inclusion_prob"]).sum() == pytest.approx(N)


def test_excluded_posts_are_never_drawn(tmp_path: Path, pool: Path, run: Callable[..., Any]) -> None:
    trained = pl.read_parquet(tmp_path / "posts.parquet").head(300)
    trained.write_parquet(tmp_path / "train.parquet")
    summary = run(pool=pool, policy="fire", size=100, exclude=[tmp_path / "train.parquet"])
    drawn = pl.read_parquet(tmp_path / "out/g/1-draft/items.parquet")
    assert set(drawn["item_id"]) == {f"p{index}" for index in range(300, 400)}
    assert "300 posts of the pool were excluded" in summary.lines


def test_a_changed_draft_is_not_frozen(tmp_path: Path, pool: Path, run: Callable[..., Any]) -> None:
    run(pool=pool, policy="fire", floor=0.5, size=30)
    items = tmp_path / "out/g/1-draft/items.parquet"
    labels = label(items, tmp_path / "labels.parquet")
    pl.read_parquet(items).head(29).write_parquet(items)
    with pytest.raises(InputError, match="those without a label stay among them"):
        run(items=items, annotations=labels)
    with pytest.raises(InputError, match="not the sample"):
        read_draft(items)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"policy": "fire"}, "size="),
        ({"size": 30}, "policy="),
        ({"policy": "arson", "size": 30}, "policy=arson: no such policy; found fire, scam"),
        ({"policy": "fire", "size": 500}, "only 400 posts"),
        ({"policy": "fire", "size": 1, "floor": 9.0}, "0 of 400 posts can be drawn with a score of fire"),
        ({"policy": "fire", "size": 30, "population_size": 9}, "population_size=9: of no use with pool="),
        ({"policy": "fire", "size": 30, "name": "a/b"}, "name = 'a/b'"),
    ],
)
def test_draws_that_are_refused(
    tmp_path: Path, pool: Path, run: Callable[..., Any], keys: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        run(pool=pool, **keys)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").rglob("*.*"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.rename({"fire": "arson"}), "fire: no such column"),
        (lambda frame: frame.with_columns(fire=pl.lit(None, pl.Float32)), "row 1, fire: expected a finite number"),
        (lambda frame: frame.with_columns(fire=pl.lit("high")), "expected a column of numbers"),
        (lambda frame: frame.with_columns(item_id=pl.lit("p001")), "stands in several rows"),
        (lambda frame: frame.with_columns(item_id="x" + pl.col("item_id")), "30 of 30 drawn posts are not there"),
    ],
)
def test_pools_that_are_refused(pool: Path, run: Callable[..., Any], change: Any, words: str) -> None:
    change(pl.read_parquet(pool)).write_parquet(pool)
    with pytest.raises(InputError, match=words):
        run(pool=pool, policy="fire", size=30)


def sample_from_elsewhere(tmp_path: Path, pool: Path, floor: float, **columns: Any) -> dict[str, Path]:
    posts, scores = pl.read_parquet(tmp_path / "posts.parquet"), pl.read_parquet(pool)
    kept = posts.filter(scores["fire"] >= floor).head(40).with_columns(**columns)
    kept.write_parquet(tmp_path / "mine.parquet")
    return {
        "items": tmp_path / "mine.parquet",
        "annotations": label(tmp_path / "mine.parquet", tmp_path / "l.parquet"),
    }


def test_a_floor_of_a_sample_drawn_elsewhere_is_checked(tmp_path: Path, pool: Path, run: Callable[..., Any]) -> None:
    mine = sample_from_elsewhere(tmp_path, pool, 0.5)
    with pytest.raises(InputError, match="floor_scores not set"):
        run(**mine, floor=0.5, policy="fire")
    with pytest.raises(InputError, match=r"golden items score below their floor 1\.5"):
        run(**mine, floor=1.5, policy="fire", floor_scores=pool)
    run(**mine, floor=0.5, policy="fire", floor_scores=pool)
    record = load_golden(tmp_path / "out/g/1").record
    assert (record.floor, record.scored_by.runtime) == (0.5, "onnx")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("chances", "words"),
    [
        ([0.1] * 39 + [0.0], "row 40, inclusion_prob = 0.0"),
        ([0.1] * 39 + [1.5], "row 40, inclusion_prob = 1.5"),
        ([0.1] * 39 + [None], "row 40, inclusion_prob: missing"),
    ],
)
def test_wrong_inclusion_probabilities(
    tmp_path: Path, pool: Path, run: Callable[..., Any], chances: list[float | None], words: str
) -> None:
    mine = sample_from_elsewhere(tmp_path, pool, -0.5, inclusion_prob=pl.Series(chances))
    with pytest.raises(InputError, match=words):
        run(**mine, design="stratified")


def test_unequal_probabilities_are_for_stratified_sets_also_on_loading(
    tmp_path: Path, pool: Path, run: Callable[..., Any]
) -> None:
    mine = sample_from_elsewhere(tmp_path, pool, -0.5, inclusion_prob=pl.Series([0.1] * 20 + [0.2] * 20))
    with pytest.raises(InputError, match="design=stratified takes unequal ones"):
        run(**mine)
    run(**mine, design="stratified")
    file = tmp_path / "out/g/1/golden.yaml"
    record = GoldenRecord.model_validate({**yaml.safe_load(file.read_text()), "design": "simple_random"})
    record = record.model_copy(update={"digest": record.expected_digest()})
    file.write_text(yaml.safe_dump(record.model_dump(mode="json", by_alias=True)))
    with pytest.raises(InputError, match="needs one probability for all items"):
        load_golden(tmp_path / "out/g/1")


def test_a_set_frozen_before_new_keys_keeps_its_digest(tmp_path: Path, pool: Path, run: Callable[..., Any]) -> None:
    run(**sample_from_elsewhere(tmp_path, pool, -0.5))
    file = tmp_path / "out/g/1/golden.yaml"
    content = yaml.safe_load(file.read_text())
    del content["scored_by"], content["n_population"]
    old = GoldenRecord.model_validate(content)
    content["digest"] = old.expected_digest()
    file.write_text(yaml.safe_dump(content))
    assert load_golden(tmp_path / "out/g/1").record.scored_by is None
    file.write_text(yaml.safe_dump({**content, "n_population": 7}))
    with pytest.raises(InputError, match="digest does not match"):
        load_golden(tmp_path / "out/g/1")
