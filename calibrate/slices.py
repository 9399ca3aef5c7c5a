"""Parts of the flagged posts (a market, a language): is the precision there what the whole promises?

A slice is certified where a scan of its own labels (or bets, where they are weighted or clustered), at its share of
delta, certifies a threshold at or below the global one. That also holds although the global threshold was chosen on
these labels, since a scan certifies all stricter thresholds with its loosest, if precision in the slice does not rise
again as the threshold falls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from calibrate.bets.betting import log_wealth
from calibrate.bets.weighted import Weighting, checked_clusters, checked_weights, search_by_betting, weighting
from calibrate.bounds import IntArray, upper_bound
from calibrate.ranks.labels_needed import labels_needed
from calibrate.ranks.ranked import RankedLabels, Scores, rank_labels
from calibrate.ranks.search import certified_among_many

SliceStatus = Literal["certified", "below", "insufficient"]
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
        more_labels: estimate of the known labels from this slice that are missing; None unless `insufficient` and
            something supports an estimate.
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


def check_slices(
    slices: Mapping[str, SliceLabels],
    *,
    by: str,
    threshold: float,
    target: float,
    delta: float,
    min_flagged: int,
    own_thresholds: bool = False,
) -> tuple[SliceResult, ...]:
    """Test every value of a column at one threshold; all certificates hold together with probability 1 - delta.

    Delta is shared by the values with at least `min_flagged` known labels; the others are insufficient.

    Args:
        slices: of the column, by value, as `slice_labels` makes them.
        by: name of the column.
        threshold: the global one, that all slices are tested at.
        target: precision asked of each.
        delta: chance of a false certificate among them.
        min_flagged: known labels that a slice needs.
        own_thresholds: report each slice's own threshold.

    Examples:
        >>> scores, labels = np.arange(400, dtype=np.float32), np.ones(400)
        >>> slices = slice_labels(scores, labels, rows_by_value(pl.Series(["de", "fr"] * 200)))
        >>> parts = check_slices(slices, by="market", threshold=100.0, target=0.9, delta=0.05, min_flagged=30)
        >>> [(part.value, part.status, part.n_flagged_labelled) for part in parts]
        [('de', 'certified', 150), ('fr', 'certified', 150)]
    """
    n_tested = sum(part.ranked.n_labelled >= min_flagged for part in slices.values())
    level = delta / max(1, n_tested)
    # Rounded up, so that boundaries are shared by policies, too.
    horizon = 1 << max((part.ranked.n_labelled for part in slices.values()), default=1).bit_length()
    results = []
    for name, part in slices.items():
        ranked = part.ranked
        inside = part.labels[part.scores >= np.float32(threshold)]
        n_flagged, right = int((~np.isnan(inside)).sum()), int((inside == 1).sum())
        precision = right / n_flagged if n_flagged else None
        if part.weighted is not None and n_flagged:
            stakes = part.weighted.stakes
            precision = float(np.average(stakes.labels[:n_flagged], weights=stakes.weights[:n_flagged]))
        own, more = None, None
        status: SliceStatus = "insufficient"
        if ranked.n_labelled >= min_flagged:
            if part.weighted is not None:
                reached, own, is_below = _by_betting(ranked, part.weighted, n_flagged, target=target, level=level)
            else:
                reached, own = _by_counting(ranked, target=target, level=level, horizon=horizon)
                is_below = n_flagged > 0 and float(upper_bound(right, n_flagged, confidence=1 - level)) < target
            # Between the slice's last flagged post and the next one the global threshold decides the same.
            if reached >= n_flagged > 0:
                status = "certified"
            elif is_below:
                status = "below"
        if status == "insufficient":
            needed, _ = labels_needed(ranked, target=target, level=level, first_rank=min_flagged)
            more = None if needed is None else max(1, needed - ranked.n_labelled)
        results.append(
            SliceResult(
                by=by,
                value=name,
                status=status,
                target=target,
                n_labelled=ranked.n_labelled,
                n_flagged_labelled=n_flagged,
                precision=precision,
                more_labels=more,
                threshold=own if own_thresholds else None,
            )
        )
    return tuple(results)


def _by_counting(ranked: RankedLabels, *, target: float, level: float, horizon: int) -> tuple[int, float | None]:
    """Known labels down to the loosest certified threshold (-1 for none), and that threshold."""
    certified = certified_among_many(ranked, target=target, delta=level, horizon=horizon)
    if not len(certified):
        return -1, None
    return int(ranked.n_flagged[certified[-1]]), ranked.threshold(int(certified[-1]))


def _by_betting(
    ranked: RankedLabels, weighted: Weighting, n_flagged: int, *, target: float, level: float
) -> tuple[int, float | None, bool]:
    """As `_by_counting`; and whether bets show that more than 1 - target of the flagged do not violate."""
    search = search_by_betting(ranked, weighted, None, target=target, delta=level)
    stakes = weighted.stakes
    flipped = replace(stakes, labels=1 - stakes.labels, right_before=stakes.weight_before - stakes.right_before)
    evidence = log_wealth(flipped, np.array([n_flagged]), target=1 - target, delta=level)[0]
    is_below = bool(n_flagged and evidence >= np.log(1 / level))
    if not len(search.ranks):
        return -1, None, is_below
    return int(search.ranks[-1]), float(search.thresholds[-1]), is_below


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
