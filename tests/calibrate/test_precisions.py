"""The gate between precisions: what passes, what is refused and why, and what it costs."""

from pathlib import Path

import numpy as np
import pytest
from browser import opened
from playwright.sync_api import expect

from calibrate.following import nearest_threshold
from calibrate.gate_file import GateFile, read_gate
from calibrate.operating_points_file import load_operating_points
from data.errors import InputError
from data.files import read_json, write_json
from data.golden import load_golden
from data.labels import derive_labels, label_matrix
from data.policy import load_policies
from data.scores import Scores, read_scores, write_scores

POLICIES = ["fire", "scam"]


@pytest.fixture
def lower(calibration):
    """Writes scores of another precision: those of the first, changed."""

    def write(change, *, runtime: str = "onnxruntime-test-int8", digest: str = "cd" * 32) -> Path:
        scores = read_scores(calibration.scores, POLICIES)
        values = change(scores.values.astype(np.float64)).astype(np.float32)
        metadata = scores.metadata.model_copy(update={"model_digest": digest, "runtime": runtime})
        path = calibration.out.parent / "int8.parquet"
        write_scores(path, Scores(scores.item_ids, scores.policy_ids, values, metadata))
        return path

    return write


def a_little(values: np.ndarray) -> np.ndarray:
    return values + np.random.default_rng(0).normal(0, 1e-4, values.shape)


def test_a_precision_with_nearly_the_same_scores_passes_by_a_certificate_of_its_own(calibration, lower) -> None:
    summary = calibration.run(precisions={"int8": lower(a_little)})
    own = load_operating_points(calibration.out / "precisions" / "int8")
    fp32 = load_operating_points(calibration.out)
    assert own.scores.runtime == "onnxruntime-test-int8"
    assert own.scores.model_digest == "cd" * 32
    assert own.policies[0].bands[0].status == "certified"
    assert own.policies[0].bands[0].threshold != fp32.policies[0].bands[0].threshold
    assert (calibration.out / "precisions" / "int8" / "report" / "index.html").is_file()
    gate = read_gate(calibration.out)
    assert gate is not None
    assert gate.reference == fp32.scores
    record = gate.of("int8")
    assert record is not None
    assert (record.passed, record.scores, record.share) == (True, own.scores, 0.0)
    assert 0 < record.policies[0].max_score_difference < 1e-3
    assert gate.of("fp16") is None
    line = summary.lines[-1]
    assert line.startswith("precision int8: passed; 0 of 1,200 decisions flip, 0 of them further than 0.1")


def test_the_page_says_what_came_of_each(calibration, lower, browser) -> None:
    calibration.run(precisions={"int8": lower(a_little)})
    with opened(browser, (calibration.out / "report" / "index.html").as_uri()) as page:
        expect(page.locator("dt", has_text="In fewer bits").locator("xpath=../dd")).to_contain_text(
            "\u2068int8\u2069 passed: 0 of 1,200 decisions on golden posts (0\u00a0%) are others"
        )
    with opened(browser, (calibration.out / "precisions/int8/report/index.html").as_uri()) as page:
        expect(page.locator("dt", has_text="In fewer bits")).to_have_count(0)


def test_flips_are_those_of_each_at_its_own_thresholds(calibration, lower) -> None:
    calibration.run(precisions={"int8": lower(lambda values: values + 2)})
    record = read_gate(calibration.out).of("int8")
    fire = record.policies[0]
    assert fire.mean_score_difference == pytest.approx(2, abs=1e-5)
    assert fire.flips_at_reference > 100, "the scores all moved"
    assert fire.flips == 0, "and the thresholds with them"
    assert record.passed


def test_bands_go_where_they_decide_most_like_fp32_and_no_further_than_they_are_certified(calibration, lower) -> None:
    def shaken(values: np.ndarray) -> np.ndarray:
        return values + np.random.default_rng(1).normal(0, 0.1, values.shape)

    path = lower(shaken)
    calibration.run(precisions={"int8": path})
    own = load_operating_points(calibration.out / "precisions" / "int8").policies[0].bands[0]
    fp32 = load_operating_points(calibration.out).policies[0].bands[0]
    strictest, loosest = own.certified_range
    assert loosest < own.threshold <= strictest, "the loosest decides less like it"
    assert own.reason.startswith("Of the thresholds certified on this precision's own scores")
    ids = read_scores(calibration.scores, ["fire"]).item_ids[:600]
    before, after = (read_scores(file, ["fire"]).of(ids)[:, 0] for file in (calibration.scores, path))
    flagged = before >= np.float32(fp32.threshold)
    flips = {
        float(threshold): int((flagged != (after >= threshold)).sum())
        for threshold in (*after, np.float32(loosest), np.float32(strictest), np.float32(own.threshold))
        if loosest <= threshold <= strictest
    }
    assert flips[own.threshold] == min(flips.values())
    assert own.threshold != loosest or flips[loosest] == min(flips.values())
    golden = load_golden(calibration.golden)
    labels = label_matrix(ids, derive_labels(golden.annotations, load_policies(calibration.policies)), ["fire"])[:, 0]
    flagged_now = (after >= np.float32(own.threshold)) & ~np.isnan(labels)
    assert own.n_flagged == int((after >= np.float32(own.threshold)).sum())
    assert own.precision == pytest.approx(float(np.nanmean(labels[flagged_now])))


