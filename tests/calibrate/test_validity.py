"""How often a certified threshold misses its target, by simulation on curves whose truth is known.

Error rate of these tests: each asks that the number of violations in 300 draws stays below the 0.999 quantile of
Bin(300, delta), so a valid method fails with probability below 0.001; seeds are fixed.
"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from calibrate import choose_recall_threshold, choose_threshold

DRAWS = 300
TARGET, DELTA = 0.9, 0.1
MOST_VIOLATIONS = int(stats.binom.ppf(0.999, DRAWS, DELTA))


def step(score: NDArray) -> NDArray:
    """Precision exactly at the target from the top down to 0.4, worse below: the hardest case of the theory."""
    return np.where(score >= 0.4, TARGET, 0.6)


def just_below(score: NDArray) -> NDArray:
    """Just below the target everywhere: every certified threshold is a violation."""
    return np.full_like(score, TARGET - 0.002)


def smooth(score: NDArray) -> NDArray:
    """A good classifier."""
    return expit(12 * (score - 0.6))


GRID = np.linspace(0, 1, 20_001)


def precision_curve(chance: Callable) -> Callable[[float], float]:
    """threshold -> P(violating | score >= threshold) for scores uniform on [0, 1], by the midpoint rule."""
    middle = (GRID[1:] + GRID[:-1]) / 2
    above = np.cumsum(chance(middle)[::-1])[::-1] / np.arange(len(middle), 0, -1)
    return lambda threshold: float(np.interp(threshold, GRID[:-1], above))


@pytest.mark.parametrize("with_pilot", [False, True])
@pytest.mark.parametrize("chance", [step, just_below, smooth])
def test_certified_precision_is_missed_at_most_delta_of_the_time(chance: Callable, with_pilot: bool) -> None:
    random = np.random.default_rng(2)
    true_precision = precision_curve(chance)
    violations = certified = 0
    for _ in range(DRAWS):
        scores = random.random(500)
        labels = random.random(500) < chance(scores)
        pilot = {}
        if with_pilot:
            pilot_scores = random.random(200)
            pilot = {"pilot_scores": pilot_scores, "pilot_labels": random.random(200) < chance(pilot_scores)}
        point = choose_threshold(scores, labels, target_precision=TARGET, confidence=1 - DELTA, **pilot)
        if point.threshold is not None:
            certified += 1
            violations += true_precision(point.threshold) < TARGET - 1e-4
    assert violations <= MOST_VIOLATIONS
    if chance is smooth:
        assert certified > 0.6 * DRAWS


def test_choosing_the_empirical_precision_would_fail_here() -> None:
    """The simulation can tell: the naive rule violates far more often than delta."""
    random = np.random.default_rng(2)
    true_precision = precision_curve(smooth)
    violations = 0
    for _ in range(DRAWS):
        scores = np.sort(random.random(500))[::-1]
        right = np.cumsum(random.random(500) < smooth(scores))
        rank = np.flatnonzero(right / np.arange(1, 501) >= TARGET)[-1]
        violations += true_precision(scores[rank]) < TARGET
    assert violations > 2 * MOST_VIOLATIONS


@pytest.mark.parametrize("tied", [False, True])
def test_certified_recall_is_missed_at_most_delta_of_the_time(tied: bool) -> None:
    random = np.random.default_rng(3)
    violations = 0
    for _ in range(DRAWS):
        labels = random.random(300) < 0.3
        scores = random.normal(size=300) + labels
        scores = np.round(scores, 1) if tied else scores
        point = choose_recall_threshold(scores, labels, target_recall=TARGET, confidence=1 - DELTA)
        assert point.threshold is not None
        # Rounding sends everything from a twentieth below a tenth upwards to it.
        cut = np.ceil(np.round(point.threshold * 10, 4)) / 10 - 0.05 if tied else point.threshold
        violations += stats.norm.sf(cut, loc=1) < TARGET
    assert violations <= MOST_VIOLATIONS
    if not tied:  # exact, not merely safe: the bound is not far from sharp
        assert violations > DRAWS * DELTA / 4
