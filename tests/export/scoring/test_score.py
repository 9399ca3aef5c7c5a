"""Scoring: known values, quarantine, refusals, and equal bytes however often a run was killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from PIL import Image

from data.errors import InputError
from data.files import read_json, sha256_of_file, write_json
from data.scores import read_scores
from export.graph.decision_head import load_onnx, model_digest
from export.graph.onnx_export import save_onnx
from export.scoring import chunks
from export.scoring.chunks import cut
from export.scoring.parts import only_writer
from export.scoring.run import score
from export.scoring.runtimes import OnnxRuntime

POLICIES = ["fire", "scam"]
WORDS = {"fire": 2, "sale": 3, "now": 4}


def expected_logits(items_file: Path) -> np.ndarray:
    """What conftest's model says, from the pixels of the files themselves."""
    rows = []
    for media, caption in pl.read_parquet(items_file).select("media", "caption").iter_rows():
        brightness = np.mean([np.asarray(Image.open(items_file.parent / name)).mean() for name in media])
        words = sum(WORDS[word] for word in (caption or "").split())
        rows.append([0.01 * brightness + 0.5 * words, -0.02 * brightness + 0.25 * words])
    return np.array(rows)


def test_scores_are_the_model_s_logits_in_the_order_of_the_items(hand_made_model, posts, tmp_path) -> None:
    summary = score(model=hand_made_model, items=posts, out=tmp_path / "out", batch_size=3)
    scores = read_scores(tmp_path / "out" / "scores.parquet", POLICIES)
    assert scores.item_ids == pl.read_parquet(posts)["item_id"].to_list()
    np.testing.assert_allclose(scores.values, expected_logits(posts), rtol=1e-5, atol=1e-5)
    assert scores.metadata.scale == "logit"
    assert scores.metadata.model_digest == model_digest(hand_made_model / "onnx/fp32/model.onnx")
    assert scores.metadata.policy_versions == {"fire": "1.0.0", "scam": "2.1.0"}
    assert scores.metadata.runtime.startswith("onnxruntime-")
    assert scores.metadata.runtime.endswith("-cpu-fp32")
    failures = pl.read_parquet(tmp_path / "out" / "failures.parquet")
    assert failures.schema == {"item_id": pl.String, "file": pl.String, "reason": pl.String}
    assert failures.is_empty()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["failures.parquet", "scores.parquet"]
    assert "40 items scored, 0 quarantined" in summary.title


def test_a_clip_is_scored_with_its_times(hand_made_model, moderation_mini, tmp_path) -> None:
    clip = sorted((moderation_mini / "media" / "videos").glob("*.mp4"))[0]
    items = tmp_path / "items.parquet"
    pl.DataFrame([{"item_id": "v", "media": [str(clip)], "media_type": "video"}]).write_parquet(items)
    score(model=hand_made_model, items=items, out=tmp_path / "out")
    logits = read_scores(tmp_path / "out" / "scores.parquet", POLICIES).values[0]
    # Twice fire's logit plus scam's leaves the times: (2 * 0.1 + 0.3) of their sum, four frames of a clip of seconds.
    assert 0.5 < (2 * logits[0] + logits[1]) / 0.5 < 20


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_results_hang_on_no_batch(hand_made_model, posts, tmp_path, batch_size, monkeypatch) -> None:
    monkeypatch.setattr(chunks, "LARGEST_CHUNK", 9 if batch_size == 7 else 256)
    score(model=hand_made_model, items=posts, out=tmp_path / "out", batch_size=batch_size, workers=3)
    values = read_scores(tmp_path / "out" / "scores.parquet", POLICIES).values
    np.testing.assert_allclose(values, expected_logits(posts), rtol=1e-5, atol=1e-5)


