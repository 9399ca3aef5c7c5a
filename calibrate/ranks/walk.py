"""The fixed-sequence walk down the ranks of a golden set, and where it starts.

Nothing here that decides which ranks are tested, or in which order, looks at a golden label.

References:
    W. Maurer, L. A. Hothorn and W. Lehmacher, "Multiple comparisons in drug clinical trials and preclinical
    assays: a-priori ordered hypotheses" (1995): a sequence fixed in advance, tested until the first failure,
    needs no correction for the number of tests.
    A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan and L. Lei, "Learn then test" (2021): the same for
    a model's settings.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, gammaln

from calibrate.bounds import IntArray, fewest_labels, most_false_positives, tail_probability
from calibrate.ranks.ranked import Labels, RankedLabels, Scores

# Of 35 designs over nine simulated score curves, two starts a factor 3 apart had the best mean recall (with a
# factor of 4) and the second-smallest shortfall behind the best design of a curve.
START_RATIO = 3
MOST_STARTS = 2
SHARE_OF_BEST_POWER = 0.9


@dataclass(frozen=True)
class Walk:
    """One walk and how far it came.

    Attributes:
        start: rank it was asked to start from.
        level: share of delta that it spends.
        passed: steps of the ranked labels that passed, in order; empty if the first failed.
    """

    start: int
    level: float
    passed: IntArray


def grid_steps(ranked: RankedLabels, start: int, *, one_in: int = 20) -> IntArray:
    """Steps to test from rank `start` on: ranks grow by one in `one_in`, at least 1, and end on tie boundaries.

    The last one is all.

    Examples:
        >>> from calibrate.ranks.ranked import rank_labels
        >>> ranked = rank_labels(range(50), [1] * 50)
        >>> ranked.n_flagged[grid_steps(ranked, 38)].tolist()
        [38, 40, 42, 45, 48, 50]
    """
    steps: list[int] = []
    rank = start
    flagged = ranked.n_flagged.tolist()
    last = len(flagged) - 1
    while ranked.n_labelled >= start and (not steps or steps[-1] < last):
        step = min(bisect_left(flagged, rank), last)
        steps.append(step)
        reached = flagged[step]
        rank = reached + (reached + one_in - 1) // one_in
    return np.array(steps, dtype=np.int64)


def walk_from(ranked: RankedLabels, start: int, *, target: float, level: float) -> Walk:
    """Test the ranks from `start` on, each at `level`, until one fails."""
    steps = grid_steps(ranked, start)
    p_values = tail_probability(ranked.false_positives[steps], ranked.n_flagged[steps], target)
    failures = np.flatnonzero(p_values > level)
    passed = steps[: failures[0]] if len(failures) else steps
    return Walk(start=start, level=level, passed=passed)


def shared_starts(n_labelled: int, *, target: float, delta: float) -> list[int]:
    """Starts of the walks that share delta equally, from the number of labels and the target alone.

    The first is twice the N_min of its share of delta, each further one `START_RATIO` times as deep. As many as
    fit, at least one and at most `MOST_STARTS`.

    Examples:
        >>> shared_starts(10_000, target=0.95, delta=0.05)
        [144, 432]
    """
    for n_starts in range(MOST_STARTS, 1, -1):
        first = 2 * fewest_labels(target, delta / n_starts)
        starts = [first * START_RATIO**i for i in range(n_starts)]
        if starts[-1] <= n_labelled:
            return starts
    fewest = fewest_labels(target, delta)
    return [max(fewest, min(2 * fewest, n_labelled))]


def planned_start(
    ranked: RankedLabels, pilot_scores: Scores, pilot_labels: Labels, *, target: float, delta: float
) -> int:
    """The start that a pilot recommends: as early as it can be without being likely to fail at once.

    For each rank that the walk could start from, the pilot's labels at or above that rank's threshold leave a
    Beta(1/2 + true positives, 1/2 + false positives) posterior of the precision there; averaging the power of the
    binomial test over it gives a beta-binomial probability. The first rank whose power is at least nine tenths of
    the best is taken. Of the golden set only scores and the number of labels are read.

    Args:
        ranked: the golden set.
        pilot_scores: float32 [M], from other items than the golden set.
        pilot_labels: [M], 1, 0 or NaN; at least one known.
        target: precision under test.
        delta: level of the test.

    Returns:
        A rank, at least N_min; N_min if the golden set has fewer labels than that.
    """
    fewest = fewest_labels(target, delta)
    steps = grid_steps(ranked, fewest)
    if not len(steps):
        return fewest
    ranks = ranked.n_flagged[steps]
    allowed = most_false_positives(ranks, target, delta)
    power = np.empty(len(steps))
    for i, step in enumerate(steps):
        above = pilot_labels[pilot_scores >= ranked.threshold(int(step))]
        true_positives, false_positives = int((above == 1).sum()), int((above == 0).sum())
        power[i] = beta_binomial_tail(int(allowed[i]), int(ranks[i]), 0.5 + false_positives, 0.5 + true_positives)
    return int(ranks[np.argmax(power >= SHARE_OF_BEST_POWER * power.max())])


def beta_binomial_tail(k: int, n: int, alpha: float, beta: float) -> float:
    """P(X <= k) for X beta-binomial: n draws with a success probability drawn from Beta(alpha, beta)."""
    counts = np.arange(k + 1)
    choose = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
    return float(np.exp(choose + betaln(counts + alpha, n - counts + beta) - betaln(alpha, beta)).sum())
