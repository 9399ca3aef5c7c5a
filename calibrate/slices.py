"""Parts of the flagged posts (a market, a language): is the precision there what the whole promises?

A slice is certified where the global threshold lies between the strictest and the loosest that a scan of its own
labels (or bets, where they are weighted or clustered) certifies, at its share of delta: the rule of bands. That also
holds although the global threshold was chosen on these labels, since thresholds between two certified ones hold with
them, if precision in the slice does not rise again as the threshold falls.

The tests stand in `calibrate.slice_tests`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from calibrate.bets.weighted import Weighting, checked_clusters, checked_weights, weighting
from calibrate.bounds import IntArray
from calibrate.ranks.ranked import RankedLabels, Scores, rank_labels

SliceStatus = Literal["certified", "below", "insufficient"]
STATUSES: tuple[SliceStatus, ...] = get_args(SliceStatus)
SliceRows = Mapping[str, IntArray]


@dataclass(frozen=True)
class SliceLabels:
    """The part of a set that has one value: float32 [n] scores and labels, and the known ones in order.

    `weighted` holds the known ones with weights and clusters; None where they are equal and nothing is clustered.
    """

    scores: Scores
    labels: Scores
    ranked: RankedLabels
    weighted: Weighting | None = None


@dataclass(frozen=True)
class SliceResult:
    """What is known of one slice at the global threshold.

    Attributes:
        by: the column.
        value: its value.
        status: `certified`; `below`: an upper bound of its precision, pointwise, lies below the target; or
            `insufficient`: neither can be shown.
        target: precision asked of the slice.
        n_labelled: known labels in the slice.
        n_flagged_labelled: those of them at or above the global threshold.
        precision: share of violating ones among the latter; None if there are none.
        more_labels: estimate of the known labels of this slice, drawn like those it has, that would certify it at
            this threshold; None unless `insufficient` and something supports an estimate.
        threshold: the slice's own certified threshold where one was asked for; it holds whatever the status.
    """

    by: str
    value: str
    status: SliceStatus
    target: float
    n_labelled: int
    n_flagged_labelled: int
    precision: float | None
    more_labels: int | None
    threshold: float | None = None


def rows_by_value(column: pl.Series) -> SliceRows:
    """Row numbers of each value of a column, by its name, in alphabetical order; null belongs to no slice.

    Examples:
        >>> {name: rows.tolist() for name, rows in rows_by_value(pl.Series(["fr", "de", None, "fr"])).items()}
        {'de': [1], 'fr': [0, 3]}
    """
    groups = pl.DataFrame({"value": column}).with_row_index("row").group_by("value").agg("row")
    named = {
        str(value): rows.to_numpy().astype(np.int64)
        for value, rows in zip(groups["value"], groups["row"], strict=True)
        if value is not None
    }
    return dict(sorted(named.items()))


def slice_labels(
    scores: Scores,
    labels: Scores,
    rows: SliceRows,
    inclusion_prob: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> dict[str, SliceLabels]:
    """The slices of a set.

    Args:
        scores: float32 [N].
        labels: [N], 1, 0 or NaN.
        rows: of each value, as `rows_by_value` finds them.
        inclusion_prob: [N] in (0, 1]; None for equal ones.
        clusters: [N] names of what was drawn together.
    """
    groups = None if clusters is None else checked_clusters(clusters, len(scores))
    weights = checked_weights(inclusion_prob, len(scores))
    found = {}
    for name, inside in rows.items():
        part, weighted = (scores[inside], labels[inside]), None
        known = inside[~np.isnan(part[1])]
        if groups is not None or (len(known) and np.ptp(weights[known]) > 0):
            kept = None if groups is None else groups[inside]
            weighted = weighting(part[0], part[1].astype(np.float64), weights[inside], kept)
        found[name] = SliceLabels(*part, rank_labels(*part), weighted)
    return found


def whatever_holds(parts: Sequence[SliceResult]) -> SliceResult:
    """One slice where several targets are possible: what is true of it for each of them.

    Args:
        parts: the slice's result at each target, the strictest first.
    """
    statuses = {part.status for part in parts}
    thresholds = [part.threshold for part in parts if part.threshold is not None]
    return replace(
        parts[0],
        status=parts[0].status if len(statuses) == 1 else "insufficient",
        threshold=max(thresholds) if len(thresholds) == len(parts) else None,
    )
