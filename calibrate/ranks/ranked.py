"""Scores and labels put in order: what the threshold methods walk over, and thresholds between two scores.

Known labels only enter the ranks; items without a label are counted and left out. R distinct scores.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibrate.bounds import IntArray
from calibrate.ranks.lattice import Codes, every_step, lattice, steps_at

Scores = NDArray[np.float32]
Labels = NDArray[np.float64]

# Up to so many known labels every distinct score is a step; beyond, those in which ranks end that grow by one in 200.
MOST_EVERY, ONE_IN = 20_000, 200
UNKNOWN = 2  # the code of a label that is not known
BLOCK = 1 << 16


@dataclass(frozen=True)
class RankedLabels:
    """The known labels of a set, from the highest score down, with equal scores as one step.

    Large sets keep some of their steps only, each with exact counts: see `rank_labels`.

    Attributes:
        all_scores: float32 [N], as passed, unknown labels included.
        scores: float32 [R], distinct scores of items with a known label, falling.
        next_scores: float32 [R], the next lower score of an item with a known label; -inf behind the lowest.
        n_flagged: [R], items with a known label at or above that score: the ranks that end on a tie boundary.
        false_positives: [R], those of them that do not violate.
        n_unknown: items without a known label.
    """

    all_scores: Scores
    scores: Scores
    next_scores: Scores
    n_flagged: IntArray
    false_positives: IntArray
    n_unknown: int

    @property
    def n_labelled(self) -> int:
        """Items with a known label."""
        return int(self.n_flagged[-1]) if len(self.n_flagged) else 0

    @property
    def n_positive(self) -> int:
        """Items known to violate."""
        return self.n_labelled - int(self.false_positives[-1]) if len(self.n_flagged) else 0

    def threshold(self, step: int) -> float:
        """The float32 threshold that flags exactly the first `n_flagged[step]` known items."""
        if step + 1 == len(self.scores):
            return float(self.scores[step])
        return threshold_between(self.scores[step], self.next_scores[step])

    def step_at(self, rank: int) -> int:
        """The first step that flags at least `rank` known items; R if there is none."""
        return int(np.searchsorted(self.n_flagged, rank))


def threshold_between(flagged: np.float32, unflagged: np.float32) -> float:
    """Midpoint of two float32 scores, rounded to float32, above `unflagged` and not above `flagged`.

    Examples:
        >>> threshold_between(np.float32(2.0), np.float32(1.0))
        1.5
        >>> above_one = np.nextafter(np.float32(1.0), np.float32(2.0))
        >>> threshold_between(above_one, np.float32(1.0)) == float(above_one)
        True
    """
    assert unflagged < flagged, (unflagged, flagged)
    middle = np.float32((float(flagged) + float(unflagged)) / 2)
    if middle <= unflagged:  # neighbours in float32: the midpoint rounds down to the lower one
        middle = np.nextafter(unflagged, flagged)
    return float(middle)


def rank_labels(
    scores: ArrayLike, labels: ArrayLike, *, prefix: str = "", most_every: int = MOST_EVERY
) -> RankedLabels:
    """Check scores and labels and put them in order.

    With up to `most_every` known labels every distinct score is a step. Beyond, the steps are those in which the
    ranks of a lattice end that grows by one in 200: every rank up to 200, and never more than 0.5 % apart, which
    their number alone decides. So nothing that is tested depends on labels, and no sort of all scores is needed.

    Args:
        scores: [N] finite numbers; compared in float32.
        labels: [N] numbers, 1 violating, 0 not violating, NaN unknown; or booleans.
        prefix: put before the names of the arguments in messages.
        most_every: see above.

    Raises:
        ValueError: names the argument, the value and its position.

    Examples:
        >>> ranked = rank_labels([0.5, 2.0, 2.0, 1.0], [0, 1, 0, float("nan")])
        >>> ranked.n_flagged.tolist(), ranked.false_positives.tolist(), ranked.n_unknown
        ([2, 3], [1, 2], 1)
    """
    all_scores = checked_scores(scores, f"{prefix}scores")
    codes = _codes(_one_dimensional(labels, f"{prefix}labels"), f"{prefix}labels")
    if len(all_scores) != len(codes):
        raise ValueError(
            f"{prefix}scores and {prefix}labels must be equally long, got {len(all_scores)} and {len(codes)}"
        )
    n_unknown = int(np.count_nonzero(codes == UNKNOWN))
    known_scores = all_scores
    if n_unknown:
        known = codes != UNKNOWN
        known_scores, codes = all_scores[known], codes[known]
    if len(codes) <= most_every:
        steps = every_step(known_scores, codes)
    else:
        steps = steps_at(known_scores, codes, lattice(len(codes), one_in=ONE_IN))
    return RankedLabels(
        all_scores=all_scores,
        scores=steps.scores,
        next_scores=steps.next_scores,
        n_flagged=steps.n_flagged,
        false_positives=steps.n_flagged - steps.positives,
        n_unknown=n_unknown,
    )


def checked_scores(scores: ArrayLike, name: str = "scores") -> Scores:
    """The scores as float32 [N], N >= 1, all finite; ValueError otherwise. Not copied if they are float32."""
    given = _one_dimensional(scores, name)
    with np.errstate(over="ignore"):
        narrowed = given.astype(np.float32, copy=False)
    if not (np.isfinite(narrowed.min()) and np.isfinite(narrowed.max())):  # NaN is passed on by both
        where = int(np.flatnonzero(~np.isfinite(narrowed))[0])
        raise ValueError(f"{name} must be finite float32 numbers, got {given[where]} at position {where}")
    return narrowed


def checked_labels(labels: ArrayLike, name: str = "labels") -> Labels:
    """The labels as float64 [N], N >= 1, each 0, 1 or NaN; ValueError otherwise."""
    given = _one_dimensional(labels, name)
    _codes(given, name)
    return given.astype(np.float64, copy=False)


def _codes(given: NDArray[Any], name: str) -> Codes:
    """Labels as one byte each: 1 violating, 0 not violating, UNKNOWN."""
    if given.dtype == bool:
        return given.view(np.uint8)
    codes = np.empty(len(given), np.uint8)
    for begin in range(0, len(given), BLOCK):
        part = given[begin : begin + BLOCK]
        right, unknown = part == 1, np.isnan(part) if given.dtype.kind == "f" else np.zeros(len(part), bool)
        fine = right | unknown | (part == 0)
        if not fine.all():
            where = begin + int(np.flatnonzero(~fine)[0])
            raise ValueError(
                f"{name} must be 1 (violating), 0 (not violating) or NaN (unknown), "
                f"got {given[where]} at position {where}"
            )
        codes[begin : begin + BLOCK] = right + np.uint8(UNKNOWN) * unknown
    return codes


def _one_dimensional(values: ArrayLike, name: str) -> NDArray[Any]:
    """The values as an array of booleans, integers or floats, as given where they are that already."""
    try:
        given = np.asarray(values)
        if given.dtype.kind == "c":
            raise TypeError("complex numbers")
        if given.dtype.kind not in "biuf":
            given = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if given.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {given.shape}")
    if len(given) == 0:
        raise ValueError(f"{name} must not be empty")
    return given
