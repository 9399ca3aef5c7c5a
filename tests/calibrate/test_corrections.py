"""Corrections: what is tested for, simulated against the truth, and shown in the result."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from calibrate import choose_threshold
from calibrate.corrections import Corrections
from data.errors import InputError

DRAWS, TARGET, DELTA = 150, 0.9, 0.1
MOST_VIOLATIONS = int(stats.binom.ppf(0.999, DRAWS, DELTA))


@given(st.floats(0.05, 0.99), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0.1, 10))
def test_the_tested_share_is_what_the_target_looks_like(target: float, a: float, b: float, ratio: float) -> None:
    tested = Corrections(a, b, ratio).tested_target(target)
    in_sample = (tested - a) / (1 - a - b)
    odds = in_sample / (1 - in_sample) * ratio
    assert odds / (1 + odds) == pytest.approx(target)


@pytest.mark.parametrize("corrected", [True, False])
def test_annotator_error(corrected: bool) -> None:
    """Truth just below the target everywhere; annotators call 30 % of the harmless posts violating."""
    random = np.random.default_rng(0)
    corrections = Corrections(false_positive_rate=0.3) if corrected else Corrections()
    certified = 0
    for _ in range(DRAWS):
        truth = random.random(600) < 0.898
        labels = truth | (random.random(600) < 0.3)
        point = choose_threshold(
            random.random(600), labels, target_precision=TARGET, confidence=1 - DELTA, corrections=corrections
        )
        certified += point.status == "certified"
    assert (certified <= MOST_VIOLATIONS) == corrected


@pytest.mark.parametrize("corrected", [True, False])
def test_prior_shift_by_two(corrected: bool) -> None:
    """The sample's odds are twice those of the traffic, where the precision is just below the target."""
    random = np.random.default_rng(1)
    in_sample = 2 * 0.898 / (2 * 0.898 + 0.102)
    corrections = Corrections(prior_odds_ratio=0.5) if corrected else Corrections()
    certified = 0
    for _ in range(DRAWS):
        point = choose_threshold(
            random.random(600),
            random.random(600) < in_sample,
            target_precision=TARGET,
            confidence=1 - DELTA,
            corrections=corrections,
        )
        certified += point.status == "certified"
    assert (certified <= MOST_VIOLATIONS) == corrected


def test_corrections_are_visible() -> None:
    labels = np.ones(500)
    labels[:20] = np.nan
    question = {"target_precision": 0.9, "confidence": 0.95}
    point = choose_threshold(
        -np.arange(500.0), labels, corrections=Corrections(0.01, 0.0, 0.8, "not_violating"), **question
    )
    assert (point.target, point.tested_target) == (0.9, pytest.approx(0.919, abs=1e-3))
    assert "testing for a share of 0.919" in point.method
    text = " ".join(point.assumptions)
    assert "labels are right" not in text
    assert "at most 0.01" in text
    assert "at least 0.8 times" in text
    assert "worst case" in text
    assert (point.n_unknown, point.status) == (0, "certified")
    plain = choose_threshold(-np.arange(500.0), labels, **question)
    assert (plain.tested_target, plain.n_unknown) == (None, 20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"false_positive_rate": -0.1}, "false_positive_rate must lie in .0, 1., got -0.1"),
        ({"false_positive_rate": 0.6, "false_negative_rate": 0.4}, "must be below 1"),
        ({"prior_odds_ratio": 0.0}, "prior_odds_ratio must be positive and finite, got 0.0"),
        ({"prior_odds_ratio": float("nan")}, "prior_odds_ratio must be positive"),
        ({"unresolved": "guess"}, "unresolved must be left_out or not_violating, got 'guess'"),
    ],
)
def test_bad_corrections_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Corrections(**arguments)


def test_the_verb_takes_corrections(calibration) -> None:
    calibration.run()
    plain = json.loads((calibration.out / "operating_points.json").read_text())["policies"][0]["bands"][0]
    calibration.run(prior_odds_ratio=0.5)
    content = json.loads((calibration.out / "operating_points.json").read_text())
    band = content["policies"][0]["bands"][0]
    assert band["target"] == plain["target"] < band["tested_target"]
    assert band["threshold"] is None or band["threshold"] > plain["threshold"]
    with pytest.raises(InputError, match="label_false_positive_rate must lie in"):
        calibration.run(label_false_positive_rate=2.0)
