"""What changes at one threshold: flags gained and lost, who is right, volume, precision and recall.

The page computes the same in its own language (templates/js/changes.js), while somebody moves a threshold.
"""

from dataclasses import dataclass

from calibrate.production.differences import mcnemar, paired_difference, precision_difference
from calibrate.production.overlap import Overlap


@dataclass(frozen=True)
class ByLabel:
    """Posts, or their weight, by what their label says."""

    violating: float
    other: float
    unknown: float

    @property
    def known(self) -> float:
        """Those with a known label."""
        return self.violating + self.other

    @property
    def total(self) -> float:
        """All of them."""
        return self.violating + self.other + self.unknown


NONE = ByLabel(0, 0, 0)


@dataclass(frozen=True)
class Tally:
    """Posts that both models scored, or their weight: all, flagged before, by both, and now alone."""

    all: ByLabel
    before: ByLabel
    both: ByLabel
    gained: ByLabel

    @property
    def lost(self) -> ByLabel:
        """Flagged before and not now."""
        before, both = self.before, self.both
        return ByLabel(before.violating - both.violating, before.other - both.other, before.unknown - both.unknown)


@dataclass(frozen=True)
class Shift:
    """A share before and now; None where it has no denominator, or where the golden set says nothing about it.

    Attributes:
        before: of the other model.
        now: of this one.
        ends: 95 % interval of now - before; None where posts are weighted or drawn in clusters.
    """

    before: float | None
    now: float | None
    ends: tuple[float, float] | None = None


NO_SHIFT = Shift(None, None)


@dataclass(frozen=True)
class Change:
    """What one threshold changes.

    Attributes:
        tally: golden posts.
        better, worse: posts with a known label on which only this model is right, or only the other.
        p_value: McNemar's, of as many posts on either side; None where posts are weighted or drawn in clusters.
        volume: share of all posts that is flagged.
        precision: share of the flagged posts that violates, of known labels.
        recall: share of the violating posts that is flagged.
    """

    tally: Tally
    better: int
    worse: int
    p_value: float | None
    volume: Shift
    precision: Shift
    recall: Shift


def tally_at(overlap: Overlap, cut: int | None) -> Tally:
    """The items at one cut; None flags nothing."""
    return Tally(
        all=ByLabel(*overlap.all.tolist()),
        before=ByLabel(*overlap.before.tolist()),
        both=NONE if cut is None else ByLabel(*overlap.both[:, cut].tolist()),
        gained=NONE if cut is None else ByLabel(*overlap.gained[:, cut].tolist()),
    )


def change_of(counts: Tally, weights: Tally | None, *, is_weighted: bool, is_sample: bool) -> Change:
    """All figures of one threshold.

    Args:
        counts: golden items.
        weights: theirs; None where all weigh the same.
        is_weighted: posts were drawn with unequal chances or in clusters: no test, no interval is computed.
        is_sample: whether the golden set is a sample of what this threshold flags; else no share is computed.
    """
    gained, lost = counts.gained, counts.lost
    better = int(gained.violating + lost.other)
    worse = int(gained.other + lost.violating)
    shares = weights or counts
    both, now = shares.both, _sum(shares.both, shares.gained)
    before, whole = shares.before, shares.all
    volume = precision = recall = NO_SHIFT
    if is_sample:
        volume = Shift(_share(before.total, whole.total), _share(now.total, whole.total))
        precision = Shift(_share(before.violating, before.known), _share(now.violating, now.known))
        recall = Shift(_share(before.violating, whole.violating), _share(now.violating, whole.violating))
    if is_sample and not is_weighted:
        volume = _paired(volume, both.total, gained.total, lost.total, whole.total)
        recall = _paired(recall, both.violating, gained.violating, lost.violating, whole.violating)
        if precision.before is not None and precision.now is not None:
            ends = precision_difference(
                (now.known, now.violating), (before.known, before.violating), (both.known, both.violating)
            )
            precision = Shift(precision.before, precision.now, ends)
    return Change(
        tally=counts,
        better=better,
        worse=worse,
        p_value=mcnemar(better, worse) if is_sample and not is_weighted else None,
        volume=volume,
        precision=precision,
        recall=recall,
    )


def _sum(first: ByLabel, second: ByLabel) -> ByLabel:
    return ByLabel(first.violating + second.violating, first.other + second.other, first.unknown + second.unknown)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _paired(shift: Shift, both: float, gained: float, lost: float, n: float) -> Shift:
    if n <= 0:
        return shift
    return Shift(shift.before, shift.now, paired_difference(int(both), int(gained), int(lost), int(n)))
