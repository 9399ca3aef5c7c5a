"""Exact counts at a few thousand ranks of millions of scores, without sorting them.

Scores are put into cells that keep their order; counts of cells say in which of them the wanted ranks end; only what
lies in these is sorted. N known labels, J ranks, R steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calibrate.bounds import IntArray

Scores = NDArray[np.float32]
Codes = NDArray[np.uint8]
Cells = NDArray[np.uint32]

LARGEST_SET = 1 << 48
SORTED_UP_TO = 100_000  # fewer scores are sorted sooner than put into cells
CELL_BITS = 17
BLOCK, COUNTING_BLOCK = 1 << 16, 1 << 19  # items at a time: blocks that stay in the processor's caches
SAMPLE = 4096
TIES_FROM = 8  # one in so many items to be sorted: worth a look at whether they are ties


@dataclass(frozen=True)
class Steps:
    """Distinct scores with their counts; equal scores are one step.

    Attributes:
        scores: float32 [R], falling.
        next_scores: float32 [R], the next lower score; -inf behind the lowest.
        n_flagged: [R], items at or above the score.
        positives: [R], those of them with code 1.
    """

    scores: Scores
    next_scores: Scores
    n_flagged: IntArray
    positives: IntArray


def lattice(n: int, *, one_in: int) -> IntArray:
    """Ranks from 1 to `n` that grow by one in `one_in`, at least 1. Nothing but `n` decides which.

    Examples:
        >>> lattice(14, one_in=4).tolist()
        [1, 2, 3, 4, 5, 7, 9, 12, 14]
    """
    ranks = _endless(one_in)
    return np.append(ranks[: np.searchsorted(ranks, n)], n)


@lru_cache(maxsize=8)
def _endless(one_in: int) -> IntArray:
    ranks = [1]
    while ranks[-1] < LARGEST_SET:
        ranks.append(ranks[-1] + (ranks[-1] + one_in - 1) // one_in)
    return np.array(ranks, np.int64)


def every_step(scores: Scores, codes: Codes) -> Steps:
    """All distinct scores.

    Args:
        scores: float32 [N], finite; may be empty.
        codes: uint8 [N], 1 or 0.

    Examples:
        >>> steps = every_step(np.float32([1, 3, 3, 2]), np.uint8([1, 1, 0, 0]))
        >>> steps.scores.tolist(), steps.n_flagged.tolist(), steps.positives.tolist()
        ([3.0, 2.0, 1.0], [2, 3, 4], [1, 1, 2])
    """
    negated = np.sort(-scores)
    n_flagged = 1 + np.flatnonzero(np.append(negated[1:] != negated[:-1], np.ones(len(negated[:1]), bool)))
    distinct = negated[n_flagged - 1]
    falling = np.float32(0) - distinct  # no -0.0
    return Steps(
        scores=falling,
        next_scores=np.append(falling[1:], np.full(len(falling[:1]), -np.inf, np.float32)),
        n_flagged=n_flagged,
        positives=np.searchsorted(np.sort(-scores[codes == 1]), distinct, side="right"),
    )


def steps_at(scores: Scores, codes: Codes, ranks: IntArray) -> Steps:
    """Those steps of `every_step` in which the ranks end.

    Args:
        scores: float32 [N], finite, at least one.
        codes: uint8 [N], 1 or 0.
        ranks: [J], from 1 to N, rising.

    Examples:
        >>> steps = steps_at(np.float32([1, 3, 3, 2]), np.uint8([1, 1, 0, 0]), np.array([1, 4]))
        >>> steps.scores.tolist(), steps.next_scores.tolist(), steps.n_flagged.tolist(), steps.positives.tolist()
        ([3.0, 1.0], [2.0, -inf], [2, 4], [1, 2])
    """
    if len(scores) <= SORTED_UP_TO:
        every = every_step(scores, codes)
        steps = np.unique(np.searchsorted(every.n_flagged, ranks))
        return Steps(every.scores[steps], every.next_scores[steps], every.n_flagged[steps], every.positives[steps])
    cells_of = _cells_of(scores)
    places = np.empty(len(scores), np.uint32)  # twice the cell, and one more for code 1
    for begin in range(0, len(scores), BLOCK):
        block = slice(begin, begin + BLOCK)
        np.left_shift(cells_of(scores[block]), np.uint32(1), out=places[block])
        places[block] |= codes[block]
    counts = np.zeros(2 << CELL_BITS, np.int64)
    for begin in range(0, len(scores), COUNTING_BLOCK):
        counts += np.bincount(places[begin : begin + COUNTING_BLOCK], minlength=len(counts))
    positives, items = counts[1::2], counts[::2] + counts[1::2]

    wanted = np.zeros(len(items), bool)
    occupied = np.flatnonzero(items)[::-1]
    ending = np.searchsorted(np.cumsum(items[occupied]), ranks)
    wanted[occupied[ending]] = True
    wanted[occupied[np.minimum(ending + 1, len(occupied) - 1)]] = True  # each holds the next lower score

    values, at_values, right_at_values = _distinct(scores, places, items, positives, wanted)
    above = np.cumsum((items * ~wanted)[::-1])[::-1]  # in cells from here on that were not looked into
    right_above = np.cumsum((positives * ~wanted)[::-1])[::-1]
    cells = cells_of(values)
    n_flagged = np.cumsum(at_values) + above[cells]
    right = np.cumsum(right_at_values) + right_above[cells]
    steps = np.unique(np.searchsorted(n_flagged, ranks))
    return Steps(
        scores=values[steps],
        next_scores=np.append(values, np.float32(-np.inf))[steps + 1],
        n_flagged=n_flagged[steps],
        positives=right[steps],
    )


def _distinct(
    scores: Scores, places: Cells, items: IntArray, positives: IntArray, wanted: NDArray[np.bool_]
) -> tuple[Scores, IntArray, IntArray]:
    """Distinct scores in the wanted cells, falling; items and positives at each."""
    values, counts, right = np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64)
    sorted_cells = wanted
    if int(items[wanted].sum()) > len(scores) // TIES_FROM:
        tied, value_of = _tied_cells(scores, places, items)
        values, counts, right = value_of[wanted & tied], items[wanted & tied], positives[wanted & tied]
        sorted_cells = wanted & ~tied
    looked_up = np.repeat(sorted_cells, 2)
    found = [
        begin + np.flatnonzero(looked_up.take(places[begin : begin + BLOCK]))
        for begin in range(0, len(scores), BLOCK)
    ]
    positions = np.concatenate(found)
    inside, inside_right = scores[positions], (places[positions] & np.uint32(1)).astype(bool)
    mixed, mixed_counts = np.unique(inside, return_counts=True)
    right_values, right_counts = np.unique(inside[inside_right], return_counts=True)
    mixed_right = np.zeros(len(mixed), np.int64)
    mixed_right[np.searchsorted(mixed, right_values)] = right_counts
    values = np.concatenate([values, mixed]) + np.float32(0)  # no -0.0
    order = np.argsort(values, kind="stable")[::-1]  # two rising runs: merged, not sorted
    return (
        values[order],
        np.concatenate([counts, mixed_counts])[order],
        np.concatenate([right, mixed_right])[order],
    )


def _tied_cells(scores: Scores, places: Cells, items: IntArray) -> tuple[NDArray[np.bool_], Scores]:
    """Which cells are known to hold one score only, and that score; cells without an item in a sample are not."""
    value_of = np.full(len(items), np.nan, np.float32)
    sample = slice(None, None, max(1, len(scores) // SAMPLE))
    value_of[places[sample] >> np.uint32(1)] = scores[sample]
    tied = items > 0
    for begin in range(0, len(scores), BLOCK):
        block = slice(begin, begin + BLOCK)
        cells = places[block] >> np.uint32(1)
        tied[cells[value_of.take(cells) != scores[block]]] = False
    return tied, value_of


def _cells_of(scores: Scores) -> Callable[[Scores], Cells]:
    """A map to cells below 2^CELL_BITS that never falls as scores rise.

    Cells of equal width are quickest and suit most logits. Where a sample says that cells which follow the scores
    tell twice as many apart (tiny probabilities, outliers), these.
    """
    lowest, highest = scores.min(), scores.max()
    sample = scores[:: max(1, len(scores) // SAMPLE)]
    by_sample = _by_sample(np.array([lowest, highest]), sample)
    with np.errstate(over="ignore"):
        width = highest - lowest
        scale = np.float32(((1 << CELL_BITS) - 1) / max(float(width), 1e-300))
    if not (np.isfinite(width) and np.isfinite(scale)):
        return by_sample

    def by_width(values: Scores) -> Cells:
        cells: Cells = ((values - lowest) * scale).astype(np.uint32)
        return cells

    return by_width if 2 * len(np.unique(by_width(sample))) >= len(np.unique(by_sample(sample))) else by_sample


def _by_sample(ends: Scores, sample: Scores) -> Callable[[Scores], Cells]:
    """Half of the cells by the leading bits of float32 numbers; the other half divide them as a sample is spread."""

    def keys(values: Scores) -> Cells:
        bits = (values + np.float32(0)).view(np.int32)  # no -0.0
        bits ^= (bits >> np.int32(31)) & np.int32(0x7FFFFFFF)  # as integers, negative floats fall: turn them
        return bits.view(np.uint32)

    half = CELL_BITS - 1
    origin, last = keys(ends)
    shift = np.uint32(max(0, ((int(last) - int(origin)) % (1 << 32)).bit_length() - half))
    rest = np.uint32((1 << int(shift)) - 1)
    drawn = np.bincount((keys(sample) - origin) >> shift, minlength=1 << half)
    parts = (1 + drawn * ((1 << half) // (len(sample) + 1))).astype(np.uint32)
    first = np.cumsum(parts, dtype=np.uint32) - parts

    def by_sample(values: Scores) -> Cells:
        offset = keys(values) - origin
        coarse = offset >> shift
        cells: Cells = first.take(coarse) + (((offset & rest) * parts.take(coarse)) >> shift)
        return cells

    return by_sample
