"""What the labels of parts of a set (a market, a language) show about a target precision, at every threshold at once.

Which parts there are, and what is reported of them, stands in `calibrate.slices`. T thresholds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibrate.bets.betting import log_wealth
from calibrate.bets.weighted import Weighting, search_by_betting
from calibrate.bounds import IntArray, tail_probability
from calibrate.ranks.labels_needed import labels_needed_at
from calibrate.ranks.ranked import RankedLabels
from calibrate.ranks.search import certified_among_many
from calibrate.slices import STATUSES, SliceLabels, SliceResult


@dataclass(frozen=True)
class SliceTest:
    """What the labels of one slice show about a target precision, at whatever threshold it is asked.

    Attributes:
        by: the column.
        value: its value.
        target: precision asked of the slice, as its result names it.
        tested_target: the share of violating labels that was tested for.
        level: its share of delta.
        min_flagged: known labels below which it is not tested.
        n_labelled: known labels in it.
        certified: those down to the strictest and to the loosest threshold that are certified for it; None for none.
        threshold: the loosest; None for none.
        is_below: [n_labelled + 1], for weighted labels: whether bets show of the first so many that their precision
            is below the target; None where counts decide.
    """

    by: str
    value: str
    target: float
    tested_target: float
    level: float
    min_flagged: int
    n_labelled: int
    certified: tuple[int, int] | None
    threshold: float | None
    is_below: NDArray[np.bool_] | None = None

    def statuses(self, n_flagged: IntArray, n_right: IntArray) -> NDArray[np.uint8]:
        """Places in STATUSES, [T], where `n_flagged` [T] known labels are flagged and `n_right` of them violate.

        Between the slice's last flagged post and the next one the global threshold decides the same, so the numbers
        of labels are all that counts.
        """
        found = np.full(len(n_flagged), STATUSES.index("insufficient"), np.uint8)
        if self.n_labelled < self.min_flagged:
            return found
        some = n_flagged > 0
        first, last = self.certified or (1, 0)
        certified = (first <= n_flagged) & (n_flagged <= last)
        if self.is_below is None:
            # The upper Clopper-Pearson bound at 1 - level lies below the target iff so few right ones, or fewer, are
            # less likely than level at the target; never where their share reaches it.
            below = some & ~certified & (n_right < self.tested_target * n_flagged)
            tails = tail_probability(n_right[below], n_flagged[below], 1 - self.tested_target)
            below[below] = tails < self.level
        else:
            below = some & ~certified & self.is_below[n_flagged]
        found[below] = STATUSES.index("below")
        found[certified] = STATUSES.index("certified")
        return found


def examine_slices(
    slices: Mapping[str, SliceLabels],
    *,
    by: str,
    target: float,
    tested_target: float,
    delta: float,
    min_flagged: int,
) -> tuple[SliceTest, ...]:
    """Test every value of a column; all certificates hold together with probability 1 - delta, at all thresholds.

    Delta is shared by the values with at least `min_flagged` known labels; the others are insufficient.

    Args:
        slices: of the column, by value, as `slice_labels` makes them.
        by: name of the column.
        target: precision asked of each.
        tested_target: the share of violating labels to test for instead, after corrections.
        delta: chance of a false certificate among them.
        min_flagged: known labels that a slice needs.
    """
    n_tested = sum(part.ranked.n_labelled >= min_flagged for part in slices.values())
    level = delta / max(1, n_tested)
    # Rounded up, so that boundaries are shared by policies, too.
    horizon = 1 << max((part.ranked.n_labelled for part in slices.values()), default=1).bit_length()
    tests = []
    for name, part in slices.items():
        ranked = part.ranked
        certified, own, is_below = None, None, None
        if ranked.n_labelled >= min_flagged:
            if part.weighted is not None:
                certified, own = _by_betting(ranked, part.weighted, target=tested_target, level=level)
                is_below = _refuted(part.weighted, target=tested_target, level=level)
            else:
                certified, own = _by_counting(ranked, target=tested_target, level=level, horizon=horizon)
        tests.append(
            SliceTest(
                by=by,
                value=name,
                target=target,
                tested_target=tested_target,
                level=level,
                min_flagged=min_flagged,
                n_labelled=ranked.n_labelled,
                certified=certified,
                threshold=own,
                is_below=is_below,
            )
        )
    return tuple(tests)


def at_threshold(
    tests: Sequence[SliceTest],
    slices: Mapping[str, Mapping[str, SliceLabels]],
    threshold: float,
    *,
    own_thresholds: bool = False,
) -> tuple[SliceResult, ...]:
    """What tests say at one threshold; with `own_thresholds`, each slice's own beside it.

    Args:
        tests: of slices.
        slices: these, by column and value.
        threshold: the global one.

    Examples:
        >>> import polars as pl
        >>> from calibrate.slices import rows_by_value, slice_labels
        >>> scores, labels = np.arange(400, dtype=np.float32), np.ones(400)
        >>> slices = slice_labels(scores, labels, rows_by_value(pl.Series(["de", "fr"] * 200)))
        >>> tests = examine_slices(slices, by="market", target=0.9, tested_target=0.9, delta=0.05, min_flagged=30)
        >>> parts = at_threshold(tests, {"market": slices}, 100.0)
        >>> [(part.value, part.status, part.n_flagged_labelled) for part in parts]
        [('de', 'certified', 150), ('fr', 'certified', 150)]
    """
    results = []
    for test in tests:
        part = slices[test.by][test.value]
        inside = part.labels[part.scores >= np.float32(threshold)]
        n_flagged, right = int((~np.isnan(inside)).sum()), int((inside == 1).sum())
        precision = right / n_flagged if n_flagged else None
        if part.weighted is not None and n_flagged:
            stakes = part.weighted.stakes
            precision = float(np.average(stakes.labels[:n_flagged], weights=stakes.weights[:n_flagged]))
        status = STATUSES[test.statuses(np.array([n_flagged]), np.array([right]))[0]]
        results.append(
            SliceResult(
                by=test.by,
                value=test.value,
                status=status,
                target=test.target,
                n_labelled=test.n_labelled,
                n_flagged_labelled=n_flagged,
                precision=precision,
                more_labels=_lacking(test, n_flagged, right) if status == "insufficient" else None,
                threshold=test.threshold if own_thresholds else None,
            )
        )
    return tuple(results)


def _lacking(test: SliceTest, n_flagged: int, n_right: int) -> int | None:
    """More known labels of the slice that would certify it here; None where these give no hope."""
    needed = labels_needed_at(
        n_flagged, n_right, test.n_labelled, target=test.tested_target, level=test.level, first_rank=test.min_flagged
    )
    return None if needed is None else max(1, needed - test.n_labelled)


def _by_counting(
    ranked: RankedLabels, *, target: float, level: float, horizon: int
) -> tuple[tuple[int, int] | None, float | None]:
    """Known labels down to the strictest and the loosest certified threshold, and the loosest; None for none."""
    certified = certified_among_many(ranked, target=target, delta=level, horizon=horizon)
    if not len(certified):
        return None, None
    first, last = (int(ranked.n_flagged[step]) for step in (certified[0], certified[-1]))
    return (first, last), ranked.threshold(int(certified[-1]))


def _by_betting(
    ranked: RankedLabels, weighted: Weighting, *, target: float, level: float
) -> tuple[tuple[int, int] | None, float | None]:
    """As `_by_counting`."""
    search = search_by_betting(ranked, weighted, None, target=target, delta=level)
    if not len(search.ranks):
        return None, None
    return (int(search.ranks[0]), int(search.ranks[-1])), float(search.thresholds[-1])


def _refuted(weighted: Weighting, *, target: float, level: float) -> NDArray[np.bool_]:
    """[N + 1]: whether bets show that more than 1 - target of the first 0, 1, …, N posts do not violate."""
    stakes = weighted.stakes
    flipped = replace(stakes, labels=1 - stakes.labels, right_before=stakes.weight_before - stakes.right_before)
    ranks = np.arange(len(stakes.labels) + 1)
    shown: NDArray[np.bool_] = log_wealth(flipped, ranks, target=1 - target, delta=level) >= np.log(1 / level)
    return shown
