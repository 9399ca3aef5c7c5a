from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import InputError
from data.scores import Scores, ScoresMetadata, read_scores, write_scores


def make() -> Scores:
    values = np.array([[0.1, -2.5], [np.nextafter(np.float32(1), np.float32(2)), 7]], dtype=np.float32)
    metadata = ScoresMetadata(model_digest="abc", runtime="onnxruntime", policy_versions={"fire": "1.0.0"})
    return Scores(["a", "b"], ["fire", "scam"], values, metadata)


def test_scores_survive_a_round_trip_to_the_last_bit(tmp_path: Path) -> None:
    scores = make()
    write_scores(tmp_path / "scores.parquet", scores)
    back = read_scores(tmp_path / "scores.parquet", ["fire", "scam"])
    np.testing.assert_array_equal(back.values, scores.values)
    assert (back.item_ids, back.metadata, back.digest()) == (scores.item_ids, scores.metadata, scores.digest())
    np.testing.assert_array_equal(back.of(["b"]), scores.values[1:])


def test_scores_of_a_foreign_model_are_welcome(tmp_path: Path) -> None:
    path = tmp_path / "foreign.parquet"
    pl.DataFrame({"item_id": [1, 2], "fire": [0.25, 0.5], "note": ["x", "y"]}).write_parquet(
        path, metadata={"setpoint.scale": "probability"}
    )
    scores = read_scores(path, ["fire"])
    assert scores.item_ids == ["1", "2"]
    assert scores.metadata.scale == "probability"
    assert scores.metadata.model_digest is None


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"fire": [0.1, float("nan")]}, ["row 2", "fire", "nan", "finite"]),
        ({"fire": [0.1, float("inf")]}, ["row 2", "fire", "inf"]),
        ({"fire": [None, 0.2]}, ["row 1", "fire"]),
        ({"scam": [0.1, 0.2]}, ["fire", "missing"]),
        ({"fire": ["high", "low"]}, ["fire", "numbers"]),
        ({"fire": [0.1, 0.2], "item_id": ["a", "a"]}, ["row 2", "item_id", "another row"]),
        ({"fire": [1e300, 0.2]}, ["row 1", "fire"]),
    ],
)
def test_wrong_scores_are_refused(tmp_path: Path, columns: dict[str, list[object]], words: list[str]) -> None:
    path = tmp_path / "scores.parquet"
    pl.DataFrame({"item_id": ["a", "b"], **columns}).write_parquet(path)
    with pytest.raises(InputError) as error:
        read_scores(path, ["fire"])
    for word in [str(path), *words]:
        assert word in str(error.value)


def test_items_without_a_score_are_counted() -> None:
    with pytest.raises(InputError, match="2 of 3 items have no score, the first is 'x'"):
        make().of(["a", "x", "y"])
