"""Golden sets drawn above a floor, by strata or in clusters: what is certified on them, and of what."""

import json
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from page_facts import page_facts
from scipy import stats

from calibrate import choose_threshold
from calibrate.operating_points_file import load_operating_points
from calibrate.plan.run import plan
from calibrate.traffic.run import traffic
from data.errors import InputError
from data.golden import GoldenDescription, ScoredBy, freeze_golden, load_golden
from data.policy import load_policies
from data.sampling import draw_sample
from data.scores import Scores, read_scores, write_scores

BY_FIRE = ScoredBy(policy_id="fire", scale="logit", model_digest="ab" * 32, runtime="onnxruntime-test")


def redraw(calibration, keep: Any = None, chances: Any = 0.01, **description: Any) -> None:
    """Freeze a part of the golden set again, as if it had been drawn in another way."""
    old = load_golden(calibration.golden)
    scores = read_scores(calibration.scores, ["fire"]).of(old.items["item_id"].to_list())[:, 0]
    chosen = np.ones(len(scores), bool) if keep is None else keep(scores)
    chance = np.broadcast_to(chances(scores) if callable(chances) else chances, scores.shape)
    items = old.items.with_columns(inclusion_prob=pl.Series(chance)).filter(chosen)
    annotations = old.annotations.filter(pl.col("item_id").is_in(items["item_id"].implode()))
    content = {"name": "redrawn", "version": "1", "design": "simple_random", "population": "posts", **description}
    calibration.golden = calibration.golden.parent / "redrawn"
    freeze_golden(
        calibration.golden, items, annotations, load_policies(calibration.policies), GoldenDescription(**content)
    )


def above(floor: float) -> Any:
    return lambda scores: scores >= floor


def test_above_a_floor_recall_is_of_what_lies_above(calibration) -> None:
    redraw(calibration, above(1.5), floor=1.5, scored_by=BY_FIRE)
    summary = calibration.run()
    content = load_operating_points(calibration.out)
    fire, scam = content.policies
    removal, review, _ = fire.bands
    assert (removal.status, removal.recall_above) == ("certified", 1.5)
    assert removal.threshold >= 1.5
    assert "scan" in removal.method
    assert (content.golden_set.floor, content.golden_set.floor_policy) == (1.5, "fire")
    assert any(" above 1.50" in line and "auto_remove" in line for line in summary.lines)
    shown, other = page_facts(calibration.out)["policies"]
    assert (shown["floor"], shown["no_evidence"]) == (1.5, None)
    assert "drawn by the scores of fire" in other["no_evidence"]
    # Neither another policy nor the recall of all traffic can be certified on what lies above this one's floor.
    assert (scam.bands[0].status, review.status) == ("not_attainable", "not_attainable")
    assert "drawn by the scores of fire, from 1.5 on" in scam.bands[0].reason
    assert "how many violating posts score lower" in review.reason
    assert scam.calibrator.expected_calibration_error is None


@pytest.mark.parametrize(
    ("floor", "scored_by", "words"),
    [
        (1.5, {"runtime": "tensorrt"}, "runtime = 'onnxruntime-test'.*'tensorrt'.*one model's scores"),
        (1.5, {"model_digest": None}, "model_digest = 'abab.*drawn by scores with None"),
        (2.5, {}, "golden items score below their floor 2.5"),
    ],
)
def test_a_floor_is_on_one_models_scores(calibration, floor: float, scored_by: dict, words: str) -> None:
    redraw(calibration, above(1.5), floor=floor, scored_by=BY_FIRE.model_copy(update=scored_by))
    with pytest.raises(InputError, match=words):
        calibration.run()


def test_the_floor_is_checked_under_the_scores_being_calibrated(calibration) -> None:
    redraw(calibration, above(1.5), floor=1.5, scored_by=BY_FIRE)
    scores = read_scores(calibration.scores, ["fire", "scam"])
    write_scores(calibration.scores, Scores(scores.item_ids, scores.policy_ids, scores.values - 1, scores.metadata))
    with pytest.raises(InputError, match=r"golden items score below their floor 1\.5"):
        calibration.run()


