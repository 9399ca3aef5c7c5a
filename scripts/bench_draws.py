"""What the cases of bench_guarantee share: draws, the scan and the empirical rule on all of them, the tally."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from calibrate.bounds import IntArray
from calibrate.ranks.planning import budget, default_design, growing_ranks
from calibrate.ranks.scan import calibrated_boundaries, certified_steps
from scripts.bench_populations import Array, Population

CHUNK = 4_000_000  # scores sorted at once


@dataclass
class Tally:
    """Cases so far."""

    rows: list[tuple[str, int, int, float, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, violations: int, draws: int, delta: float, empirical: float = np.nan) -> None:
        """One validity case."""
        self.rows.append((name, violations, draws, delta, empirical))
        shown = "" if np.isnan(empirical) else f"{empirical:9.3f}"
        print(f"{name:66} {draws:6} {delta:5.2f} {violations / draws:9.4f} {shown}", flush=True)

    def judge(self) -> None:
        """Test every case at 1 % over their number."""
        level = 0.01 / len(self.rows)
        for name, violations, draws, delta, _ in self.rows:
            if stats.binom.sf(violations - 1, draws, delta) < level:
                self.failures.append(f"{name}: {violations} violations in {draws} draws, delta {delta}")


def sorted_draws(population: Population, n: int, draws: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Thresholds below each rank and false positives down to it, each [draws, n]."""
    scores, labels = population.draw(random, (draws, n))
    order = np.argsort(-scores, axis=1)
    scores = np.take_along_axis(scores, order, axis=1)
    wrong = np.cumsum(1 - np.take_along_axis(labels, order, axis=1), axis=1)
    thresholds = np.concatenate([(scores[:, 1:] + scores[:, :-1]) / 2, scores[:, -1:]], axis=1)
    return thresholds, wrong


def scan(wrong: Array, target: float, delta: float) -> IntArray:
    """The last certified rank of each draw, 0 where there is none: `choose_threshold` without ties, for all draws."""
    n = wrong.shape[1]
    ranks = growing_ranks(n, target=target, delta=delta)
    if np.log(delta) / np.log(target) > n:
        return np.zeros(len(wrong), np.int64)
    spent = budget(ranks, default_design(n, target=target, delta=delta), delta=delta)
    boundaries = calibrated_boundaries(ranks, spent, target=target, delta=delta)
    certified = certified_steps(wrong[:, ranks - 1].astype(np.int64), boundaries)
    last: IntArray = np.where(certified, ranks, 0).max(axis=1)
    return last


def empirical(wrong: Array, target: float) -> IntArray:
    """The deepest rank whose precision in the sample meets the target; 0 if there is none."""
    ranks = np.arange(1, wrong.shape[1] + 1)
    last: IntArray = np.where(wrong <= (1 - target) * ranks + 1e-9, ranks, 0).max(axis=1)
    return last


def outcomes(
    population: Population, thresholds: Array, chosen: IntArray, target: float
) -> tuple[NDArray[np.bool_], Array]:
    """Whether each draw violates, and its recall."""
    at = np.take_along_axis(thresholds, np.maximum(chosen - 1, 0)[:, None], axis=1)[:, 0]
    violates = (chosen > 0) & (population.precision_at(at) < target - 1e-5)
    return violates, np.where(chosen > 0, population.recall_at(at), 0.0)
