"""Scores and labels put in order: what the threshold methods walk over, and thresholds between two scores.

Known labels only enter the ranks; items without a label are counted and left out. R distinct scores.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibrate.bounds import IntArray

Scores = NDArray[np.float32]
Labels = NDArray[np.float64]


@dataclass(frozen=True)
class RankedLabels:
    """The known labels of a set, from the highest score down, with equal scores as one step.

    Attributes:
        all_scores: float32 [N], as passed, unknown labels included.
        scores: float32 [R], distinct scores of items with a known label, falling.
        n_flagged: [R], items with a known label at or above that score: the ranks that end on a tie boundary.
        false_positives: [R], those of them that do not violate.
        n_unknown: items without a known label.
    """

    all_scores: Scores
    scores: Scores
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
        """The float32 threshold that flags exactly the first `step + 1` distinct scores among known items."""
        if step + 1 == len(self.scores):
            return float(self.scores[step])
        return threshold_between(self.scores[step], self.scores[step + 1])

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


def rank_labels(scores: ArrayLike, labels: ArrayLike, *, prefix: str = "") -> RankedLabels:
    """Check scores and labels and put them in order.

    Args:
        scores: [N] finite numbers; compared in float32.
        labels: [N] numbers, 1 violating, 0 not violating, NaN unknown; or booleans.
        prefix: put before the names of the arguments in messages.

    Raises:
        ValueError: names the argument, the value and its position.

    Examples:
        >>> ranked = rank_labels([0.5, 2.0, 2.0, 1.0], [0, 1, 0, float("nan")])
        >>> ranked.n_flagged.tolist(), ranked.false_positives.tolist(), ranked.n_unknown
        ([2, 3], [1, 2], 1)
    """
    all_scores = checked_scores(scores, f"{prefix}scores")
    all_labels = checked_labels(labels, f"{prefix}labels")
    if len(all_scores) != len(all_labels):
        raise ValueError(
            f"{prefix}scores and {prefix}labels must be equally long, got {len(all_scores)} and {len(all_labels)}"
        )
    known = ~np.isnan(all_labels)
    distinct, step = np.unique(-all_scores[known], return_inverse=True)
    wrong = np.bincount(step, weights=1 - all_labels[known], minlength=len(distinct))
    return RankedLabels(
        all_scores=all_scores,
        scores=-distinct + np.float32(0),  # no -0.0
        n_flagged=np.cumsum(np.bincount(step, minlength=len(distinct))).astype(np.int64),
        false_positives=np.cumsum(wrong).astype(np.int64),
        n_unknown=int((~known).sum()),
    )


def checked_scores(scores: ArrayLike, name: str = "scores") -> Scores:
    """The scores as float32 [N], N >= 1, all finite; ValueError otherwise."""
    given = _one_dimensional(scores, name)
    with np.errstate(over="ignore"):
        narrowed = given.astype(np.float32)
    if not np.isfinite(narrowed).all():
        where = int(np.flatnonzero(~np.isfinite(narrowed))[0])
        raise ValueError(f"{name} must be finite float32 numbers, got {given[where]} at position {where}")
    return narrowed


def checked_labels(labels: ArrayLike, name: str = "labels") -> Labels:
    """The labels as float64 [N], N >= 1, each 0, 1 or NaN; ValueError otherwise."""
    given = _one_dimensional(labels, name)
    fine = np.isnan(given) | (given == 0) | (given == 1)
    if not fine.all():
        where = int(np.flatnonzero(~fine)[0])
        raise ValueError(
            f"{name} must be 1 (violating), 0 (not violating) or NaN (unknown), "
            f"got {given[where]} at position {where}"
        )
    return given


def _one_dimensional(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        given = np.asarray(values)
        if given.dtype.kind == "c":
            raise TypeError("complex numbers")
        given = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if given.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {given.shape}")
    if len(given) == 0:
        raise ValueError(f"{name} must not be empty")
    return given