def stratify(calibration) -> None:
    """Keep half of the posts that score below 2, and say so."""
    chances = lambda scores: np.where(scores < 2, 0.005, 0.01)  # noqa: E731
    every_second = lambda scores: (scores >= 2) | (np.arange(len(scores)) % 2 == 0)  # noqa: E731
    redraw(calibration, every_second, chances, design="stratified", scored_by=BY_FIRE)


def test_strata_are_tested_by_betting_with_their_weights(calibration) -> None:
    calibration.run()
    of_all = load_operating_points(calibration.out).policies[0].bands[0]
    stratify(calibration)
    calibration.run()
    fire, scam = load_operating_points(calibration.out).policies
    removal, review, _ = fire.bands
    assert "betting" in removal.method
    assert "betting" in review.method
    assert (removal.status, review.status) == ("certified", "certified")
    assert removal.recall == pytest.approx(of_all.recall, abs=0.15)  # both estimate the recall of all traffic
    low, high = removal.recall_interval
    assert low < removal.recall < high
    assert removal.recall_above is None
    assert scam.bands[0].status == "not_attainable"
    curves = pl.read_parquet(calibration.out / "curves.parquet").filter(policy_id="fire", action="auto_remove")
    assert curves["precision_lower_band"].null_count() == 0
    assert (curves["precision_lower_bound"] <= curves["precision"]).all()
    # What the items of the lower stratum stand for is not what they count for.
    assert curves["precision"][-1] < curves["true_positives"][-1] / curves["n_flagged"][-1] - 0.05


def test_what_is_proven_for_simple_samples_alone_is_refused(calibration) -> None:
    stratify(calibration)
    with pytest.raises(InputError, match=r"auditor=llm: the golden set .* has unequal inclusion_prob"):
        calibration.run(auditor="llm")
    with pytest.raises(InputError, match=r"recent=: the golden set .* has unequal inclusion_prob"):
        calibration.run(recent=calibration.validation)


def test_only_policies_that_the_set_speaks_of_are_looked_at(calibration) -> None:
    redraw(calibration, above(1.5), floor=1.5, scored_by=BY_FIRE)
    calibration.run()
    [line] = (calibration.golden / "looks.jsonl").read_text().splitlines()
    assert list(json.loads(line)["looks"]) == ["fire"]
    fire, scam = load_operating_points(calibration.out).policies
    assert [band.look is None for band in fire.bands] == [False, True, True]
    assert scam.bands[0].look is None


def test_without_a_validation_split_the_page_says_that_no_ribbon_holds(calibration) -> None:
    stratify(calibration)
    calibration.validation = None
    calibration.run()
    assert pl.read_parquet(calibration.out / "curves.parquet")["precision_lower_band"].null_count() > 0
    assert not page_facts(calibration.out)["policies"][0]["bands"][0]["has_ribbon"]


def test_items_of_one_cluster_are_one_bet(make_calibration) -> None:
    calibration = make_calibration(duplicates=True)
    summary = calibration.run()
    assert any("2 of 600 golden items are near-duplicates" in line for line in summary.lines)
    removal, review, _ = load_operating_points(calibration.out).policies[0].bands
    assert "betting" in removal.method
    assert any("Clusters came into the sample" in sentence for sentence in review.assumptions)
    assert page_facts(calibration.out)["evidence"]["golden_set"]["n_sharing_cluster"] == 2


def test_expired_sets_certify_nothing_and_the_date_stands_in_no_output(calibration) -> None:
    redraw(calibration, expires_at=date(2027, 6, 30))
    with pytest.raises(InputError, match="2027-06-30: it certifies nothing after that"):
        calibration.run(today=date(2027, 7, 1))
    assert not calibration.out.exists()
    written = []
    for today in (date(2027, 6, 30), date(2026, 1, 1)):
        calibration.run(today=today)
        written.append({file: file.read_bytes() for file in calibration.out.rglob("*.*")})
    assert written[0] == written[1]