def test_two_runs_are_byte_identical(hand_made_model, posts, tmp_path) -> None:
    for name, workers in (("one", 1), ("two", 4)):
        score(model=hand_made_model, items=posts, out=tmp_path / name, workers=workers)
    for file in ("scores.parquet", "failures.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_unreadable_media_are_quarantined_with_their_reason(hand_made_model, posts, tmp_path) -> None:
    (posts.parent / "0-0.png").write_bytes(b"not a photo")
    (posts.parent / "5-1.png").unlink()
    summary = score(model=hand_made_model, items=posts, out=tmp_path / "out")
    scores = read_scores(tmp_path / "out" / "scores.parquet", POLICIES)
    assert len(scores.item_ids) == 38
    assert not {"p00", "p05"} & set(scores.item_ids)
    failures = pl.read_parquet(tmp_path / "out" / "failures.parquet")
    assert failures["item_id"].to_list() == ["p00", "p05"]
    assert failures["file"][0].endswith("0-0.png")
    assert "5-1.png" in failures["reason"][1]
    assert "38 items scored, 2 quarantined" in summary.title
    assert any("'p00'" in line for line in summary.lines)


def test_too_many_unreadable_media_are_an_error_and_are_tried_again(hand_made_model, posts, tmp_path) -> None:
    for index in (3, 6, 9):
        (posts.parent / f"{index}-0.png").rename(posts.parent / f"{index}.away")
    with pytest.raises(InputError, match=r"3 of 40 items cannot be read; max_unreadable_fraction=0.05 allows 2"):
        score(model=hand_made_model, items=posts, out=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.parquet"))
    for index in (3, 6, 9):
        (posts.parent / f"{index}.away").rename(posts.parent / f"{index}-0.png")
    assert "40 items scored" in score(model=hand_made_model, items=posts, out=tmp_path / "out").title


def test_no_readable_item_is_an_error_whatever_the_fraction(hand_made_model, posts, tmp_path) -> None:
    for photo in posts.parent.glob("*.png"):
        photo.unlink()
    with pytest.raises(InputError, match="at least one must be readable"):
        score(model=hand_made_model, items=posts, out=tmp_path / "out", max_unreadable_fraction=1)


def test_an_item_of_two_files_is_refused(hand_made_model, posts, tmp_path) -> None:
    with pytest.raises(InputError, match=r"row 1, item_id = 'p00'.*give each item once"):
        score(model=hand_made_model, items=[posts, posts], out=tmp_path / "out")
    with pytest.raises(InputError, match="no file given"):
        score(model=hand_made_model, items=[], out=tmp_path / "out")


def test_a_score_that_is_no_number_names_the_item(hand_made_model, posts, tmp_path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(hand_made_model, broken)
    graph = load_onnx(broken / "onnx/fp32/model.onnx")
    # Dividing by the sum of the words: nothing by nothing where a post has no caption.
    next(node for node in graph.graph.node if node.output[0] == "mean").input[1] = "spoken"
    replace_graph(broken, graph)
    with pytest.raises(InputError, match=r"item 'p00': the model gives (inf|nan) for policy 'fire'"):
        score(model=broken, items=posts, out=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.parquet"))


def replace_graph(folder: Path, graph: onnx.ModelProto) -> None:
    file = folder / "onnx/fp32/model.onnx"
    graph.graph.node.sort(key=lambda node: node.output[0] in ("mean", "visual", "sights", "logits"))
    ordered = onnx.ModelProto()
    ordered.CopyFrom(graph)
    save_onnx(ordered, file)
    record = read_json(folder / "model.json")
    record["precisions"]["fp32"] |= {"sha256": sha256_of_file(file), "model_digest": model_digest(ordered)}
    write_json(folder / "model.json", record)


def test_only_one_run_writes_at_a_time(hand_made_model, posts, tmp_path) -> None:
    with only_writer(tmp_path / "out"), pytest.raises(InputError, match="another run writes here"):
        score(model=hand_made_model, items=posts, out=tmp_path / "out")


KILLED = """
import os, shutil, signal, sys, time
from pathlib import Path
import export.scoring.chunks
from export.scoring.runtimes import OnnxRuntime
from export.scoring.run import score

model, items, out, die_at, pause = sys.argv[1:]
export.scoring.chunks.LARGEST_CHUNK = 4
events = 0

def dying(function):
    def counted(*arguments, **options):
        global events
        events += 1
        if events == int(die_at):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return counted

for name in ("rename", "replace", "unlink"):
    setattr(Path, name, dying(getattr(Path, name)))
os.fsync, shutil.rmtree = dying(os.fsync), dying(shutil.rmtree)
run = OnnxRuntime.run
OnnxRuntime.run = lambda self, batch: (time.sleep(float(pause)), run(self, batch))[1]
print("started", flush=True)
score(model=Path(model), items=Path(items), out=Path(out))
print("events", events, flush=True)
"""


def start(model: Path, items: Path, out: Path, die_at: int, pause: float = 0) -> subprocess.Popen:
    command = [sys.executable, "-c", KILLED, *map(str, (model, items, out, die_at, pause))]
    root = Path(__file__).resolve().parents[3]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}, text=True)


@pytest.mark.slow
def test_a_killed_run_ends_as_an_unkilled_one(hand_made_model, posts, tmp_path) -> None:
    (posts.parent / "7-0.png").unlink()
    whole = start(hand_made_model, posts, tmp_path / "whole", 0)
    said = whole.communicate()[0]
    expected = {file.name: file.read_bytes() for file in (tmp_path / "whole").iterdir()}
    assert set(expected) == {"scores.parquet", "failures.parquet"}
    num_events = int(said.split()[-1])
    out = tmp_path / "killed"
    # Kills that each leave the run a little further: in every stage, the last ones while merging and clearing up.
    for die_at in (2, 7, 16, num_events - 30, 3, 5, 6, 7, 8, 9):
        killed = start(hand_made_model, posts, out, die_at)
        said = killed.communicate()[0]
        for file in out.glob("[!.]*.parquet"):
            assert file.read_bytes() == expected[file.name], "a reader saw half a file"
        if "events" in said:
            break
        assert killed.returncode == -signal.SIGKILL
    assert start(hand_made_model, posts, out, 0).wait() == 0
    assert {file.name: file.read_bytes() for file in out.iterdir()} == expected


@pytest.mark.slow
def test_runs_killed_at_random_moments_go_on(hand_made_model, posts, tmp_path) -> None:
    score(model=hand_made_model, items=posts, out=tmp_path / "whole")
    random = np.random.default_rng(0)
    out = tmp_path / "killed"
    for _ in range(3):
        process = start(hand_made_model, posts, out, 0, pause=0.02)
        process.stdout.readline()
        time.sleep(random.uniform(0.1, 0.7))
        process.kill()
        process.communicate()
    assert start(hand_made_model, posts, out, 0).wait() == 0
    np.testing.assert_array_equal(
        read_scores(out / "scores.parquet", POLICIES).values,
        read_scores(tmp_path / "whole" / "scores.parquet", POLICIES).values,
    )
    assert sorted(path.name for path in out.iterdir()) == ["failures.parquet", "scores.parquet"]


@pytest.fixture
def interrupted(hand_made_model, posts, tmp_path, monkeypatch) -> Path:
    """The folder of a run that ended after three chunks of five items."""
    monkeypatch.setattr(chunks, "LARGEST_CHUNK", 5)
    run, calls = OnnxRuntime.run, []

    def ending(self, batch):
        calls.append(batch)
        if sum(len(batch.frames) for batch in calls) > 16:
            raise KeyboardInterrupt
        return run(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(OnnxRuntime, "run", ending)
        score(model=hand_made_model, items=posts, out=tmp_path / "out")
    return tmp_path / "out"


def scored_items(monkeypatch) -> list[int]:
    counts, run = [], OnnxRuntime.run
    monkeypatch.setattr(
        OnnxRuntime, "run", lambda self, batch: (counts.append(len(batch.frames)), run(self, batch))[1]
    )
    return counts


def test_a_resumed_run_does_not_repeat_what_is_done(interrupted, hand_made_model, posts, monkeypatch) -> None:
    counts = scored_items(monkeypatch)
    summary = score(model=hand_made_model, items=posts, out=interrupted)
    assert sum(counts) == 25
    assert any(line.startswith("15 of them") for line in summary.lines)
    values = read_scores(interrupted / "scores.parquet", POLICIES).values
    np.testing.assert_allclose(values, expected_logits(posts), rtol=1e-5, atol=1e-5)


def test_media_that_changed_meanwhile_are_scored_again(interrupted, hand_made_model, posts, monkeypatch) -> None:
    Image.new("RGB", (9, 9), (250, 250, 250)).save(posts.parent / "6-0.png")
    counts = scored_items(monkeypatch)
    score(model=hand_made_model, items=posts, out=interrupted)
    assert sum(counts) == 30
    values = read_scores(interrupted / "scores.parquet", POLICIES).values
    np.testing.assert_allclose(values, expected_logits(posts), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("change", ["batch_size", "caption"])
def test_parts_of_another_run_are_not_mixed_in(interrupted, hand_made_model, posts, monkeypatch, change) -> None:
    counts = scored_items(monkeypatch)
    if change == "caption":
        items = pl.read_parquet(posts)
        items.with_columns(caption=pl.lit("fire")).write_parquet(posts)
    score(model=hand_made_model, items=posts, out=interrupted, batch_size=31 if change == "batch_size" else 32)
    assert sum(counts) == 40
    assert not list(interrupted.glob(".*"))


def test_chunks_keep_order_and_lose_nothing(posts) -> None:
    items = pl.read_parquet(posts).with_columns(ocr_text=pl.lit(None, pl.String), asr_text=pl.lit(None, pl.String))
    pieces = cut(items, 7)
    assert [len(piece.items) for piece in pieces] == [7, 7, 7, 7, 7, 5]
    assert pl.concat([piece.items for piece in pieces])["item_id"].to_list() == items["item_id"].to_list()
