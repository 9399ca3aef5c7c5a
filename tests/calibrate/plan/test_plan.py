"""The planner: its numbers of labels against the real test on a known population, and the verb."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from calibrate import choose_threshold
from calibrate.plan import inputs as plan_inputs
from calibrate.plan.power import labels_above
from calibrate.plan.prospect import prospect_of
from calibrate.plan.run import plan
from calibrate.plan.strata import labels_in_strata
from calibrate.probability import Calibrator, as_logits, fit_platt
from data.errors import InputError
from data.scores import Scores, read_scores, write_scores

# Beta scores of violating and other posts, and a truth that a million of them tell.
POSITIVE, NEGATIVE, PREVALENCE = (5, 1.5), (1, 8), 0.05
TARGET, DELTA, KEEP = 0.9, 0.05, 0.8


def draw(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    labels = random.random(n) < PREVALENCE
    scores = np.where(labels, random.beta(*POSITIVE, n), random.beta(*NEGATIVE, n))
    return scores.astype(np.float32), labels.astype(float)


def test_planned_labels_have_the_power_that_was_planned_and_a_floor_is_worth_several_times_its_labels() -> None:
    """Power of 80 % is planned from four pilots of 4,000; 20 draws each with the real test see 65 to 95 % of it."""
    random = np.random.default_rng(0)
    scores, labels = draw(random, 500_000)
    order = np.argsort(-scores)
    caught = np.cumsum(labels[order])
    recall, precision = caught / caught[-1], caught / np.arange(1, len(caught) + 1)
    best = recall[precision >= TARGET].max()
    planned, successes = np.zeros((4, 2)), np.zeros((4, 2))
    for pilot_place in range(4):
        pilot = draw(random, 4000)
        calibrator = fit_platt(as_logits(pilot[0], "probability"), pilot[1])
        prospect = prospect_of(pilot[0], None, pilot, calibrator=calibrator, scale="probability")
        assert prospect.best_recall(TARGET).mean() == pytest.approx(best, abs=0.1)
        for place, floor in enumerate((prospect.floors[0], prospect.floors[3])):  # all traffic, the top fifth
            found = labels_above(prospect, floor, target=TARGET, delta=DELTA, power=0.8, keep_recall=KEEP)
            assert found is not None
            planned[pilot_place, place] = found.labels
            above = np.flatnonzero(scores >= (-1 if floor.score is None else np.float32(floor.score)))
            for _ in range(20):
                rows = random.choice(above, found.labels, replace=False)
                point = choose_threshold(scores[rows], labels[rows], target_precision=TARGET, confidence=1 - DELTA)
                if point.threshold is not None:
                    rank = np.searchsorted(-scores[order], -point.threshold, side="right")
                    successes[pilot_place, place] += recall[rank - 1] >= KEEP * best
    assert (successes.mean(axis=0) / 20 >= 0.65).all()
    assert (successes.mean(axis=0) / 20 <= 0.95).all()
    assert (planned[:, 0] >= 3 * planned[:, 1]).all()


def test_a_wide_pilot_is_believed_and_weights_count() -> None:
    random = np.random.default_rng(1)
    scores, labels = draw(random, 20_000)
    one = prospect_of(scores, None, (scores, labels), calibrator=Calibrator(), scale="probability")
    share = float((scores >= 0.5).mean())
    at = one.caught_at(np.full((len(one.caught), 1), share))
    assert at.mean() == pytest.approx(labels[scores >= 0.5].mean() * share, rel=0.1)
    # A tenth of the lower posts, with ten times the weight, is the same traffic.
    kept = (scores >= 0.3) | (np.arange(20_000) % 10 == 0)
    weights = np.where(scores >= 0.3, 1.0, 10.0)[kept]
    two = prospect_of(scores[kept], weights, None, calibrator=Calibrator(), scale="probability")
    assert two.floors[2].share == pytest.approx(1 / 3, abs=0.01)
    assert two.floors[2].score == pytest.approx(one.floors[2].score, abs=0.01)


def test_strata_need_fewer_labels_than_all_traffic_and_more_than_a_floor() -> None:
    pilot = draw(np.random.default_rng(2), 4000)
    calibrator = fit_platt(as_logits(pilot[0], "probability"), pilot[1])
    prospect = prospect_of(pilot[0], None, pilot, calibrator=calibrator, scale="probability")
    asked = {"target": TARGET, "delta": DELTA, "power": 0.8, "keep_recall": KEEP}
    strata = labels_in_strata(prospect, **asked)
    assert strata is not None
    assert strata.power >= 0.8
    above, everywhere = (labels_above(prospect, prospect.floors[place], **asked) for place in (3, 0))
    assert above.labels < strata.labels < everywhere.labels


def plan_of(calibration, /, **changes):
    keys = {
        "policies": calibration.policies,
        "scores": calibration.scores,
        "validation": calibration.validation,
        "out": calibration.out.parent / "plan",
    }
    return plan(**{**keys, **changes})


def read_plan(calibration) -> dict:
    return json.loads((calibration.out.parent / "plan/plan.json").read_text())


def test_writes_a_plan_and_says_what_cannot_be_reached(calibration) -> None:
    summary = plan_of(calibration)
    fire, scam = read_plan(calibration)["policies"]
    [removal] = fire["bands"]
    options = removal["options"]
    assert options[0]["floor"] is None
    assert [option["design"] for option in options] == ["simple_random"] * (len(options) - 1) + ["stratified"]
    chosen = options[removal["recommended"]]
    assert chosen["labels"] == min(option["labels"] for option in options if option["labels"])
    assert chosen["posts"] == pytest.approx(chosen["labels"] / 0.9, abs=1)  # a tenth of the pilot is unknown
    assert scam["bands"][0]["recommended"] is None
    assert "cannot be reached: a precision of at most" in scam["bands"][0]["reason"]
    assert summary.title == "plan: 1 of 2 precision bands can be planned for"
    assert any(f"policy=fire floor={chosen['floor']} size={chosen['posts']}" in line for line in summary.lines)
    assert any("2 bands by recall or capacity are not planned" in line for line in summary.lines)
    assert "an estimate" in summary.lines[-1]
    rows = pl.read_csv(calibration.out.parent / "plan/plan.csv")
    assert rows.height == len(options)
    assert rows.filter("recommended")["labels"].to_list() == [chosen["labels"]]
    before = (calibration.out.parent / "plan/plan.json").read_bytes()
    plan_of(calibration)
    assert (calibration.out.parent / "plan/plan.json").read_bytes() == before


def test_a_golden_set_or_a_calibrated_pool_may_stand_in(calibration) -> None:
    plan_of(calibration, golden=calibration.golden, validation=None)
    by_golden = read_plan(calibration)["policies"][0]["bands"][0]
    assert by_golden["recommended"] is not None
    calibration.run()
    given = {"scores": None, "validation": None, "pool": calibration.scores}
    summary = plan_of(calibration, **given, calibration=calibration.out)
    by_pool = read_plan(calibration)["policies"][0]
    assert (by_pool["n_pilot_labels"], by_pool["known_share"]) == (0, None)
    assert 0.2 < by_pool["bands"][0]["best_recall"] <= 1
    assert "taken at their word" in summary.lines[-1]


def test_a_pool_gives_the_floors(calibration, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = read_scores(calibration.scores, ["fire", "scam"])
    names = [f"x{index}" for index in range(5000)]
    values = scores.values[np.random.default_rng(0).integers(0, len(scores.values), 5000)]
    pool = calibration.out.parent / "pool.parquet"
    write_scores(pool, Scores(names, scores.policy_ids, values, scores.metadata))
    plan_of(calibration, pool=pool)
    for option in read_plan(calibration)["policies"][0]["bands"][0]["options"][1:-1]:
        assert (values[:, 0] >= np.float32(option["floor"])).mean() == pytest.approx(option["share"])
    monkeypatch.setattr(plan_inputs, "MOST_TRAFFIC", 1000)
    thinned = (
        plan_inputs.read_plan_inputs(
            policies=calibration.policies,
            scores=calibration.scores,
            validation=calibration.validation,
            golden=None,
            pool=pool,
            calibration=None,
        )
        .of(0)
        .traffic
    )
    assert len(thinned) == 1000
    assert np.isin(thinned, values[:, 0]).all()
    write_scores(
        pool, Scores(names, scores.policy_ids, values, scores.metadata.model_copy(update={"runtime": "other"}))
    )
    with pytest.raises(InputError, match="runtime = 'other'"):
        plan_of(calibration, pool=pool)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"power": 1.0}, "power=1.0"),
        ({"keep_recall": 0.0}, "keep_recall=0.0"),
        ({"validation": None}, "expected a pilot"),
        ({"calibration": Path("x")}, "needs pool="),
        ({"scores": Path("none.parquet")}, "none.parquet: no such file"),
    ],
)
def test_wrong_input_is_named(calibration, changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan_of(calibration, **changes)
    assert not (calibration.out.parent / "plan").exists()


def test_a_policy_without_labels_is_not_planned(calibration) -> None:
    file = calibration.validation / "annotations.parquet"
    pl.read_parquet(file).filter(pl.col("policy_id") == "fire").write_parquet(file)
    summary = plan_of(calibration)
    assert any("the pilot holds no known label of this policy" in line for line in summary.lines)


def test_a_folder_that_is_no_plan_is_never_replaced(calibration) -> None:
    with pytest.raises(InputError, match="is no earlier plan"):
        plan_of(calibration, out=calibration.policies)
