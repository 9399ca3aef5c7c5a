import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from calibrate.operating_points_file import load_operating_points
from data.errors import InputError
from data.labels import derive_labels, label_matrix
from data.policy import load_policies
from data.scores import Scores, read_scores, write_scores


def rewrite_scores(calibration, change) -> None:
    scores = read_scores(calibration.scores, ["fire", "scam"])
    write_scores(calibration.scores, change(scores))


def without(scores: Scores, item_ids: set[str]) -> Scores:
    keep = [item_id not in item_ids for item_id in scores.item_ids]
    left = [item_id for item_id in scores.item_ids if item_id not in item_ids]
    return Scores(left, scores.policy_ids, scores.values[keep], scores.metadata)


def test_writes_operating_points_that_reproduce_from_the_files(calibration) -> None:
    summary = calibration.run()
    assert summary.title == "calibrate: 2 of 3 bands certified on spring 1.0.0, 1 more by posts a day"
    assert [path.relative_to(calibration.out).as_posix() for path in summary.written] == [
        "report/index.html",
        "operating_points.json",
    ]
    content = load_operating_points(calibration.out)
    fire, scam = content.policies
    removal, review, capacity = fire.bands
    assert [band.status for band in fire.bands] == ["certified", "certified", "not_attainable"]
    assert "count of the traffic" in capacity.reason
    assert (scam.bands[0].status, scam.bands[0].threshold) == ("not_attainable", None)
    assert any("never sees" in line for line in summary.lines) == (removal.threshold <= review.threshold)
    assert (content.golden_set.n_items, content.golden_set.n_sharing_cluster) == (600, 0)
    assert (content.scores.model_digest, content.scores.runtime) == ("ab" * 32, "onnxruntime-test")
    assert (removal.n_labelled, removal.n_unknown) == (540, 60)

    policies = load_policies(calibration.policies)
    item_ids = pl.read_parquet(calibration.golden / "items.parquet")["item_id"].to_list()
    labels = label_matrix(
        item_ids, derive_labels(pl.read_parquet(calibration.golden / "annotations.parquet"), policies), ["fire"]
    )[:, 0]
    scores = read_scores(calibration.scores, ["fire"]).of(item_ids)[:, 0]
    flagged = scores >= np.float32(removal.threshold)
    assert flagged.sum() == removal.n_flagged
    assert np.nanmean(labels[flagged]) == pytest.approx(removal.precision)
    assert fire.calibrator.reason is None
    assert fire.calibrator.expected_calibration_error < 0.1


def test_json_holds_exact_float32_and_no_sentinels(calibration) -> None:
    calibration.run()
    content = json.loads((calibration.out / "operating_points.json").read_text())
    assert content["schema"] == "setpoint/operating_points/v1"
    for policy in content["policies"]:
        for band in policy["bands"]:
            if band["status"] == "certified":
                assert float(np.float32(band["threshold"])) == band["threshold"]
            else:
                assert (band["threshold"], band["precision"], band["certified_range"]) == (None, None, None)


def test_curves_hold_every_band(calibration) -> None:
    calibration.run()
    curves = pl.read_parquet(calibration.out / "curves.parquet")
    assert curves.columns[:4] == ["policy_id", "action", "queue", "threshold"]
    assert curves.select("policy_id", "action").unique().height == 4
    certified = curves.filter("certified")
    assert set(certified["action"]) == {"auto_remove", "review"}
    assert pl.read_csv(calibration.out / "curves.csv").height == curves.height


def test_two_runs_give_the_same_bytes(calibration) -> None:
    calibration.run()
    first = {path: path.read_bytes() for path in calibration.out.rglob("*") if path.is_file()}
    calibration.run()
    assert len(first) == 10
    assert all(path.read_bytes() == content for path, content in first.items())


def test_without_validation_thresholds_are_certified_and_probabilities_are_not_fitted(calibration) -> None:
    calibration.validation = None
    calibration.run()
    content = load_operating_points(calibration.out)
    assert content.pilot_digest is None
    assert content.policies[0].calibrator.reason == "no validation split was given"
    assert "scan over golden ranks with" in content.policies[0].bands[0].method


