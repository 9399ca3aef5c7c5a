"""fp32 and int8 from export to predict.py: each certified on its own scores, gated, sealed, verified and served."""

import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from changed_releases import change_json, reasons, resealed, verified
from two_precisions import Project

from calibrate.gate_file import read_gate
from calibrate.operating_points_file import load_operating_points
from data.errors import InputError
from data.files import read_json
from data.scores import read_scores
from export.bench.run import bench
from export.graph.decision_head import load_onnx, model_digest, read_decision
from export.release.bundle import bundle_predict
from export.release.decisions import read_served_policies
from export.release.replay import read_exchange, read_replay
from export.release.seal import Pack
from export.scoring.runtimes import OnnxRuntime
from export.serving.model import load_model

INT8 = "reports/precisions/int8/operating_points.json"


@pytest.fixture(scope="module")
def untouched_both(untouched_project: Path, tmp_path_factory) -> Path:
    releases = tmp_path_factory.mktemp("both") / "releases"
    folder: Path = Project(untouched_project).seal().written[0]
    return Path(shutil.copytree(folder, releases / folder.name))


@pytest.fixture
def both(untouched_both: Path, tmp_path: Path) -> Path:
    """A release of both precisions that a test may change."""
    return shutil.copytree(untouched_both, tmp_path / "releases" / untouched_both.name)


def test_each_precision_decides_by_thresholds_certified_on_its_own_scores(both: Path, project: Project) -> None:
    assert verified(both).ok, verified(both).lines
    assert "precisions fp32, int8" in verified(both).lines
    served = read_served_policies(both / "policies.json").by_precision()
    found = {}
    for precision, decided in served.items():
        model = load_onnx(both / f"onnx/{precision}/model.onnx")
        assert read_decision(model) == decided.decision()
        assert model_digest(model) == decided.model_digest == decided.scores.model_digest
        assert decided.scores.runtime is not None
        assert decided.scores.runtime.endswith(f"-cpu-{precision}")
        found[precision] = decided.policies[0].bands[0].threshold
    own = load_operating_points(project.root / "calibration" / "precisions" / "int8")
    assert found["int8"] == own.policies[0].bands[0].threshold
    assert found["int8"] != found["fp32"]
    assert read_json(both / "manifest.json")["engines"] == ["onnx/fp32", "onnx/int8"]
    gate = read_gate(both / "reports" / "decisions")
    assert gate is not None
    assert gate.of("int8").passed
    assert "| int8 | passed |" in (both / "MODEL_CARD.md").read_text()


def test_predict_serves_either(both: Path, project: Project) -> None:
    predict = types.ModuleType("predict_of_precisions")
    sys.modules[predict.__name__] = predict
    exec(compile(bundle_predict(), "predict.py", "exec"), predict.__dict__)
    picture = project.root / "posts" / "0-0.png"
    scores = {
        name: read_scores(project.root / name / "scores.parquet", ["fire"]) for name in ("scores", "scores_int8")
    }
    for precision, name in (("fp32", "scores"), ("int8", "scores_int8")):
        answer = predict.load(both, precision=precision).predict([picture])[0]
        assert answer.logit == pytest.approx(scores[name].of(["p00"])[0, 0], abs=1e-5)
        decided = read_served_policies(both / "policies.json").by_precision()[precision]
        assert [band.threshold for band in answer.bands] == [band.threshold for band in decided.policies[0].bands]
    with pytest.raises(predict.ReleaseError, match=r"no precision 'fp16'; found fp32, int8"):
        predict.load(both, precision="fp16")


def test_golden_inputs_replay_in_each(both: Path) -> None:
    replay = read_replay(both / "golden")
    runtime = OnnxRuntime(both, precision="int8")
    for place in range(len(replay.item_ids)):
        batch, fp32 = read_exchange(both / "golden", place)
        same, int8 = read_exchange(both / "golden", place, "int8")
        assert np.array_equal(batch.frames, same.frames)
        assert not np.array_equal(fp32.logits, int8.logits)
        assert np.array_equal(runtime.run(batch).flags, int8.flags)


def test_what_flips_too_much_is_left_out_and_the_release_says_why(project: Project) -> None:
    project.calibrate(most_flips=0)
    summary = project.seal()
    folder = summary.written[0]
    assert any(line.startswith("without int8: ") and "decisions flip" in line for line in summary.lines)
    assert not (folder / "onnx" / "int8").exists()
    assert not read_gate(folder / "reports" / "decisions").of("int8").passed
    assert "| int8 | refused: " in (folder / "MODEL_CARD.md").read_text()
    assert verified(folder).ok, verified(folder).lines
    with pytest.raises(InputError, match=r"int8 cannot be sealed: .*decisions flip"):
        project.seal(precisions=["fp32", "int8"])


