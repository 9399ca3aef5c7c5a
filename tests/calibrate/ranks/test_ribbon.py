"""The band holds at all its ranks together, on curves that fall and on one that rises again."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from calibrate.ranks.ranked import rank_labels
from calibrate.ranks.ribbon import ONE_IN, simultaneous_lower_bounds
from calibrate.ranks.walk import grid_steps

GRID = np.linspace(0, 1, 20_001)
DRAWS, DELTA = 300, 0.1


@pytest.mark.parametrize(
    "chance",
    [
        lambda score: expit(12 * (score - 0.6)),
        lambda score: np.full_like(score, 0.9),
        lambda score: 0.5 + 0.4 * np.sin(25 * score),
    ],
    ids=["smooth", "flat", "waves"],
)
def test_all_bounds_hold_together(chance) -> None:
    """A valid band fails this with probability below .001: 0.999 quantile of Bin(300, 0.1)."""
    random = np.random.default_rng(8)
    middle = (GRID[1:] + GRID[:-1]) / 2
    above = np.cumsum(chance(middle)[::-1])[::-1] / np.arange(20_000, 0, -1)
    missed = pointwise_missed = 0
    for _ in range(DRAWS):
        scores = random.random(800)
        ranked = rank_labels(scores, random.random(800) < chance(scores))
        steps = grid_steps(ranked, 5, one_in=ONE_IN)
        lowest = np.append(ranked.scores, 0)[steps + 1]  # a rank speaks of what lies above the next score
        truth = np.interp(lowest, GRID[:-1], above)
        missed += (simultaneous_lower_bounds(ranked, confidence=1 - DELTA)[steps] > truth + 1e-4).any()
        right = ranked.n_flagged - ranked.false_positives
        pointwise = stats.beta.ppf(DELTA, np.maximum(right, 1e-9), ranked.false_positives + 1)
        pointwise_missed += (pointwise[steps] > truth + 1e-4).any()
    assert missed <= stats.binom.ppf(0.999, DRAWS, DELTA)
    assert pointwise_missed > 2 * DELTA * DRAWS


def test_bounds_lie_below_the_precision_and_rise_with_labels() -> None:
    labels = np.tile([1.0] * 9 + [0.0], 100)
    few, many = (
        simultaneous_lower_bounds(rank_labels(-np.arange(n), labels[:n]), confidence=0.95)[-1] for n in (100, 1000)
    )
    assert few < many < 0.9
    assert simultaneous_lower_bounds(rank_labels([1.0], [np.nan]), confidence=0.9).tolist() == []
