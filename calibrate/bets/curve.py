"""Precision and recall at every distinct score where items came in with unequal chances, or in clusters.

Both are Horvitz-Thompson ratios: of weights 1 / inclusion_prob, not of counts. The bounds are by betting
(`calibrate.bets.betting`), which needs no formula for a variance.
"""

import math
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from calibrate.bets.betting import Stakes, log_wealth, stakes_of
from calibrate.bets.weighted import checked_clusters, checked_weights
from calibrate.bounds import FloatArray, IntArray
from calibrate.curve import CURVE_SCHEMA
from calibrate.ranks.ranked import Scores, checked_scores, rank_labels
from calibrate.ranks.walk import grid_steps

N_PRECISIONS = 100  # bounds are searched in steps of a hundredth
BAND_THRESHOLDS = 24
ONE_IN = 10  # ranks at which the pointwise bound is computed; between two of them the deeper one's is shown


def weighted_precision_recall_curve(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    inclusion_prob: ArrayLike | None,
    clusters: ArrayLike | None,
    confidence: float = 0.95,
    certified_range: tuple[float, float] | None = None,
    pilot_scores: ArrayLike | None = None,
) -> pl.DataFrame:
    """The curve of `calibrate.curve.precision_recall_curve`, with weights.

    `precision_lower_bound` holds at each threshold by itself. `precision_lower_band` holds at 24 thresholds together:
    they are quantiles of `pilot_scores`, fixed without these items, and each bound is taken at 1 - delta / 24 (a
    union bound); between two of them the deeper one's is shown, which holds as long as precision does not rise on the
    way down to it. Without a pilot the band is null: thresholds read off weighted items are no fixed ones.

    Args:
        scores: [N] finite numbers; compared in float32.
        labels: [N], 1, 0 or NaN (left out).
        inclusion_prob: [N] in (0, 1]; None for equal ones.
        clusters: [N] names of what was drawn together; None if every item was drawn by itself.
        confidence: of the bounds.
        certified_range: of an operating point; marks the thresholds that it certifies.
        pilot_scores: [M] scores of other items.

    Returns:
        CURVE_SCHEMA; `n_flagged` and `true_positives` are counts of known labels, precision and recall are weighted.

    Examples:
        >>> curve = weighted_precision_recall_curve(
        ...     [3, 2, 1], [1, 0, 1], inclusion_prob=[1, 0.5, 0.25], clusters=None)
        >>> curve.select("n_flagged", "precision", "recall").rows()
        [(1, 1.0, 0.2), (2, 0.3333333333333333, 0.2), (3, 0.7142857142857143, 1.0)]
    """
    ranked = rank_labels(scores, labels)
    if not ranked.n_labelled:
        return pl.DataFrame(schema=CURVE_SCHEMA)
    given, known = checked_scores(scores), ~np.isnan(np.asarray(labels, np.float64))
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(-given[rows], kind="stable")]
    weights = checked_weights(inclusion_prob, len(given))
    groups = checked_clusters(clusters, len(given))
    stakes = stakes_of(
        np.asarray(labels, np.float64)[rows],
        weights[rows] / weights.max(),
        None if groups is None else groups[rows],
    )
    flagged, right = np.cumsum(stakes.weights), np.cumsum(stakes.weights * stakes.labels)
    ends = ranked.n_flagged - 1
    steps = grid_steps(ranked, 1, one_in=ONE_IN)
    pointwise = precision_bounds(stakes, ranked.n_flagged[steps], delta=1 - confidence)
    loosest, strictest = (
        (np.float32(np.inf), np.float32(np.inf))
        if certified_range is None
        else (np.float32(certified_range[1]), np.float32(certified_range[0]))
    )
    return pl.DataFrame(
        {
            "threshold": ranked.scores,
            "n_flagged": ranked.n_flagged,
            "true_positives": ranked.n_flagged - ranked.false_positives,
            "precision": right[ends] / flagged[ends],
            "recall": right[ends] / right[-1] if ranked.n_positive else [None] * len(ends),
            "precision_lower_bound": pointwise[np.searchsorted(steps, np.arange(len(ends)))],
            "precision_lower_band": _band(stakes, ranked.scores, given[rows], pilot_scores, delta=1 - confidence),
            "certified": (ranked.scores >= loosest) & (ranked.next_scores < strictest),
        },
        schema=CURVE_SCHEMA,
    )


def precision_bounds(stakes: Stakes, ranks: IntArray, *, delta: float) -> FloatArray:
    """At each rank the largest precision in hundredths that bets refute, all smaller ones too; 0 where none is.

    Each holds by itself: the chance that it lies above the precision at a fixed threshold is at most delta.
    """
    bounds, left = np.zeros(len(ranks)), np.arange(len(ranks))
    for precision in np.arange(1, N_PRECISIONS) / N_PRECISIONS:
        within = _down_to(stakes, int(ranks[left].max()) + 1)  # deeper posts have been decided
        evidence = log_wealth(within, ranks[left], target=float(precision), delta=delta)
        left = left[evidence >= math.log(1 / delta)]
        if not len(left):
            break
        bounds[left] = precision
    return bounds


def _down_to(stakes: Stakes, rank: int) -> Stakes:
    return replace(
        stakes,
        labels=stakes.labels[:rank],
        weights=stakes.weights[:rank],
        weight_before=stakes.weight_before[:rank],
        right_before=stakes.right_before[:rank],
        most=stakes.most[:rank],
    )


def _band(
    stakes: Stakes, distinct: Scores, falling: Scores, pilot_scores: ArrayLike | None, *, delta: float
) -> FloatArray | list[None]:
    if pilot_scores is None:
        return [None] * len(distinct)
    shares = np.geomspace(0.002, 1, BAND_THRESHOLDS)
    thresholds = np.unique(np.quantile(checked_scores(pilot_scores), 1 - shares, method="lower"))[::-1]
    ranks = np.searchsorted(-falling, -thresholds, side="right")
    bounds = np.append(precision_bounds(stakes, ranks, delta=delta / len(thresholds)), 0.0)
    shown: FloatArray = bounds[np.searchsorted(-thresholds, -distinct)]  # the next fixed threshold at or below
    return shown
