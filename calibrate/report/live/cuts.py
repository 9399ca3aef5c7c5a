"""Which thresholds the page offers, and how many golden items reach each of them.

N golden items, C cuts: thresholds from the strictest down.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.bounds import FloatArray, IntArray
from calibrate.ranks.lattice import lattice
from calibrate.ranks.ranked import ONE_IN, RankedLabels, Scores

MOST_RANKS = 2_000  # up to so many distinct scores each has its cut; beyond, ranks that grow by one in 200
MOST_ROUND = 400  # round numbers between the lowest and the highest score: what people type
CELLS = 1 << 16
SEARCHED_UP_TO = 50_000  # fewer scores are looked up one by one sooner than put into cells
Places = NDArray[np.intp]


def choose_cuts(ranked: RankedLabels, *, chosen: Iterable[float] = ()) -> Scores:
    """Thresholds to offer: where ranks of the known labels end, round numbers, both ends, and those somebody chose.

    Args:
        ranked: the golden set; its unknown labels only widen the range of the round numbers.
        chosen: thresholds that must be among them, float32 numbers.

    Returns:
        float32 [C], falling, each once.

    Examples:
        >>> from calibrate.ranks.ranked import rank_labels
        >>> choose_cuts(rank_labels([0.0, 0.5, 1.0], [0, 1, 1]), chosen=[0.3])[:4].round(4).tolist()
        [1.0, 0.995, 0.99, 0.985]
    """
    steps = np.arange(len(ranked.scores))
    if len(steps) > MOST_RANKS:
        ends = np.searchsorted(ranked.n_flagged, lattice(ranked.n_labelled, one_in=ONE_IN))
        steps = np.unique(ends)
    at_ranks = [ranked.threshold(int(step)) for step in steps]
    lowest, highest = float(ranked.all_scores.min()), float(ranked.all_scores.max())
    every = np.concatenate([at_ranks, _round_numbers(lowest, highest), [lowest, highest], list(chosen)]).astype(
        np.float32
    )
    falling: Scores = np.unique(every + np.float32(0))[::-1].copy()  # no -0.0
    return falling


def _round_numbers(lowest: float, highest: float) -> FloatArray:
    """At most MOST_ROUND multiples of 1, 2 or 5 times a power of ten."""
    least = (highest - lowest) / MOST_ROUND
    if not 0 < least < 1e30:
        return np.zeros(0)
    power = int(np.floor(np.log10(least)))
    step = next(each for factor in (1, 2, 5, 10) if (each := factor * 10.0**power) >= least)
    numbers = np.arange(np.ceil(lowest / step), np.floor(highest / step) + 1)
    # Divided where possible: 3 / 10 is the number that people mean by 0.3, 3 * 0.1 is not.
    result: FloatArray = numbers / round(1 / step) if step < 1 else numbers * step
    return result


def places_of(scores: Scores, cuts: Scores) -> Places:
    """The first cut that each item reaches, C where it reaches none: intp [N].

    Examples:
        >>> places_of(np.float32([5, 2, 1.9, 0]), np.float32([3, 2, 1])).tolist()
        [0, 1, 2, 3]
    """
    rising = np.ascontiguousarray(cuts[::-1])
    if len(scores) <= SEARCHED_UP_TO or not _spread(rising):
        return len(cuts) - np.searchsorted(rising, scores, side="right")
    # Most cells hold no cut: all scores in them lie between the same two.
    lowest, scale = rising[0], np.float32((CELLS - 1) / (rising[-1] - rising[0]))

    def cells_of(values: Scores) -> NDArray[np.int32]:
        inside: NDArray[np.int32] = ((np.clip(values, rising[0], rising[-1]) - lowest) * scale).astype(np.int32)
        return inside

    of_cuts = cells_of(rising)
    below = np.searchsorted(of_cuts, np.arange(CELLS))
    cells = cells_of(scores)
    reached = below[cells]
    cut = np.zeros(CELLS, bool)
    cut[of_cuts] = True
    unsure = np.flatnonzero(cut[cells])
    reached[unsure] = np.searchsorted(rising, scores[unsure], side="right")
    return len(cuts) - reached


def _spread(rising: Scores) -> bool:
    with np.errstate(over="ignore", divide="ignore"):
        width = rising[-1] - rising[0]
        return bool(np.isfinite(width) and width > 0 and np.isfinite(np.float32(CELLS - 1) / width))


@dataclass(frozen=True)
class Counts:
    """Golden items at or above each cut.

    Attributes:
        flagged: [C], unknown labels included.
        labelled: [C], those with a known label.
        positive: [C], those known to violate.
        known: [C], weight of the known labels; their number where none weighs more than another.
        right: [C], weight of those known to violate.
    """

    flagged: IntArray
    labelled: IntArray
    positive: IntArray
    known: FloatArray
    right: FloatArray


def counts_at(places: Places, labels: Scores, n_cuts: int, *, weights: FloatArray | None = None) -> Counts:
    """Count items at or above each cut.

    Args:
        places: [N], as `places_of` finds them.
        labels: [N], 1, 0 or NaN.
        n_cuts: C.
        weights: [N], 1 / inclusion_prob up to a factor; None for equal ones.
    """
    known, right = ~np.isnan(labels), labels == 1

    def reaching(chosen: NDArray[np.bool_], by: FloatArray | None = None) -> NDArray[np.float64]:
        at = np.bincount(places[chosen], None if by is None else by[chosen], n_cuts + 1)
        return np.cumsum(at[:n_cuts])

    labelled, positive = (reaching(chosen).astype(np.int64) for chosen in (known, right))
    return Counts(
        flagged=np.cumsum(np.bincount(places, minlength=n_cuts + 1)[:n_cuts]),
        labelled=labelled,
        positive=positive,
        known=labelled.astype(np.float64) if weights is None else reaching(known, weights),
        right=positive.astype(np.float64) if weights is None else reaching(right, weights),
    )