def test_validation_weights_reach_the_calibrator(calibration) -> None:
    calibration.run()
    even = load_operating_points(calibration.out).policies[0].calibrator
    file = calibration.validation / "items.parquet"
    items = pl.read_parquet(file)
    chances = np.where(np.arange(len(items)) < 200, 0.01, 0.5)
    items.with_columns(inclusion_prob=pl.Series(chances)).write_parquet(file)
    calibration.run()
    assert load_operating_points(calibration.out).policies[0].calibrator.offset != even.offset


def test_a_band_by_capacity_is_not_described_below_the_floor(calibration, tmp_path) -> None:
    file = calibration.policies / "fire.yaml"
    content = yaml.safe_load(file.read_text())
    content["bands"] = [
        {"action": "restrict", "capacity_per_day": 40},
        {"action": "escalate", "capacity_per_day": 500},
    ]
    file.write_text(yaml.safe_dump(content))
    traffic(scores=calibration.scores, out=tmp_path / "traffic.parquet", days=1)
    redraw(calibration, above(1.5), floor=1.5, scored_by=BY_FIRE)
    calibration.run(traffic=tmp_path / "traffic.parquet")
    strict, loose = load_operating_points(calibration.out).policies[0].bands
    assert strict.threshold > 1.5 > loose.threshold
    assert (strict.precision is None, strict.recall_above) == (False, 1.5)
    assert (loose.precision, loose.recall, loose.recall_interval) == (None, None, None)
    assert page_facts(calibration.out)["policies"][0]["bands"][1]["record"]["precision"] is None


def test_a_plan_from_a_set_above_a_floor_speaks_of_what_lies_above(calibration, tmp_path) -> None:
    redraw(calibration, above(1.5), floor=1.5, scored_by=BY_FIRE)
    given = {"policies": calibration.policies, "scores": calibration.scores, "golden": calibration.golden}
    summary = plan(**given, pool=calibration.scores, out=tmp_path / "plan")
    fire, scam = json.loads((tmp_path / "plan/plan.json").read_text())["policies"]
    assert fire["above"] == 1.5
    options = fire["bands"][0]["options"]
    assert min(option["floor"] for option in options) == options[0]["floor"] == 1.5
    assert "drawn by the scores of fire" in scam["bands"][0]["reason"]
    assert any("shares and recalls of fire are of posts that score at least 1.5" in line for line in summary.lines)


def sampled(design: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels and probabilities of a draw from 20,000 posts: precision .93 above .6, and .3 below."""
    random = np.random.default_rng(seed)
    scores = random.random(20_000).astype(np.float32)
    labels = (random.random(20_000) < np.where(scores > 0.6, 0.93, 0.3)).astype(float)
    eligible = scores >= (0.3 if design == "above a floor" else 0)
    sample = draw_sample(scores, eligible, size=400, n_strata=5 if design == "strata" else 1, seed=seed)
    chances = np.array([part.inclusion_prob for part in sample.strata])[sample.stratum]
    return scores[sample.rows], labels[sample.rows], chances


@pytest.mark.parametrize("design", ["above a floor", "strata"])
def test_thresholds_hold_on_drawn_samples(design: str) -> None:
    """80 draws at 90 %, up to the 0.999 quantile of Bin(80, 0.1); the target is met from .58 on."""
    target, fell_through = 0.9, 0.6 - 0.4 * 0.03 / 0.6
    violations = certified = 0
    for seed in range(80):
        scores, labels, chances = sampled(design, seed)
        point = choose_threshold(scores, labels, target_precision=target, confidence=0.9, inclusion_prob=chances)
        certified += point.status == "certified"
        violations += point.threshold is not None and point.threshold < fell_through
    assert violations <= stats.binom.ppf(0.999, 80, 0.1)
    assert certified > 5
