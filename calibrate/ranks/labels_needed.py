"""How many labels it would take: the estimate that goes with "not attainable"."""

import math
from functools import lru_cache

import numpy as np
from scipy.special import betaincinv

from calibrate.bounds import (
    FloatArray,
    IntArray,
    fewest_labels,
    most_false_positives,
    tail_probability,
    upper_bound,
)
from calibrate.ranks.ranked import RankedLabels
from calibrate.ranks.walk import grid_steps
from calibrate.words import said

POWER = 0.8
MOST_FLAGGED = 1_000_000


def labels_needed(ranked: RankedLabels, *, target: float, level: float, first_rank: int) -> tuple[int | None, str]:
    """Estimate the number of known labels that would certify `target` with a power of 80 %.

    Take a depth: the share q of the labelled items that is flagged, at least a third of N_min or a tenth of
    the set, so that a lucky post or two at the top is no evidence. Its precision is estimated by the median of
    the Beta(1/2 + true positives, 1/2 + false positives) posterior, which stays below 1 after few labels; m is
    the number of flagged labels at which a binomial test at `level` passes with probability 0.8 if that is
    the truth; m / q labels have m flagged. The estimate is the least of m / q over the depths, and never fewer
    than this set has: it did not suffice.

    This takes the best of many noisy depths, and it is the power of one test, not of a walk that could fail
    before it gets there. Read it as an order of magnitude.

    Args:
        ranked: the golden set that did not suffice.
        target: target precision.
        level: level of one test.
        first_rank: flagged labels at which a larger set would be tested first, at least N_min.

    Returns:
        The estimate, or None if these labels support none; and a sentence saying why.

    Examples:
        >>> from calibrate.ranks.ranked import rank_labels
        >>> labels_needed(rank_labels(range(40), [0] * 10 + [1] * 30), target=0.9, level=0.05, first_rank=29)[0]
        64
    """
    fewest = fewest_labels(target, level)
    if ranked.n_labelled == 0:
        return first_rank, said("needed.no_label", first=first_rank)
    fewest_flagged = min(fewest / 3, max(5, ranked.n_labelled / 10), ranked.n_labelled)
    steps = grid_steps(ranked, math.ceil(fewest_flagged))
    flagged, wrong = ranked.n_flagged[steps], ranked.false_positives[steps]
    right = flagged - wrong
    precision = betaincinv(right + 0.5, wrong + 0.5, 0.5)
    hopeful = precision > target
    estimate = math.inf
    if hopeful.any():
        estimate = _fewest_labels(precision[hopeful], flagged[hopeful] / ranked.n_labelled, target, level, first_rank)
    if math.isfinite(estimate):
        needed = max(math.ceil(estimate), ranked.n_labelled)
        return needed, said("needed.estimate", needed=needed, n_labelled=ranked.n_labelled)
    if ranked.n_labelled < first_rank:
        return first_rank, said("needed.first", first=first_rank, n_labelled=ranked.n_labelled)
    most = float(upper_bound(right, flagged, confidence=1 - level).max())
    known = {"flagged": flagged[0], "target": target, "n_labelled": ranked.n_labelled}
    if most >= target:
        return None, said("needed.hopeless", **known)
    return None, said("needed.hopeless.at_most", most=most, **known)


def labels_needed_at(
    n_flagged: int, n_right: int, n_labelled: int, *, target: float, level: float, first_rank: int
) -> int | None:
    """The same estimate at one threshold, at which `n_flagged` of `n_labelled` known labels are flagged.

    Returns:
        Known labels in all; None where those that are flagged give no reason to expect that any number would do.

    Examples:
        >>> labels_needed_at(6, 6, 69, target=0.8, level=0.01, first_rank=30)
        460
        >>> labels_needed_at(6, 4, 69, target=0.8, level=0.01, first_rank=30) is None
        True
    """
    if n_flagged == 0:
        return None
    precision = np.atleast_1d(betaincinv(n_right + 0.5, n_flagged - n_right + 0.5, 0.5))
    if precision[0] <= target:
        return None
    estimate = _fewest_labels(precision, np.array([n_flagged / n_labelled]), target, level, first_rank)
    return math.ceil(estimate) if math.isfinite(estimate) else None


def _fewest_labels(precision: FloatArray, share: FloatArray, target: float, level: float, first_rank: int) -> float:
    """Least number of labels with power enough at one of the depths [D], inf if there is none."""
    sizes, allowed = _tests(first_rank, target, level)
    fewest = math.inf
    for block in np.array_split(np.arange(len(sizes)), len(sizes) // 10 + 1):
        hopeful = sizes[block[0]] / share < fewest  # larger tests of the other depths cost more labels than are known
        if not hopeful.any():
            break
        power = tail_probability(np.maximum(allowed[block], 0), sizes[block], precision[hopeful, None])
        enough = (power >= POWER) & (allowed[block] >= 0)
        size = np.where(enough.any(axis=1), sizes[block][np.argmax(enough, axis=1)], math.inf)
        fewest = min(fewest, float(np.min(size / share[hopeful])))
    return fewest


@lru_cache(maxsize=64)
def _tests(first_rank: int, target: float, level: float) -> tuple[IntArray, IntArray]:
    """Sizes of a test, growing by about 5 %, and the false positives that each allows."""
    sizes = np.unique(np.geomspace(first_rank, MOST_FLAGGED, 250).astype(np.int64))
    return sizes, most_false_positives(sizes, target, level)
