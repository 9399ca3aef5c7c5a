"""Posts a day that a band takes, from a traffic histogram, with exact Poisson bounds.

B = BIN_COUNT bins. Exposure is days times the share of traffic that was scored: what counts are divided by.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv

from calibrate.bands import BandPart
from calibrate.bounds import FloatArray, IntArray
from calibrate.probability import as_logits
from calibrate.ranks.ranked import Scores
from calibrate.traffic.histogram import BIN_COUNT, BINS_PER_LOGIT, HALF, Scale, bin_indices, first_score

VOLUME_CONFIDENCE = 0.95


@dataclass(frozen=True)
class SliceVolume:
    """Posts a day of one slice in a band's own part; see `DailyVolume`."""

    by: str
    value: str
    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class DailyVolume:
    """Posts a day in a band's own part of the score axis.

    `low` and `high` are the exact two-sided bounds at 95 % of Garwood (1936) for the mean of a Poisson count, scaled
    by exposure. Each is pointwise. A threshold seldom falls on the edge of a bin: `low` leaves out the bins that it
    cuts, `high` counts them whole, `expected` takes of them the share that lies inside, as if scores were spread
    evenly over 1/2,048 of a logit.

    Covered: that the days counted were one draw of many, and that only a share of the traffic was scored. Not
    covered: weekdays and seasons, posts that arrive in bursts (copies, campaigns), a window that was unlike the days
    to come. The bounds are for the daily mean, not for a single day.

    Attributes:
        expected: best estimate.
        low, high: bounds of the mean.
        slices: the same for each declared slice; they need not add up to the whole, as a post may belong to none.
    """

    expected: float
    low: float
    high: float
    slices: tuple[SliceVolume, ...] = ()


@dataclass(frozen=True)
class AtOrAbove:
    """Posts counted at or above thresholds: those in whole bins, and those in the bins that thresholds cut.

    Attributes:
        above: int64 [T], in bins that lie at or above the threshold.
        inside: int64 [T], in the bin that it cuts; 0 where it stands on an edge.
        share: [T], of that bin, at or above it.
    """

    above: IntArray
    inside: IntArray
    share: FloatArray

    @property
    def estimated(self) -> FloatArray:
        """[T], as if scores were spread evenly over each bin."""
        result: FloatArray = self.above + self.share * self.inside
        return result

    @property
    def possibly(self) -> IntArray:
        """[T], with the bins that are cut."""
        result: IntArray = self.above + self.inside
        return result


def at_or_above(counts: IntArray, thresholds: Scores, scale: Scale) -> AtOrAbove:
    """Posts at or above each of the thresholds, float32 [T]."""
    bins = bin_indices(thresholds, scale=scale)
    from_top = np.append(np.cumsum(counts[::-1])[::-1], 0)
    logits = as_logits(thresholds, scale)
    # A threshold stands on an edge where the next lower number lies in another bin; nothing lies below the first.
    least = np.float32(0 if scale == "probability" else np.finfo(np.float32).min)
    lower = bin_indices(np.nextafter(thresholds, least), scale=scale)
    on_edge = (lower < bins) | ((bins == 0) & (thresholds <= first_score(0, scale)))
    return AtOrAbove(
        above=np.where(on_edge, from_top[bins], from_top[bins + 1]),
        inside=np.where(on_edge, 0, counts[bins]),
        share=np.clip(bins + 1 - HALF - logits * BINS_PER_LOGIT, 0.0, 1.0),
    )


def poisson_bounds(count: int, *, confidence: float = VOLUME_CONFIDENCE) -> tuple[float, float]:
    """Exact two-sided bounds for the mean of a Poisson variable that came out as `count`.

    References:
        F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936).

    Examples:
        >>> [round(bound, 3) for bound in poisson_bounds(10)]
        [4.795, 18.39]
        >>> [round(bound, 3) for bound in poisson_bounds(0)]
        [0.0, 3.689]
    """
    tail = (1 - confidence) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1 - tail))


def daily_volume(part: BandPart, counts: IntArray, *, exposure: float, scale: Scale) -> DailyVolume | None:
    """Posts a day in a band's own part; None if the band is off, zero if the bands before it take all.

    Args:
        part: the band's part of the score axis.
        counts: int64 [B], the traffic histogram.
        exposure: days times share scored.
        scale: of the thresholds.
    """
    if part.threshold is None:
        return None
    if part.collides:
        return DailyVolume(0.0, 0.0, 0.0)
    ends = [part.threshold] if part.below is None else [part.threshold, part.below]
    counted = at_or_above(counts, np.array(ends, np.float32), scale)
    surely, possibly, estimated = (
        [*values.tolist(), 0][:2] for values in (counted.above, counted.possibly, counted.estimated)
    )
    low, _ = poisson_bounds(max(0, surely[0] - possibly[1]))
    _, high = poisson_bounds(possibly[0] - surely[1])
    expected = estimated[0] - estimated[1]
    return DailyVolume(expected / exposure, low / exposure, high / exposure)


def lowest_within(
    part: BandPart, counts: IntArray, capacity: float, *, exposure: float, scale: Scale
) -> float | None:
    """The lowest threshold at a bin edge whose upper volume bound, below `part.below`, stays within a capacity.

    That this threshold was picked by its own bound costs nothing: the count above a threshold only grows as the
    threshold falls, so to go past the first one whose mean exceeds the capacity, the bound there must have failed. It
    fails with a probability of at most 2.5 %. Where `part.below` was itself set by this traffic to fit a capacity,
    the next bin below it is one that had many posts, which errs to the safe side.

    Args:
        part: `threshold` is not looked at.
        counts: int64 [B].
        capacity: posts a day.
        exposure: days times share scored.
        scale: of the thresholds.

    Returns:
        A float32 number, or None if not even the highest edge will do. Scores in the first bin, below -16 in logits,
        are never reached.
    """
    taken = 0 if part.below is None else int(at_or_above(counts, np.array([part.below], np.float32), scale).above[0])
    counted = np.cumsum(counts[::-1])[::-1] - taken
    highest = BIN_COUNT - 1 if part.below is None else _bin_of(part.below, scale)
    found, low, high = None, 1, highest
    while low <= high:  # counts fall with the bin, so the bound does
        middle = (low + high) // 2
        threshold = first_score(middle, scale)
        fits = poisson_bounds(max(0, int(counted[middle])))[1] <= capacity * exposure
        if fits and (part.below is None or threshold < part.below):
            found = threshold
        if fits:
            high = middle - 1
        else:
            low = middle + 1
    return found


def _bin_of(threshold: float, scale: Scale) -> int:
    return int(bin_indices(np.array([threshold], np.float32), scale=scale)[0])
