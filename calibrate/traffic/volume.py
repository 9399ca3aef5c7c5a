"""Posts a day that a band takes, from a traffic histogram, with exact Poisson bounds.

B = BIN_COUNT bins. Exposure is days times the share of traffic that was scored: what counts are divided by.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv

from calibrate.bands import BandPart
from calibrate.bounds import IntArray
from calibrate.probability import as_logits
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
class _AtOrAbove:
    """Posts at or above a threshold: those in whole bins, an estimate, and those in bins that it cuts as well."""

    surely: int
    estimated: float
    possibly: int


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
    inside = _at_or_above(counts, part.threshold, scale)
    taken = _AtOrAbove(0, 0.0, 0) if part.below is None else _at_or_above(counts, part.below, scale)
    low, _ = poisson_bounds(max(0, inside.surely - taken.possibly))
    _, high = poisson_bounds(inside.possibly - taken.surely)
    expected = inside.estimated - taken.estimated
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
    taken = 0 if part.below is None else _at_or_above(counts, part.below, scale).surely
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


def _at_or_above(counts: IntArray, threshold: float, scale: Scale) -> _AtOrAbove:
    place = _bin_of(threshold, scale)
    above = int(counts[place + 1 :].sum())
    inside = int(counts[place])
    if threshold <= first_score(place, scale):
        return _AtOrAbove(above + inside, float(above + inside), above + inside)
    logit = float(as_logits(np.array([threshold], np.float32), scale)[0])
    share = min(1.0, max(0.0, place + 1 - HALF - logit * BINS_PER_LOGIT))
    return _AtOrAbove(above, above + share * inside, above + inside)


def _bin_of(threshold: float, scale: Scale) -> int:
    return int(bin_indices(np.array([threshold], np.float32), scale=scale)[0])
