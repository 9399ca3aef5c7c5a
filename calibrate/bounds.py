"""Exact binomial bounds and tails: what finite samples allow one to say about a proportion.

No thresholds here: every function takes counts that were fixed before the labels were seen.

References:
    C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26 (1934).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincinv

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def tail_probability(false_positives: ArrayLike, n_flagged: ArrayLike, target: ArrayLike) -> FloatArray:
    """P(Bin(n_flagged, 1 - target) <= false_positives): the p-value of "the precision is at most `target`".

    Computed as the regularised incomplete beta function I_target(n - k, k + 1), which keeps its relative
    accuracy far into the tail.

    Args:
        false_positives: counts k, any shape that broadcasts with `n_flagged`; 0 <= k <= n.
        n_flagged: counts n.
        target: the precision under test, in (0, 1); broadcasts too.

    Returns:
        p-values of the broadcast shape.

    Examples:
        >>> tail_probability([0, 1], [59, 59], 0.95).round(4).tolist()
        [0.0485, 0.1991]
    """
    k, n = _counts(false_positives, n_flagged)
    tau = np.asarray(target, np.float64)
    if not np.all((tau > 0) & (tau < 1)):
        raise ValueError(f"target must lie strictly between 0 and 1, got {target!r}")
    inside = k < n
    tail: FloatArray = np.where(inside, betainc(np.where(inside, n - k, 1.0), k + 1, tau), 1.0)
    return tail


def lower_bound(successes: ArrayLike, trials: ArrayLike, *, confidence: float) -> FloatArray:
    """One-sided Clopper-Pearson lower bound of a proportion; 0 where nothing was tried.

    The bound is the smallest proportion p with P(Bin(trials, p) >= successes) > 1 - confidence, so the chance
    that it lies above the true proportion is at most 1 - confidence, for every sample size and proportion.

    Args:
        successes: counts k, any shape that broadcasts with `trials`; 0 <= k <= n.
        trials: counts n.
        confidence: coverage, in (0, 1).

    Returns:
        Bounds in [0, 1] of the broadcast shape.

    Examples:
        >>> lower_bound([59, 118, 0], [59, 120, 7], confidence=0.95).round(4).tolist()
        [0.9505, 0.9485, 0.0]
    """
    k, n = _counts(successes, trials)
    _in_unit_interval("confidence", confidence)
    some = k > 0
    bound: FloatArray = np.where(some, betaincinv(np.where(some, k, 1.0), n - k + 1, 1 - confidence), 0.0)
    return bound


def upper_bound(successes: ArrayLike, trials: ArrayLike, *, confidence: float) -> FloatArray:
    """One-sided Clopper-Pearson upper bound of a proportion; 1 where nothing was tried. See `lower_bound`."""
    k, n = _counts(successes, trials)
    bound: FloatArray = 1 - lower_bound(n - k, n, confidence=confidence)
    return bound


def interval(successes: int, trials: int, *, confidence: float) -> tuple[float, float]:
    """Two-sided Clopper-Pearson interval: both one-sided bounds at half of 1 - confidence.

    Examples:
        >>> low, high = interval(8, 10, confidence=0.95)
        >>> round(low, 4), round(high, 4)
        (0.4439, 0.9748)
    """
    _in_unit_interval("confidence", confidence)
    one_sided = 1 - (1 - confidence) / 2
    low = float(lower_bound(successes, trials, confidence=one_sided))
    return low, float(upper_bound(successes, trials, confidence=one_sided))


def fewest_labels(target: float, delta: float) -> int:
    """N_min: the fewest flagged labels, all of them right, that show a precision of `target` at level `delta`.

    The smallest n with target^n <= delta, that is ceil(ln delta / ln target).

    Examples:
        >>> fewest_labels(0.95, 0.05), fewest_labels(0.99, 0.05)
        (59, 299)
    """
    _in_unit_interval("target", target)
    _in_unit_interval("delta", delta)
    return max(1, math.ceil(math.log(delta) / math.log(target)))


def most_false_positives(n_flagged: ArrayLike, target: float, delta: float | FloatArray) -> IntArray:
    """The largest k with P(Bin(n_flagged, 1 - target) <= k) <= delta; -1 where even k = 0 says too little.

    One delta for all of `n_flagged`, or one for each.

    Examples:
        >>> most_false_positives([58, 59, 93], 0.95, 0.05).tolist()
        [-1, 0, 1]
    """
    n = np.asarray(n_flagged, dtype=np.int64)
    low = np.full(n.shape, -1, dtype=np.int64)
    high = n.copy()  # P(Bin(n, .) <= n) = 1 > delta: the answer is at least low and below high
    while np.any(high - low > 1):
        middle = np.maximum((low + high) // 2, 0)
        passes = tail_probability(middle, n, target) <= delta
        narrow = high - low > 1
        low = np.where(narrow & passes, middle, low)
        high = np.where(narrow & ~passes, middle, high)
    return low


def _counts(successes: ArrayLike, trials: ArrayLike) -> tuple[FloatArray, FloatArray]:
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    if np.any((k < 0) | (k > n)):
        raise ValueError(f"counts must satisfy 0 <= successes <= trials, got {successes!r} of {trials!r}")
    return k, n


def _in_unit_interval(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {value!r}")
