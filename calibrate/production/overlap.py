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


class Overlaps:
    """Counts the items of one policy; what does not hang on the other model's threshold is counted once.

    Args:
        places: [N], the first cut that each item reaches, as `places_of` finds them.
        kinds: [N], places in KINDS.
        scored: [N], by both models; the others are left out.
        n_cuts: C.
        weights: [N], for the weight of the items instead of their number.
    """

    def __init__(
        self,
        places: Places,
        kinds: NDArray[np.intp],
        scored: Flags,
        n_cuts: int,
        *,
        weights: FloatArray | None = None,
    ) -> None:
        self._cells = np.where(scored, kinds * (n_cuts + 1) + places, len(KINDS) * (n_cuts + 1))
        self._n_cuts = n_cuts
        self._weights = weights
        self._all = self._counted(self._cells, weights)

    def of(self, flagged: Flags) -> Overlap:
        """With what the other model flags, [N]."""
        [rows] = np.nonzero(flagged)
        both = self._counted(self._cells[rows], None if self._weights is None else self._weights[rows])
        return Overlap(
            all=self._whole(self._all.sum(axis=1)),
            before=self._whole(both.sum(axis=1)),
            both=self._reaching(both),
            gained=self._reaching(self._all - both),
        )

    def _counted(self, cells: NDArray[np.intp], weights: FloatArray | None) -> FloatArray:
        """[3, C + 1]: what falls between two cuts."""
        n_cells = len(KINDS) * (self._n_cuts + 1)
        found = np.bincount(cells, weights, n_cells + 1)[:n_cells]
        return found.reshape(len(KINDS), -1).astype(np.float64)

    def _reaching(self, counted: FloatArray) -> IntArray | FloatArray:
        return self._whole(np.cumsum(counted, axis=1)[:, : self._n_cuts].copy())

    def _whole(self, values: FloatArray) -> IntArray | FloatArray:
        return values.astype(np.int64) if self._weights is None else values
