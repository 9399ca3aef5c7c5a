"""Scores counted in bins of equal width in logits: integers that add up over days, machines and markets.

65,536 bins over [-16, 16], 2,048 to a logit; the first and last also hold what lies beyond. Bin k holds the scores at
or above its lower edge and below the next one, exactly: edges are float32 numbers. N scores.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from calibrate.bounds import IntArray
from calibrate.probability import as_logits
from calibrate.ranks.ranked import Scores

Scale = Literal["logit", "probability"]

BIN_COUNT = 65_536
BINS_PER_LOGIT = 2_048
HALF = BIN_COUNT // 2
CHUNK = 262_144  # scores whose buffers and table stay in cache together


class Counter:
    """Counts scores that come in batches, in buffers that it keeps: fresh memory would cost as much as the counting.

    Args:
        scale: of the scores; probabilities are counted at their logit.

    Attributes:
        counts: int64 [BIN_COUNT], so far.
    """

    def __init__(self, scale: Scale = "logit") -> None:
        self.scale = scale
        self.counts: IntArray = np.zeros(BIN_COUNT, np.int64)
        self._positions = np.empty(CHUNK, np.float32)
        self._whole = np.empty(CHUNK, np.int32)
        self._indices = np.empty(CHUNK, np.intp)

    def add(self, scores: Scores) -> None:
        """Count scores, float32 [N]; raises as `histogram` does, and then may have counted a part of them."""
        for start in range(0, len(scores), CHUNK):
            chunk = scores[start : start + CHUNK]
            n = len(chunk)
            indices = self._indices[:n]
            _locate(chunk, self.scale, self._positions[:n], self._whole[:n], indices, start)
            self.counts += np.bincount(indices, minlength=BIN_COUNT)


def histogram(scores: Scores, *, scale: Scale = "logit") -> IntArray:
    """Count scores in bins.

    Args:
        scores: float32 [N], finite; probabilities lie in [0, 1].
        scale: of the scores; probabilities are counted at their logit.

    Returns:
        int64 [BIN_COUNT]. The histogram of two parts is the sum of their histograms.

    Raises:
        ValueError: a score is NaN, infinite, or no probability; names the first one's position.

    Examples:
        >>> counts = histogram(np.array([-20, -0.0001, 0, 0, 15.9999], np.float32))
        >>> [(int(k), int(counts[k])) for k in np.flatnonzero(counts)]
        [(0, 1), (32767, 1), (32768, 2), (65535, 1)]
    """
    counter = Counter(scale)
    counter.add(scores)
    return counter.counts


def bin_indices(scores: Scores, *, scale: Scale = "logit") -> NDArray[np.intp]:
    """The bin of every score: intp [N]; arguments and errors as of `histogram`."""
    n = len(scores)
    indices = np.empty(n, np.intp)
    if n:
        _locate(scores, scale, np.empty(n, np.float32), np.empty(n, np.int32), indices, 0)
    return indices


def first_score(bin_index: int, scale: Scale = "logit") -> float:
    """The lowest score of a bin, a float32 number: score >= first_score(k) holds for the scores in bins k and above.

    Where no float32 probability falls into the bin it is that of the next bin which has any.

    Examples:
        >>> first_score(0), first_score(32768), first_score(65535)
        (-inf, 0.0, 15.99951171875)
        >>> first_score(32768, "probability")
        0.5
    """
    if bin_index == 0:
        return -np.inf if scale == "logit" else 0.0
    edge = (bin_index - HALF) / BINS_PER_LOGIT
    if scale == "logit":
        return edge
    candidate = np.float32(expit(edge))
    while _bin(candidate) >= bin_index:
        candidate = np.nextafter(candidate, np.float32(0))
    while _bin(candidate) < bin_index:
        candidate = np.nextafter(candidate, np.float32(1))
    return float(candidate)


def first_wrong(scores: Scores, scale: Scale) -> int | None:
    """Position of the first score that is not finite, or no probability where it should be one; None if all are."""
    wrong = ~np.isfinite(scores)
    if scale == "probability":
        wrong |= (scores < 0) | (scores > 1)
    return int(wrong.argmax()) if wrong.any() else None


def _bin(probability: np.float32) -> int:
    return int(bin_indices(np.array([probability], np.float32), scale="probability")[0])


def _locate(
    scores: Scores,
    scale: Scale,
    positions: Scores,
    whole: NDArray[np.int32],
    indices: NDArray[np.intp],
    offset: int,
) -> None:
    """Write the bins of some scores to `indices`; `positions` and `whole` are room to work in, all of one length.

    Scaling by a power of two and rounding down are exact in float32. A NaN fails every comparison, so the check
    that all positions lie on the axis, which costs two fast passes, finds it too; only then is more looked at.
    """
    if scale == "logit":
        with np.errstate(over="ignore"):
            np.multiply(scores, np.float32(BINS_PER_LOGIT), out=positions)
            np.floor(positions, out=positions)
    else:
        # Probabilities outside [0, 1] have no logit: they are refused below.
        at_logit = np.floor(as_logits(scores, "probability") * BINS_PER_LOGIT)
        at_logit[~((scores >= 0) & (scores <= 1))] = np.nan
        np.copyto(positions, at_logit, casting="same_kind")  # whole numbers below 2^24: exact
    if not (positions.min() >= -HALF and positions.max() < HALF):
        wrong = first_wrong(scores, scale)
        if wrong is not None:
            expected = "finite" if scale == "logit" else "probabilities from 0 to 1"
            raise ValueError(f"scores must be {expected}, got {scores[wrong]} at position {offset + wrong}")
        np.clip(positions, -HALF, HALF - 1, out=positions)
    np.add(positions, HALF, out=positions)
    np.copyto(whole, positions, casting="unsafe")  # by way of int32: to intp at once takes twice as long
    np.copyto(indices, whole)
