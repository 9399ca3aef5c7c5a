"""predict.py as a serving team runs it: alone, with nothing of Setpoint and no torch to import."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from safetensors.numpy import load_file

from data.items import read_items
from export.release.bundle import MODULES, bundle_predict
from export.release.predict import main
from export.release.predictor import Predictor, ReleaseError, load
from export.scoring.batch import collate
from export.scoring.run import score

ALONE = """
import runpy, sys

ALLOWED = set(sys.stdlib_module_names) | {"numpy", "onnxruntime", "PIL", "av", "tokenizers"}
# What these import where it is installed, and do without where it is not.
OPTIONAL = {"flatbuffers", "google", "packaging", "sympy", "cffi", "defusedxml", "olefile", "yaml", "coloredlogs"}

class OnlyServingPackages:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in ALLOWED | OPTIONAL and not top.startswith("_"):
            raise ModuleNotFoundError(f"No module named {name!r} on a serving machine", name=top)

sys.meta_path.insert(0, OnlyServingPackages())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_alone(release: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """predict.py of the release in an isolated interpreter, from another folder."""
    command = [sys.executable, "-I", "-c", ALONE, release / "predict.py", *arguments]
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=release.parent, check=False
    )


@pytest.fixture
def media(untouched_parts: Path) -> Path:
    return untouched_parts / "media"


@pytest.mark.parametrize(
    ("files", "caption", "item_id"),
    [(["3.mp4"], "fire sale", "g03"), (["5-0.png", "5-1.png"], None, "g05"), (["10-0.png"], None, "g10")],
)
def test_alone_it_says_what_the_release_replays(release: Path, media: Path, files, caption, item_id) -> None:
    texts = ["--caption", caption] if caption else []
    answer = run_alone(release, "--json", *texts, *(media / file for file in files))
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    predictor = load(release)
    row = read_items(media.parent / "items.parquet").row(by_predicate=pl.col("item_id") == item_id, named=True)
    (prediction, *_) = predictor.predict(row["media"], caption=row["caption"], media_type=row["media_type"])
    fire, scam = json.loads(answer.stdout)
    assert fire["logit"] == prediction.logit
    assert [band["flagged"] for band in fire["bands"]] == [fire["logit"] >= np.float32(2.1), fire["logit"] >= 0.5]
    assert fire["action"] == ("auto_remove" if fire["logit"] >= 2.1 else "review" if fire["logit"] >= 0.5 else None)
    assert scam["action"] is None
    assert scam["bands"][0]["status"] == "not_attainable"


def test_its_scores_are_those_that_the_verb_score_gives(release: Path, media: Path, tmp_path: Path) -> None:
    score(model=release, items=media.parent / "items.parquet", out=tmp_path / "scores", batch_size=5)
    scores = pl.read_parquet(tmp_path / "scores" / "scores.parquet")
    lines = tmp_path / "items.jsonl"
    items = read_items(media.parent / "items.parquet").select("item_id", "media", "media_type", "caption")
    lines.write_text("".join(json.dumps(row) + "\n" for row in items.iter_rows(named=True)))
    answer = run_alone(release, "--items", lines)
    assert answer.returncode == 0, answer.stderr
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [each["item_id"] for each in found] == scores["item_id"].to_list()
    for column, policy_id in enumerate(("fire", "scam")):
        logits = np.array([each["policies"][column]["logit"] for each in found], np.float32)
        np.testing.assert_allclose(logits, scores[policy_id].to_numpy(), atol=1e-6)


def test_it_makes_the_very_tensors_of_the_replay(release: Path, media: Path) -> None:
    namespace: dict = {"__name__": "bundle"}
    exec(compile((release / "predict.py").read_text(), "predict.py", "exec"), namespace)
    predictor = namespace["load"](release)
    requests = []

    class Recorder:
        def run(self, names, tensors):
            requests.append(tensors)
            return [np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32), np.zeros((1, 3), np.bool_)]

    predictor.session = Recorder()
    rows = {row["item_id"]: row for row in read_items(media.parent / "items.parquet").iter_rows(named=True)}
    for place, item_id in enumerate(json.loads((release / "golden/replay.json").read_text())["item_ids"]):
        row = rows[item_id]
        predictor.predict(row["media"], caption=row["caption"], media_type=row["media_type"])
        stored = load_file(release / f"golden/{place:04d}.safetensors")
        for name, tensor in requests[-1].items():
            np.testing.assert_array_equal(tensor, stored[name], err_msg=f"{item_id} {name}")


