"""Golden items that two models flag together or apart, at every threshold that the page offers of the first.

N golden items, C cuts, 3 kinds of label: violating, not violating, unknown.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.bounds import FloatArray, IntArray
from calibrate.ranks.ranked import Scores
from calibrate.report.live.cuts import Places

KINDS = ("violating", "other", "unknown")
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Overlap:
    """Items, or their weights, by kind of label.

    Attributes:
        all: [3], items that both models scored.
        before: [3], those of them that the other model flags.
        both: [3, C], those that both flag, at each cut of the first.
        gained: [3, C], those that the first alone flags.
    """

    all: IntArray | FloatArray
    before: IntArray | FloatArray
    both: IntArray | FloatArray
    gained: IntArray | FloatArray


def kinds_of(labels: Scores) -> NDArray[np.intp]:
    """Places in KINDS, [N], of labels 1, 0 or NaN."""
    return np.where(np.isnan(labels), 2, np.where(labels == 1, 0, 1)).astype(np.intp)


def overlap_of(
    places: Places,
    kinds: NDArray[np.intp],
    flagged: Flags,
    scored: Flags,
    n_cuts: int,
    *,
    weights: FloatArray | None = None,
) -> Overlap:
    """Count the items.

    Args:
        places: [N], the first cut that each item reaches, as `places_of` finds them.
        kinds: [N], places in KINDS.
        flagged: [N], by the other model.
        scored: [N], by both; the others are left out.
        n_cuts: C.
        weights: [N], for the weight of the items instead of their number.
    """
    n_kinds = len(KINDS)

    def counted(chosen: Flags) -> FloatArray:
        """[3, C + 1]: what falls between two cuts."""
        cells = kinds[chosen] * (n_cuts + 1) + places[chosen]
        found = np.bincount(cells, None if weights is None else weights[chosen], n_kinds * (n_cuts + 1))
        return found.reshape(n_kinds, n_cuts + 1).astype(np.float64)

    def whole(values: FloatArray) -> IntArray | FloatArray:
        return values.astype(np.int64) if weights is None else values

    both, gained = counted(scored & flagged), counted(scored & ~flagged)
    before = both.sum(axis=1)
    return Overlap(
        all=whole(before + gained.sum(axis=1)),
        before=whole(before),
        both=whole(np.cumsum(both, axis=1)[:, :n_cuts].copy()),
        gained=whole(np.cumsum(gained, axis=1)[:, :n_cuts].copy()),
    )