@pytest.mark.parametrize("seed", range(20))
def test_the_nearest_threshold_is_that_of_a_plain_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    before = random.integers(-4, 5, 12).astype(np.float32)
    after = (before + random.integers(-2, 3, 12) / np.float32(2)).astype(np.float32)
    loosest, strictest = sorted(random.uniform(-4, 4, 2).astype(np.float32).tolist())
    threshold = float(random.integers(-4, 5))
    found = nearest_threshold(before, threshold, after, (strictest, loosest))
    assert loosest <= found <= strictest

    def flips(at: float) -> int:
        return sum((a >= threshold) != (b >= at) for a, b in zip(before.tolist(), after.tolist(), strict=True))

    offered = [loosest, strictest, *(each for each in after.tolist() if loosest <= each <= strictest)]
    if loosest <= threshold <= strictest:
        offered.append(threshold)
    fewest = min(map(flips, offered))
    nearest = min(abs(each - threshold) for each in offered if flips(each) == fewest)
    assert (flips(found), abs(found - threshold)) == (fewest, nearest)


def test_too_many_flips_are_refused_and_counted_by_the_files(calibration, lower) -> None:
    def shaken(values: np.ndarray) -> np.ndarray:
        return values + np.random.default_rng(1).normal(0, 0.3, values.shape)

    path = lower(shaken)
    summary = calibration.run(precisions={"int8": path})
    record = read_gate(calibration.out).of("int8")
    assert not record.passed
    assert any("of decisions flip, at most 0.50% may" in reason for reason in record.reasons)
    assert "precision int8: REFUSED (" in summary.lines[-1]

    ids = read_scores(calibration.scores, ["fire"]).item_ids[:600]  # the golden ones come first
    decided = []
    for file, folder in ((calibration.scores, calibration.out), (path, calibration.out / "precisions" / "int8")):
        bands = load_operating_points(folder).policies[0].bands
        scores = read_scores(file, ["fire"]).of(ids)[:, 0]
        flagged = [scores >= np.float32(band.threshold) for band in bands if band.threshold is not None]
        decided.append(np.where(flagged[0], 0, np.where(flagged[1], 1, 2)))
    flips = int((decided[0] != decided[1]).sum())
    assert record.policies[0].flips == flips > 0
    assert record.policies[0].flips_outside_margin <= flips
    assert record.share == flips / 1200, "scam is not certified and flips nowhere"

    calibration.run(precisions={"int8": path}, most_flips=1)
    assert read_gate(calibration.out).of("int8").passed or record.reasons[0].startswith("fire, ")


def test_the_margin_tells_which_flips_the_reference_was_near_to(calibration, lower) -> None:
    def moved(values: np.ndarray) -> np.ndarray:
        values[np.abs(values - 1.5) < 0.05] += 0.05
        return values

    path = lower(moved)
    calibration.run(precisions={"int8": path}, margin=0)
    outside = read_gate(calibration.out).of("int8").policies[0]
    calibration.run(precisions={"int8": path}, margin=1000)
    inside = read_gate(calibration.out).of("int8").policies[0]
    assert (outside.flips_outside_margin, inside.flips_outside_margin) == (outside.flips, 0)


def test_a_lost_certificate_is_refused(calibration, lower) -> None:
    calibration.run(precisions={"int8": lower(lambda values: np.random.default_rng(0).normal(size=values.shape))})
    record = read_gate(calibration.out).of("int8")
    assert any(reason.startswith("fire, auto_remove: not certified on its own scores (") for reason in record.reasons)


def test_all_precisions_are_one_look(calibration, lower) -> None:
    path = lower(a_little)
    for _ in range(2):
        calibration.run(precisions={"int8": path})
        numbers = [
            load_operating_points(folder).policies[0].bands[0].look.number
            for folder in (calibration.out, calibration.out / "precisions" / "int8")
        ]
        assert numbers == [1, 1]
    assert len((calibration.golden / "looks.jsonl").read_text().splitlines()) == 1
    calibration.run(precisions={"int8": lower(lambda values: values + 1)})
    assert load_operating_points(calibration.out).policies[0].bands[0].look.number == 2, "other scores, another look"


def test_a_shared_error_budget_is_shared_by_the_precisions_too(calibration, lower) -> None:
    calibration.run(error_budget="all", precisions={"int8": lower(a_little)})
    assert load_operating_points(calibration.out).error_budget.n_claims == 6  # two bands and one, twice


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runtime": "onnxruntime-test", "digest": "ab" * 32}, "the same model as scores="),
        ({"runtime": "onnxruntime-test-fp16"}, "not of int8"),
    ],
)
def test_scores_of_something_else_are_refused_before_a_look(calibration, lower, changes, message) -> None:
    with pytest.raises(InputError, match=message):
        calibration.run(precisions={"int8": lower(a_little, **changes)})
    assert not (calibration.golden / "looks.jsonl").exists()


def test_a_file_that_contradicts_itself_is_refused(calibration, lower) -> None:
    calibration.run(precisions={"int8": lower(a_little)})
    content = read_json(calibration.out / "precisions.json")
    content["precisions"][0]["policies"][0]["flips"] = 1
    write_json(calibration.out / "precisions.json", content)
    with pytest.raises(InputError, match=r"a share of 0.0 is not that of 1 flips"):
        read_gate(calibration.out)
    content["precisions"][0]["share"] = 1 / 1200
    assert GateFile.model_validate(content).precisions[0].passed
    content["most_flips"] = 0
    with pytest.raises(ValueError, match="more flips than 0"):
        GateFile.model_validate(content)