def test_the_table_for_people(release: Path, media: Path) -> None:
    answer = run_alone(release, "--caption", "fire sale", media / "3.mp4")
    header, fire, auto_remove, review, scam, restrict = answer.stdout.splitlines()
    assert header.split() == ["policy", "probability", "logit", "action"]
    assert fire.startswith("fire 1.0.0 ")
    assert auto_remove.split() == ["auto_remove", "from", "2.100", "flagged"]
    assert review.split() == ["review", "(night|shift)", "from", "0.500", "flagged"]
    assert fire.split()[-1] == "auto_remove"
    assert scam.split()[-1] == "none"
    assert restrict.split() == ["restrict", "not", "attainable", "-"]


def test_a_text_alone(release: Path) -> None:
    answer = run_alone(release, "--json", "--caption", "fire now")
    assert json.loads(answer.stdout)[0]["logit"] == pytest.approx(0.5 * (2 + 4))


def test_wrong_input_ends_with_a_sentence_and_code_2(release: Path, media: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "text.mp4").write_text("no clip")
    (tmp_path / "bad.jsonl").write_text('{"media": "a.png"}\n')
    (tmp_path / "worse.jsonl").write_text("{\n")
    (tmp_path / "empty.jsonl").write_text("\n")
    cases = [
        ([tmp_path / "absent.png"], "absent.png: no such file"),
        ([tmp_path / "text.mp4"], "text.mp4: not a readable clip"),
        ([media / "0-0.png", tmp_path / "absent.png"], "photo 2 of 2 (absent.png): no such file"),
        (["--media-type", "photo", media / "3.mp4"], "not a photo of a known format"),
        (["--release", tmp_path, media / "0-0.png"], "policies.json: No such file"),
        (["--precision", "fp16", media / "0-0.png"], "it has no precision 'fp16'; found fp32"),
        (["--items", tmp_path / "absent.jsonl"], "absent.jsonl: No such file"),
        (["--items", tmp_path / "bad.jsonl"], "line 1, media: expected a list of paths"),
        (["--items", tmp_path / "worse.jsonl"], "line 1: not a JSON object"),
        (["--items", tmp_path / "empty.jsonl"], "empty.jsonl: holds no item; expected one JSON object a line"),
    ]
    for arguments, message in cases:
        given = [str(argument) for argument in arguments]
        if "--release" not in given:
            given = ["--release", str(release), *given]
        assert main(given) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert "Traceback" not in captured.err
    for given in ([], ["--items", "a.jsonl", "b.png"]):
        with pytest.raises(SystemExit) as stopped:
            main(given)
        assert stopped.value.code == 2


def test_unreadable_items_are_reported_in_their_place(release: Path, media: Path, tmp_path: Path, capsys) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    lines = [{"item_id": "x", "media": ["absent.png"]}, {"item_id": "y", "media": ["a.png"]}]
    (tmp_path / "items.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert main(["--release", str(release), "--items", str(tmp_path / "items.jsonl")]) == 2
    captured = capsys.readouterr()
    first, second = (json.loads(line) for line in captured.out.splitlines())
    assert first == {"item_id": "x", "error": "no such file"}
    assert second["item_id"] == "y"
    assert len(second["policies"]) == 2
    assert "1 items could not be read" in captured.err


@pytest.mark.parametrize(
    "name", ["policies.json", "preprocess.json", "tokenizer/tokenizer.json", "onnx/fp32/model.onnx"]
)
def test_a_broken_release_is_named(release: Path, name: str) -> None:
    for content in (b"", b"[]", b"\xff\x00", b'{"policies": 1}', b'{"policies": [], "packs": [1]}'):
        (release / name).write_bytes(content)
        with pytest.raises(ReleaseError, match="not a release that can be loaded"):
            Predictor(release)


def test_the_bundle_holds_the_modules_as_they_are() -> None:
    bundle = bundle_predict()
    assert bundle == bundle_predict()
    compile(bundle, "predict.py", "exec")
    for name in MODULES:
        assert f"# From {name.replace('.', '/')}.py\n" in bundle
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(bundle))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    serving = {"numpy", "onnxruntime", "PIL", "av", "tokenizers"}
    assert imported - set(sys.stdlib_module_names) == serving | {"fsspec"}  # the last for URLs alone
    assert collate.__doc__ is not None
    assert collate.__doc__ in bundle
