"""Which golden posts the page holds of a policy. N golden items, K chosen.

All posts stand in one order: by falling score, and where scores are equal as in the golden set. A post's rank is its
place in it, 1 first; a threshold that flags F posts flags ranks 1 to F.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from calibrate.bounds import IntArray
from calibrate.policy_calibration import PolicyCalibration
from calibrate.ranks.ranked import Scores

MOST_OF_POLICY = 200
MOST_OF_PAGE = 4_000
# Places of a certified range, and among all cuts, the most useful first.
IN_RANGE = (0.5, 0.0, 1.0, 0.25, 0.75, 0.125, 0.375, 0.625, 0.875)
ALONG_CURVE = (0.5, 0.9, 0.1, 0.7, 0.3, 0.8, 0.2, 0.6, 0.4)
UNKNOWN_AFTER = 3  # so many posts with a known label, around a threshold, one without


@dataclass(frozen=True)
class ChosenExamples:
    """Posts of one policy, by rising rank.

    Attributes:
        number: how many a group shows at most.
        rows: [K], in the golden set.
        ranks: [K].
        scores: float32 [K].
        labels: float32 [K], 1, 0 or NaN.
        order: [K], 0 for the post whose picture is wanted most.
    """

    number: int
    rows: IntArray
    ranks: IntArray
    scores: Scores
    labels: Scores
    order: IntArray


def choose_examples(
    scores: Scores, labels: Scores, anchors: Sequence[float], *, number: int, most: int, n_full: int = 1
) -> ChosenExamples:
    """Choose the nearest posts around thresholds, and the worst errors of either kind.

    Whichever threshold is looked at later: the highest-scored posts that it flags wrongly are among the chosen ones,
    and the lowest-scored violating posts that it misses.

    Args:
        scores: float32 [N].
        labels: [N], 1, 0 or NaN.
        anchors: thresholds, the most important first; those for which there is no room are left out.
        n_full: how many of them have `number` posts on either side; the others half as many.
        number: with a known label on either side of each threshold, a third as many without, and of errors of each
            kind.
        most: posts; small golden sets are taken whole.
    """
    worst = dict.fromkeys(_highest(scores, labels == 0, number) + _lowest(scores, labels == 1, number))
    chosen: dict[int, None] = {} if len(anchors) else worst  # a set that keeps its order
    rising, known = np.sort(scores), ~np.isnan(labels)
    sides = [(among, np.sort(scores[among])) for among in (known, ~known)]
    for place, threshold in enumerate(anchors):
        share = number if place < n_full else math.ceil(number / 2)
        wanted = (share, math.ceil(share / UNKNOWN_AFTER))
        if place and len(chosen) + 2 * sum(wanted) > most:
            break
        for (among, theirs), each in zip(sides, wanted, strict=True):
            chosen |= dict.fromkeys(_around(scores, among, theirs, np.float32(threshold), each))
        if place == 0:
            chosen |= worst
    if len(scores) <= most:
        chosen |= dict.fromkeys(range(len(scores)))
    rows = np.fromiter(chosen, np.int64, len(chosen))
    ranks = np.array([_rank(scores, rising, int(row)) for row in rows], np.int64)
    falling = np.argsort(ranks)
    return ChosenExamples(
        number=number,
        rows=rows[falling],
        ranks=ranks[falling],
        scores=scores[rows[falling]],
        labels=labels[rows[falling]],
        order=falling.astype(np.int64),
    )


def anchors_of(calibration: PolicyCalibration, cuts: Scores) -> list[float]:
    """Thresholds around which posts are shown: of the bands, in their certified ranges, and all along the curve.

    Args:
        calibration: of the policy.
        cuts: float32 [C], falling, that the page offers.
    """
    points = [band.point for band in calibration.bands]
    anchors = [point.threshold for point in points if point.threshold is not None]
    ranges = [point.certified_range for point in points if point.certified_range is not None]
    for inside_range, along_curve in zip(IN_RANGE, ALONG_CURVE, strict=True):
        for strictest, loosest in ranges:
            anchors += _at(cuts[(cuts <= np.float32(strictest)) & (cuts >= np.float32(loosest))], inside_range)
        anchors += _at(cuts, along_curve)
    return list(dict.fromkeys(anchors))


def most_of_policy(n_policies: int, number: int) -> int:
    """Posts that a page of so many policies holds of each."""
    return max(4 * number, min(MOST_OF_POLICY, MOST_OF_PAGE // max(1, n_policies)))


def _at(cuts: Scores, share: float) -> list[float]:
    return [float(cuts[round(share * (len(cuts) - 1))])] if len(cuts) else []


def _around(
    scores: Scores, among: NDArray[np.bool_], rising: Scores, threshold: np.float32, number: int
) -> list[int]:
    """Rows of the nearest posts on either side, from the threshold outwards.

    Args:
        scores: float32 [N].
        among: [N], which of them.
        rising: theirs.
        threshold: around which.
        number: on either side.
    """
    up: list[int] = []
    down: list[int] = []
    below = int(np.searchsorted(rising, threshold))
    if below < len(rising):
        edge = rising[min(below + number, len(rising)) - 1]
        up = _last(scores, among & (scores >= threshold) & (scores <= edge), edge, number)
    if below > 0:
        edge = rising[max(0, below - number)]
        down = _first(scores, among & (scores < threshold) & (scores >= edge), edge, number)
    return [row for pair in zip_longest(up, down) for row in pair if row is not None]


def _highest(scores: Scores, among: NDArray[np.bool_], number: int) -> list[int]:
    values = scores[among]
    if not len(values):
        return []
    place = max(0, len(values) - number)
    edge = np.partition(values, place)[place]
    return _first(scores, among & (scores >= edge), edge, number)


def _lowest(scores: Scores, among: NDArray[np.bool_], number: int) -> list[int]:
    values = scores[among]
    if not len(values):
        return []
    place = min(len(values), number) - 1
    edge = np.partition(values, place)[place]
    return _last(scores, among & (scores <= edge), edge, number)


def _first(scores: Scores, among: NDArray[np.bool_], edge: np.float32, number: int) -> list[int]:
    """Rows of the first posts by rank, among few and however many that score `edge`, the lowest of them."""
    rows = np.flatnonzero(among)
    rows = np.concatenate([rows[scores[rows] > edge], rows[scores[rows] == edge][:number]])
    chosen: list[int] = rows[np.lexsort((rows, -scores[rows]))][:number].tolist()
    return chosen


def _last(scores: Scores, among: NDArray[np.bool_], edge: np.float32, number: int) -> list[int]:
    """Rows of the last posts by rank, the very last first, among few and all that score `edge`, the highest."""
    rows = np.flatnonzero(among)
    rows = np.concatenate([rows[scores[rows] < edge], rows[scores[rows] == edge][-number:]])
    chosen: list[int] = rows[np.lexsort((-rows, scores[rows]))][:number].tolist()
    return chosen


def _rank(scores: Scores, rising: Scores, row: int) -> int:
    low, high = (int(np.searchsorted(rising, scores[row], side=side)) for side in ("left", "right"))
    ties_before = np.count_nonzero(scores[:row] == scores[row]) if high - low > 1 else 0
    return len(rising) - high + int(ties_before) + 1
