"""Which golden posts the page holds of a policy. N golden items, K chosen.

All posts stand in one order: by falling score, and where scores are equal as in the golden set. A post's rank is its
place in it, 1 first; a threshold that flags F posts flags ranks 1 to F.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.bounds import IntArray
from calibrate.policy_calibration import PolicyCalibration
from calibrate.ranks.ranked import Scores

MOST_OF_POLICY = 120
MOST_OF_PAGE = 3_000
IN_RANGE = (0.5, 0.0, 1.0, 0.25, 0.75)  # of the way through a certified range, the most useful first
ALONG_CURVE = (0.1, 0.3, 0.5, 0.7, 0.9, 0.2, 0.4, 0.6, 0.8)  # of all cuts


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
    scores: Scores, labels: Scores, anchors: Sequence[float], *, number: int, most: int
) -> ChosenExamples:
    """Choose the nearest posts around thresholds, and the worst errors of either kind.

    Whatever threshold is looked at later, the `number` highest-scored posts that it flags wrongly are among the
    chosen ones, and the lowest-scored violating ones that it misses.

    Args:
        scores: float32 [N].
        labels: [N], 1, 0 or NaN.
        anchors: thresholds, the most important first; those for which there is no room are left out.
        number: on either side of each threshold, and of errors of each kind.
        most: posts; small golden sets are taken whole.
    """
    chosen: dict[int, None] = {}  # a set that keeps its order
    rising = np.sort(scores)
    for threshold in anchors[:1]:
        chosen |= dict.fromkeys(_around(scores, rising, np.float32(threshold), number))
    chosen |= dict.fromkeys(_highest(scores, labels == 0, number))
    chosen |= dict.fromkeys(_lowest(scores, labels == 1, number))
    for threshold in anchors[1:]:
        if len(chosen) + 2 * number > most:
            break
        chosen |= dict.fromkeys(_around(scores, rising, np.float32(threshold), number))
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
    for share in IN_RANGE:
        for strictest, loosest in ranges:
            inside = cuts[(cuts <= np.float32(strictest)) & (cuts >= np.float32(loosest))]
            anchors += _at(inside, share)
    for share in ALONG_CURVE:
        anchors += _at(cuts, share)
    return list(dict.fromkeys(anchors))


def most_of_policy(n_policies: int, number: int) -> int:
    """Posts that a page of so many policies holds of each."""
    return max(4 * number, min(MOST_OF_POLICY, MOST_OF_PAGE // max(1, n_policies)))


def _at(cuts: Scores, share: float) -> list[float]:
    return [float(cuts[round(share * (len(cuts) - 1))])] if len(cuts) else []


def _around(scores: Scores, rising: Scores, threshold: np.float32, number: int) -> list[int]:
    """Rows of the nearest posts on either side, from the threshold outwards."""
    below = int(np.searchsorted(rising, threshold))
    up: list[int] = []
    down: list[int] = []
    if below < len(rising):
        highest = rising[min(below + number, len(rising)) - 1]
        rows = np.flatnonzero((scores >= threshold) & (scores <= highest))
        up = rows[np.lexsort((-rows, scores[rows]))][:number].tolist()
    if below > 0:
        lowest = rising[max(0, below - number)]
        rows = np.flatnonzero((scores >= lowest) & (scores < threshold))
        down = rows[np.lexsort((rows, -scores[rows]))][:number].tolist()
    return [row for pair in _alternating(up, down) for row in pair]


def _alternating(up: list[int], down: list[int]) -> list[list[int]]:
    return [up[place : place + 1] + down[place : place + 1] for place in range(max(len(up), len(down)))]


def _highest(scores: Scores, among: NDArray[np.bool_], number: int) -> list[int]:
    """Rows of the first posts among some, by rank."""
    values = scores[among]
    if not len(values):
        return []
    place = max(0, len(values) - number)
    rows = np.flatnonzero(among & (scores >= np.partition(values, place)[place]))
    chosen: list[int] = rows[np.lexsort((rows, -scores[rows]))][:number].tolist()
    return chosen


def _lowest(scores: Scores, among: NDArray[np.bool_], number: int) -> list[int]:
    """Rows of the last posts among some, the very last first."""
    values = scores[among]
    if not len(values):
        return []
    place = min(len(values), number) - 1
    rows = np.flatnonzero(among & (scores <= np.partition(values, place)[place]))
    chosen: list[int] = rows[np.lexsort((-rows, scores[rows]))][:number].tolist()
    return chosen


def _rank(scores: Scores, rising: Scores, row: int) -> int:
    low, high = (int(np.searchsorted(rising, scores[row], side=side)) for side in ("left", "right"))
    ties_before = np.count_nonzero(scores[:row] == scores[row]) if high - low > 1 else 0
    return len(rising) - high + int(ties_before) + 1