def test_fp32_alone_on_request_and_unknown_names_are_refused(project: Project) -> None:
    summary = project.seal(precisions=["fp32"])
    assert [path.name for path in (summary.written[0] / "onnx").iterdir()] == ["fp32"]
    assert verified(summary.written[0]).ok
    with pytest.raises(InputError, match="has no precision 'fp16'"):
        project.seal(precisions=["fp32", "fp16"])
    with pytest.raises(InputError, match="expected fp32 and others, each once"):
        project.seal(precisions=["int8"])
    (project.root / "calibration" / "precisions.json").unlink()
    with pytest.raises(InputError, match="int8 cannot be sealed: it was not compared with fp32"):
        project.seal(precisions=["fp32", "int8"])


def test_a_certificate_of_another_int8_model_is_refused(project: Project) -> None:
    points = project.root / "calibration" / "precisions" / "int8"
    change_json(points, "operating_points.json", "scores", "model_digest", value="6" * 64)
    with pytest.raises(InputError, match=r"(?s)compared other scores of int8.*certified for another model"):
        project.seal()


@pytest.mark.parametrize(
    ("name", "keys", "value", "message"),
    [
        (
            "policies.json",
            ("precisions", "int8", "policies", 0, "bands", 0, "threshold"),
            -25.0,
            "onnx/int8/model.onnx: setpoint.thresholds is not what",
        ),
        ("policies.json", ("precisions", "int8", "policies", 0, "bands", 0, "action"), "other", "has other packs"),
        ("policies.json", ("precisions",), {}, "names the models"),
        (INT8, ("scores", "digest"), "0" * 64, "int8: scores or golden set are not those of the operating points"),
        ("reports/decisions/precisions.json", ("precisions", 0, "reasons"), ["no"], "int8 did not pass the gate"),
        ("reports/decisions/precisions.json", ("precisions", 0, "name"), "int4", "int8 did not pass the gate"),
        ("reports/decisions/precisions.json", ("reference", "digest"), "0" * 64, "other scores of fp32"),
        ("sbom.cdx.json", ("components", 0, "hashes", 0, "content"), "0" * 64, "not a CycloneDX file of this model"),
    ],
)
def test_a_changed_precision_is_found_under_a_manifest_made_anew(both, name, keys, value, message) -> None:
    change_json(both, name, *keys, value=value)
    found = reasons(resealed(both))
    assert any(message in reason for reason in found), found


def test_a_precision_that_is_taken_out_or_exchanged_is_found(both: Path) -> None:
    shutil.copyfile(both / "onnx/fp32/model.onnx", both / "onnx/int8/model.onnx")
    found = reasons(resealed(both))
    assert any("onnx/int8/model.onnx: its model digest is not that of policies.json" in reason for reason in found)


def test_new_thresholds_for_both_need_no_model_folder(project: Project, both: Path) -> None:
    shutil.rmtree(project.root / "model")
    change_json(
        project.root / "calibration", "operating_points.json", "policies", 0, "bands", 0, "n_unknown", value=7
    )
    child = project.seal(parent=both).written[0]
    assert read_json(child / "manifest.json")["engines"] == ["onnx/fp32", "onnx/int8"]
    assert verified(child).ok, verified(child).lines


def test_packs_hold_both_precisions(project: Project) -> None:
    pack = Pack(calibration=project.root / "calibration")
    folder = project.seal(packs={"eu": pack, "us": pack}).written[0]
    assert verified(folder).ok, verified(folder).lines
    assert (folder / "reports/precisions/int8/us/operating_points.json").is_file()
    assert (folder / "reports/decisions/us/precisions.json").is_file()
    decided = read_served_policies(folder / "policies.json").precisions["int8"]
    assert [pack.name for pack in decided.all_packs()] == ["eu", "us"]
    assert read_decision(load_onnx(folder / "onnx/int8/model.onnx")).thresholds.shape == (6,)


def test_a_server_and_the_bench_run_either(both: Path, tmp_path: Path) -> None:
    model = load_model(both, precision="int8")
    batch, expected = read_exchange(both / "golden", 0, "int8")
    answer = model.run(batch.arrays())
    assert np.array_equal(answer["flags"], expected.flags)
    assert 'precision="int8"' in model.counts.text()
    bench(release=both, out=tmp_path / "bench", batch_sizes=[1], threads=[1], seconds=0.01)
    rows = read_json(tmp_path / "bench" / both.name / "bench.json")["rows"]
    assert [row["precision"] for row in rows] == ["fp32", "int8"]
