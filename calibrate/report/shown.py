"""Figures as people read them. The page writes the same in its own language: templates/js/format.js."""

import math
from collections.abc import Sequence

from calibrate.bands import BandPart
from calibrate.operating_point import OperatingPoint, PriorShift
from calibrate.operating_points_file import BandRecord, PriorShiftRecord
from calibrate.traffic.volume import DailyVolume, SliceVolume


def percent(share: float) -> str:
    """A share as people write it, never rounded up to 100 % or down to 0 %.

    Examples:
        >>> percent(0.95), percent(0.999), percent(0.9996), percent(1.0), percent(0.6149), percent(0.0004)
        ('95 %', '99.9 %', 'over 99.9 %', '100 %', '61.5 %', 'under 0.1 %')
    """
    text = f"{100 * share:.1f}".removesuffix(".0")
    if text == "100" and share < 1:
        return "over 99.9 %"
    if text == "0" and share > 0:
        return "under 0.1 %"
    return f"{text} %"


def about(count: int) -> str:
    """A count rounded up to two significant digits.

    Examples:
        >>> about(7), about(241), about(12345)
        ('7', '250', '13,000')
    """
    digits = 10 ** max(0, len(str(count)) - 2)
    return f"{math.ceil(count / digits) * digits:,}"


def estimate(value: float) -> str:
    """An estimated number of posts or hours: whole from 10 on, else with one decimal.

    Examples:
        >>> estimate(0), estimate(0.01), estimate(3.14), estimate(9.97), estimate(1234.5)
        ('0', 'under 0.1', '3.1', '10', '1,234')
    """
    if value == 0:
        return "0"
    if value < 0.05:
        return "under 0.1"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def shown_threshold(threshold: float) -> str:
    """A threshold for reading, at least three significant digits; the exact one stands in the files."""
    return f"{threshold:.2f}" if 1 <= abs(threshold) < 1000 else f"{threshold:.3g}"


def promise(band: BandRecord) -> str:
    """What a band asks for, as a cell of a table."""
    if band.kind == "capacity":
        return f"{band.target:,.0f} posts a day"
    return f"{band.kind} {percent(band.target)}"


def recall_seen(point: OperatingPoint | BandRecord) -> str:
    """The recall as a cell of a table: of all violating posts, or of those above a floor."""
    assert point.recall is not None
    above = "" if point.recall_above is None else f" above {shown_threshold(point.recall_above)}"
    return f"{percent(point.recall)}{above}"


def described_shift(shift: PriorShift | PriorShiftRecord) -> str:
    """How traffic changed, as far as a recent sample says.

    Examples:
        >>> described_shift(PriorShift(0.8, 0.62, None, n_recent=500, n_recent_positive=40))
        'odds of violating 0.8 times those of the golden set, at least 0.62 (500 recent labels)'
    """
    estimate = "many" if shift.estimate is None else f"{shift.estimate:.3g}"
    return (
        f"odds of violating {estimate} times those of the golden set, at least {shift.lower:.3g} "
        f"({shift.n_recent:,} recent labels)"
    )


def out_of_order(parts: Sequence[BandPart]) -> list[str]:
    """What to know of a band that starts where the bands before it have taken every post: none reaches it first."""
    sentences = []
    for part in parts:
        if part.collides:
            assert part.threshold is not None
            assert part.below is not None
            sentences.append(
                f"{part.title} starts at {shown_threshold(part.threshold)}, not below {part.taken_by} at "
                f"{shown_threshold(part.below)}: a post that reaches {part.title} has reached {part.taken_by} "
                f"before, so {part.title} never sees a post of its own."
            )
    return sentences


def shown_volume(volume: DailyVolume | SliceVolume) -> str:
    """Posts a day with their bounds: how far these lie from the expected number at most; where few, both of them.

    Examples:
        >>> shown_volume(DailyVolume(3120.4, 2892.0, 3355.0)), shown_volume(DailyVolume(0.2, 0.0, 3.69))
        ('3,120 ± 240', '0 to 4')
        >>> shown_volume(DailyVolume(0.0, 0.0, 0.0))
        'none'
    """
    if volume.high == 0:
        return "none"
    margin = math.ceil(max(volume.expected - volume.low, volume.high - volume.expected))
    if volume.expected < max(10, 2 * margin):
        return f"{math.floor(volume.low):,} to {math.ceil(volume.high):,}"
    return f"{round(volume.expected):,} ± {about(margin)}"
