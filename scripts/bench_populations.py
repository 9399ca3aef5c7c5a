"""Populations whose precision is known at every threshold, for bench_guarantee."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
GRID = np.linspace(0, 1, 100_001)


@dataclass(frozen=True)
class Population:
    """Scores in [0, 1] and the chance of violating at each; precision and recall by numerical integration.

    Attributes:
        name: for the table.
        draw: (random, shape) -> scores and labels.
        precision: at each threshold of GRID.
        recall: likewise.
    """

    name: str
    draw: Callable[[np.random.Generator, tuple[int, int]], tuple[Array, Array]]
    precision: Array
    recall: Array

    def precision_at(self, threshold: Array) -> Array:
        """True precision, interpolated."""
        return np.interp(threshold, GRID, self.precision)

    def recall_at(self, threshold: Array) -> Array:
        """True recall, interpolated."""
        return np.interp(threshold, GRID, self.recall)

    def oracle_recall(self, target: float) -> float:
        """Of the lowest threshold whose precision is at least `target`; 0 if there is none."""
        return float(self.recall[self.precision >= target].max(initial=0.0))


def beta_population(
    name: str,
    positive: tuple[float, float],
    negative: tuple[float, float],
    prevalence: float,
    *,
    label_errors: float = 0.0,
) -> Population:
    """Beta scores of violating and other posts; of the violating among the top 1 %, a share is labelled otherwise."""
    p, q = stats.beta(*positive), stats.beta(*negative)
    flagged = prevalence * p.sf(GRID) + (1 - prevalence) * q.sf(GRID)
    cut = float(np.interp(-0.01, -flagged, GRID)) if label_errors else 2.0
    right = prevalence * (p.sf(GRID) - label_errors * p.sf(np.maximum(GRID, cut)))

    def draw(random: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array]:
        violating = random.random(shape) < prevalence
        scores = np.where(violating, random.beta(*positive, shape), random.beta(*negative, shape))
        if label_errors:
            violating &= ~((scores >= cut) & (random.random(shape) < label_errors))
        return scores, violating.astype(np.float64)

    precision = np.divide(right, flagged, out=np.ones_like(right), where=flagged > 1e-12)
    return Population(name, draw, precision, right / right[0])


def curve_population(name: str, chance: Callable[[Array], Array]) -> Population:
    """Scores uniform on [0, 1] that violate with probability `chance(score)`."""
    local = chance((GRID[1:] + GRID[:-1]) / 2)
    right = np.append(np.cumsum(local[::-1])[::-1], 0.0)
    count = np.arange(len(GRID) - 1, -1, -1)
    precision = np.append(right[:-1] / count[:-1], local[-1])

    def draw(random: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array]:
        scores = random.random(shape)
        return scores, (random.random(shape) < chance(scores)).astype(np.float64)

    return Population(name, draw, precision, right / max(right[0], 1e-12))


def hard_populations(target: float) -> list[Population]:
    """Curves made to break a test at `target`; precision does not rise again in any of them."""
    return [
        curve_population("at the target, then worse", lambda z: np.where(z > 0.4, target, target - 0.3)),
        curve_population("just below the target", lambda z: np.full_like(z, target - 0.002)),
        curve_population("slowly through the target", lambda z: np.clip(target - 0.07 + 0.1 * z, 0, 1)),
        curve_population("empty middle", lambda z: np.where(z > 0.93, 1.0, target - 0.1)),
        curve_population("no positives", np.zeros_like),
        curve_population("all positives", np.ones_like),
    ]


def rising_again(target: float) -> Population:
    """Below the target at the top, above it further down, below it at the end."""
    return curve_population(
        "precision rises again", lambda z: np.select([z > 0.97, z > 0.6], [target - 0.1, (1 + target) / 2], 0.3)
    )