def test_probability_scores_give_the_same_decisions(make_calibration, tmp_path: Path) -> None:
    calibration = make_calibration(scale="probability")
    calibration.run()
    content = load_operating_points(calibration.out)
    band = content.policies[0].bands[0]
    assert 0 < band.threshold < 1
    assert content.policies[0].calibrator.expected_calibration_error < 0.1


def test_separate_validation_scores(calibration, tmp_path: Path) -> None:
    calibration.run()
    together = (calibration.out / "curves.parquet").read_bytes()
    calibration.validation_scores = tmp_path / "validation_scores.parquet"
    shutil.copy(calibration.scores, calibration.validation_scores)
    rewrite_scores(calibration, lambda scores: without(scores, {f"v{index:04d}" for index in range(400)}))
    calibration.run()
    assert (calibration.out / "curves.parquet").read_bytes() == together


def refuse(calibration, *parts: str) -> None:
    with pytest.raises(InputError) as caught:
        calibration.run()
    for part in parts:
        assert part in str(caught.value)
    assert not calibration.out.exists() or (calibration.out / "mine.txt").exists()


def test_golden_items_without_scores_are_counted_and_named(calibration) -> None:
    rewrite_scores(calibration, lambda scores: without(scores, {"g0003", "g0007"}))
    refuse(calibration, str(calibration.scores), "2 of 600 items have no score", "'g0003'")


def test_a_policy_without_a_score_column(calibration) -> None:
    text = (calibration.policies / "fire.yaml").read_text().replace("policy_id: fire", "policy_id: arson")
    (calibration.policies / "fire.yaml").write_text(text)
    refuse(calibration, "golden.yaml", "policy_versions.arson", "'missing'")


def test_scores_without_a_policys_column(calibration) -> None:
    frame = pl.read_parquet(calibration.scores).drop("scam")
    frame.write_parquet(calibration.scores)
    refuse(calibration, str(calibration.scores), "scam", "this column is missing")


def test_labels_of_another_policy_version(calibration) -> None:
    text = (calibration.policies / "fire.yaml").read_text().replace("version: 1.0.0", "version: 1.1.0")
    (calibration.policies / "fire.yaml").write_text(text)
    refuse(calibration, "policy_versions.fire = '1.0.0'", "the policy is at version 1.1.0")


def test_golden_items_in_the_validation_split(calibration, tmp_path: Path) -> None:
    calibration.validation = tmp_path / "sample"
    refuse(calibration, "600 items are also in the golden set", "'g0000'")


def test_validation_scores_of_another_model(calibration, tmp_path: Path) -> None:
    other = read_scores(calibration.scores, ["fire", "scam"])
    calibration.validation_scores = tmp_path / "other.parquet"
    metadata = other.metadata.model_copy(update={"runtime": "tensorrt"})
    write_scores(calibration.validation_scores, Scores(other.item_ids, other.policy_ids, other.values, metadata))
    refuse(calibration, "runtime = 'tensorrt'", "'onnxruntime-test'")


def test_validation_scores_alone(calibration) -> None:
    calibration.validation_scores, calibration.validation = calibration.scores, None
    refuse(calibration, "given without validation")


def test_a_folder_that_is_no_calibration_is_never_replaced(calibration) -> None:
    calibration.out.mkdir()
    (calibration.out / "mine.txt").write_text("keep")
    refuse(calibration, "is no earlier calibration")
    assert (calibration.out / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(more=1), "more = 1: unknown key"),
        (lambda content: content["policies"][0]["bands"][0].update(threshold=0.1), "must be a float32 number"),
        (
            lambda content: content["policies"][0]["bands"][0].update(threshold=None),
            "status certified, fits or waived",
        ),
        (lambda content: content["policies"][0]["bands"][0].update(status="fits"), "found fits by precision"),
        (lambda content: content.update(schema="v0"), "schema = 'v0'"),
    ],
)
def test_tampered_operating_points_are_refused(calibration, change, message: str) -> None:
    calibration.run()
    path = calibration.out / "operating_points.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        load_operating_points(path)


def test_calibrate_imports_no_torch() -> None:
    heavy = "{'torch', 'transformers', 'onnx', 'onnxruntime', 'av'}"
    script = f"import calibrate, calibrate.run, sys; assert not {heavy} & set(sys.modules), sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
