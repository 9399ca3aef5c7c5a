"""Precision and recall at every distinct score, as a table; of a large set, at a few thousand of them."""

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from calibrate.bounds import lower_bound
from calibrate.ranks.ranked import rank_labels
from calibrate.ranks.ribbon import simultaneous_lower_bounds

CURVE_SCHEMA = {
    "threshold": pl.Float32,
    "n_flagged": pl.Int64,
    "true_positives": pl.Int64,
    "precision": pl.Float64,
    "recall": pl.Float64,
    "precision_lower_bound": pl.Float64,
    "precision_lower_band": pl.Float64,
    "certified": pl.Boolean,
}


def precision_recall_curve(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    confidence: float = 0.95,
    certified_range: tuple[float, float] | None = None,
) -> pl.DataFrame:
    """The precision-recall curve over the distinct scores of items with a known label.

    Args:
        scores: [N] finite numbers; compared in float32.
        labels: [N], 1, 0 or NaN (left out).
        confidence: of the one-sided Clopper-Pearson bound, which holds at each threshold by itself, and of the
            lower band, which holds at all of them together (`calibrate.ranks.ribbon`).
        certified_range: of an operating point; marks the thresholds that it certifies.

    Returns:
        CURVE_SCHEMA, one row a distinct score used as a threshold (score >= threshold), highest first. With more
        than 20,000 known labels, only the scores at which ranks end that grow by one in 200: all of the first 200,
        then so many that `n_flagged` grows by at most 0.5 % a row but for ties. Every row is exact.
        `n_flagged` counts known labels; `recall` is null when no item is known to violate.

    Raises:
        ValueError: malformed arguments.

    Examples:
        >>> precision_recall_curve([3, 2, 2, 1], [1, 1, 0, 0]).select("n_flagged", "precision", "recall").rows()
        [(1, 1.0, 0.5), (3, 0.6666666666666666, 1.0), (4, 0.5, 1.0)]
    """
    ranked = rank_labels(scores, labels)
    flagged = ranked.n_flagged
    right = flagged - ranked.false_positives
    if certified_range is None:
        certified = np.zeros(len(flagged), dtype=bool)
    else:
        strictest, loosest = (np.float32(threshold) for threshold in certified_range)
        certified = (ranked.scores >= loosest) & (ranked.next_scores < strictest)
    return pl.DataFrame(
        {
            "threshold": ranked.scores,
            "n_flagged": flagged,
            "true_positives": right,
            "precision": right / flagged,
            "recall": right / ranked.n_positive if ranked.n_positive else [None] * len(flagged),
            "precision_lower_bound": lower_bound(right, flagged, confidence=confidence),
            "precision_lower_band": simultaneous_lower_bounds(ranked, confidence=confidence),
            "certified": certified,
        },
        schema=CURVE_SCHEMA,
    )
