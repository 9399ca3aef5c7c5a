"""Bounds of precision and recall at every cut, at the confidence of one band. C cuts."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from calibrate.bets.recall import recall_interval
from calibrate.bets.weighted import checked_clusters, checked_weights
from calibrate.bounds import FloatArray, IntArray, lower_bound, upper_bound
from calibrate.draw import Draw
from calibrate.evidence import Evidence
from calibrate.ranks.ranked import Scores, checked_labels
from calibrate.recall import known_violating
from calibrate.report.live.cuts import Counts

BETTING_INTERVALS = 40  # of the recall, where each takes thousands of bets


@dataclass(frozen=True)
class Bounds:
    """What holds at each cut, taken by itself but for the ribbon.

    Attributes:
        confidence: of all of them.
        lower: [C], of the precision.
        ribbon: [C], of the precision, at all thresholds together; None where nothing of the kind is known.
        recall_low: [C].
        recall_high: [C].
    """

    confidence: float
    lower: FloatArray
    ribbon: FloatArray | None
    recall_low: FloatArray
    recall_high: FloatArray


def bounds_at(cuts: Scores, counts: Counts, curve: pl.DataFrame, evidence: Evidence, *, confidence: float) -> Bounds:
    """Bounds at the cuts, by the methods of the curve.

    Args:
        cuts: float32 [C], falling.
        counts: of the golden items at each.
        curve: of a band with this confidence; bounds that it computes for some ranks only are read off it.
        evidence: golden scores and labels.
        confidence: of the bounds; two-sided for the recall.
    """
    if not evidence.draw.is_weighted:
        low, high = _counted_recall(counts, confidence)
        lower = _once(counts.positive, counts.labelled, confidence)
    else:
        low, high = _weighted_recall(cuts, evidence.draw, evidence, confidence)
        lower = _of_next_row(curve, counts, "precision_lower_bound")
    ribbon = (
        None if curve["precision_lower_band"].null_count() else _of_next_row(curve, counts, "precision_lower_band")
    )
    return Bounds(confidence, lower, ribbon, low, high)


def _once(right: IntArray, tried: IntArray, confidence: float) -> FloatArray:
    """Lower bounds, computed once for cuts that flag the same labels: round numbers often do."""
    pairs, places = np.unique(np.stack([right, tried]), axis=1, return_inverse=True)
    bounds: FloatArray = lower_bound(*pairs, confidence=confidence)[places]
    return bounds


def _counted_recall(counts: Counts, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Two-sided Clopper-Pearson intervals, as `calibrate.bounds.interval` has them."""
    one_sided = 1 - (1 - confidence) / 2
    all_positive = int(counts.positive[-1]) if len(counts.positive) else 0
    caught, places = np.unique(counts.positive, return_inverse=True)
    low = lower_bound(caught, all_positive, confidence=one_sided)
    high = upper_bound(caught, all_positive, confidence=one_sided)
    return low[places], high[places]


def _weighted_recall(
    cuts: Scores, draw: Draw, evidence: Evidence, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Intervals by betting, at some cuts; elsewhere the lower end of the stricter and the upper of the looser one.

    Recall only grows as the threshold falls, so both ends hold there as well.
    """
    labels = checked_labels(evidence.labels)
    positive_scores, violating = known_violating(
        evidence.scores,
        labels,
        checked_weights(draw.inclusion_prob, len(labels)),
        checked_clusters(draw.clusters, len(labels)),
    )
    caught = np.searchsorted(-positive_scores, -cuts, side="right")
    if not len(positive_scores):
        return np.zeros(len(cuts)), np.ones(len(cuts))
    some = np.unique(np.linspace(0, len(positive_scores), BETTING_INTERVALS).astype(np.int64))
    ends = np.array([recall_interval(violating, int(n), confidence=confidence) for n in some])
    stricter = np.searchsorted(some, caught, side="right") - 1
    looser = np.searchsorted(some, caught)
    return ends[stricter, 0], ends[looser, 1]


def _of_next_row(curve: pl.DataFrame, counts: Counts, column: str) -> FloatArray:
    """The curve's values at the first row that flags at least as many known labels; 0 where nothing is flagged.

    Between two rows the deeper one's bound is shown, as the curve does between ranks.
    """
    if curve.is_empty():
        return np.zeros(len(counts.labelled))
    rows = np.searchsorted(curve["n_flagged"].to_numpy(), counts.labelled)
    values: FloatArray = curve[column].to_numpy()[rows]
    return np.where(counts.labelled > 0, values, 0.0)
