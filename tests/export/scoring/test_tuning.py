"""The sweep: it changes no bit of a score, is made once, and leaves to the user what would change bits."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.files import read_json
from data.items import read_items
from data.scores import read_scores
from export.machine import this_machine
from export.scoring import tuning
from export.scoring.run import score
from export.scoring.runtimes import OnnxRuntime
from export.scoring.tuning import Measured, Option, Tuner, Tuning

DEFAULT = Option(threads=1, spinning=False, batch_size=4, optimization="all")


def found(*measured: tuple[dict[str, object], float, bool]) -> Tuning:
    return Tuning(
        machine=this_machine(),
        model_digest="0" * 64,
        runtime="onnxruntime",
        n_items=9,
        measured=[
            Measured(option=DEFAULT.model_copy(update=changed), items_per_second=speed, same_bits=same)
            for changed, speed, same in measured
        ],
    )


def test_the_fastest_that_keeps_every_bit_is_chosen() -> None:
    tuned = found(({}, 10, True), ({"threads": 2}, 12, True), ({"threads": 2, "spinning": True}, 30, False))
    assert tuned.chosen.option == DEFAULT.model_copy(update={"threads": 2})


def test_what_changes_the_last_bits_by_its_nature_is_not_chosen_even_where_they_agree() -> None:
    tuned = found(({}, 10, True), ({"batch_size": 16}, 20, True), ({"optimization": "extended"}, 30, True))
    assert tuned.chosen.option == DEFAULT
    slower = found(({}, 10, True), ({"batch_size": 16}, 20, False))
    assert slower.lines()[-1] == "batch_size=16 would be 2.0 times as fast, with other last bits"


def test_noise_does_not_replace_the_default() -> None:
    assert found(({}, 10, True), ({"threads": 2}, 10.2, True)).chosen.option == DEFAULT


def test_a_long_run_is_swept_once_and_scores_the_same(
    hand_made_model: Path, posts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "SWEEP_FROM", 40)
    sweeps, sweep = [], Tuner.sweep
    monkeypatch.setattr(Tuner, "sweep", lambda self, items: (sweeps.append(1), sweep(self, items))[1])
    cache = tmp_path / "cache"
    for name, tune in (("off", "off"), ("one", "auto"), ("two", "auto")):
        score(model=hand_made_model, items=posts, out=tmp_path / name, tune=tune, cache_dir=cache)
    assert len(sweeps) == 1
    [file] = (cache / "tuning").glob("*.json")
    measured = read_json(file)["measured"]
    assert measured[0]["option"] == DEFAULT.model_dump()
    assert {each["option"]["optimization"] for each in measured} == {"all", "extended"}
    one, two, off = (
        read_scores(tmp_path / name / "scores.parquet", ["fire", "scam"]) for name in ("one", "two", "off")
    )
    assert (tmp_path / "one/scores.parquet").read_bytes() == (tmp_path / "two/scores.parquet").read_bytes()
    assert one.values.tobytes() == off.values.tobytes()
    assert one.digest() == off.digest() == two.digest()
    assert off.metadata.settings == {"batch_size": 4, "threads": 1}
    file.write_text("{}")  # of another version
    score(model=hand_made_model, items=posts, out=tmp_path / "again", cache_dir=cache)
    assert len(sweeps) == 2


def test_a_short_run_is_not_swept(hand_made_model: Path, posts: Path, tmp_path: Path) -> None:
    score(model=hand_made_model, items=posts, out=tmp_path / "out", cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_other_bits_are_seen(
    hand_made_model: Path, posts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reopen(option: Option) -> OnnxRuntime:
        engine = OnnxRuntime(hand_made_model, **option.model_dump(exclude={"batch_size"}))
        run = engine.run
        if option.optimization == "extended":

            def nudged(batch):
                outputs = run(batch)
                outputs.logits[:] = np.nextafter(outputs.logits, np.float32(99))
                return outputs

            engine.run = nudged
        return engine

    tuner = Tuner(reopen, OnnxRuntime(hand_made_model, threads=1), 8, 0, tmp_path)
    swept = tuner.sweep(read_items(posts))
    assert swept is not None
    assert {each.option.optimization: each.same_bits for each in swept.measured} == {"all": True, "extended": False}


def test_without_a_readable_item_there_is_nothing_to_sweep(
    hand_made_model: Path, posts: Path, tmp_path: Path
) -> None:
    for photo in posts.parent.glob("*.png"):
        photo.unlink()
    tuner = Tuner(lambda option: pytest.fail("opened"), OnnxRuntime(hand_made_model, threads=1), 8, 0, tmp_path)
    assert tuner.sweep(pl.DataFrame(read_items(posts))) is None
