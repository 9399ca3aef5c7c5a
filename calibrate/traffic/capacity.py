"""Bands by capacity: the lowest threshold whose posts a day fit, from traffic; what they are, from golden labels."""

from dataclasses import replace

import numpy as np
import polars as pl

from calibrate.assumptions import ARRIVALS, COUNTED, SAME, STEADY
from calibrate.bands import BandPart
from calibrate.bounds import IntArray, interval
from calibrate.operating_point import OperatingPoint
from calibrate.ranks.ranked import RankedLabels, Scores
from calibrate.traffic.histogram import Scale
from calibrate.traffic.volume import VOLUME_CONFIDENCE, lowest_within
from calibrate.words import said


def awaiting_traffic(capacity_per_day: int, ranked: RankedLabels) -> OperatingPoint:
    """The point of a band by capacity where no traffic was given."""
    return OperatingPoint(
        status="not_attainable",
        kind="capacity",
        target=float(capacity_per_day),
        confidence=None,
        reason=said("reason.capacity.waits"),
        method="none",
        n_labelled=ranked.n_labelled,
        n_unknown=ranked.n_unknown,
        n_positive=ranked.n_positive,
    )


def capacity_point(
    point: OperatingPoint,
    curve: pl.DataFrame,
    scores: Scores,
    *,
    part: BandPart,
    counts: IntArray,
    exposure: float,
    scale: Scale,
) -> OperatingPoint:
    """Choose the lowest threshold whose volume in the band's own part stays within a capacity.

    Statement. If posts arrive as a Poisson process whose rate stays, the chance that the mean number of posts a day
    in [threshold, part.below) exceeds the capacity is at most 2.5 %: the upper one of two Garwood bounds at 95 % (see
    `calibrate.traffic.volume.lowest_within`, also for why choosing the threshold by it costs nothing). That is what
    `certified` says here. No precision is claimed: `precision` and `recall` describe the golden labels at or above
    the threshold, with bounds at 95 %, pointwise; recall includes what the bands before this one catch.

    Args:
        point: of the band as it waits for traffic; its target is the capacity in posts a day.
        curve: of `calibrate.curve`, from which precision and recall are read; its rows are at most 0.5 % of the
            flagged labels apart.
        scores: float32 [N] of the golden items.
        part: of the band, of which `below` is used.
        counts: int64 [BIN_COUNT], the traffic histogram of the policy.
        exposure: days times share scored.
        scale: of the scores.
    """
    point = replace(
        point,
        method=said("method.capacity"),
        how="capacity",
        assumptions=(ARRIVALS, STEADY, COUNTED, SAME),
    )
    threshold = lowest_within(part, counts, point.target, exposure=exposure, scale=scale)
    if threshold is None:
        if part.taken_by is None:
            return replace(point, reason=said("reason.capacity.over", capacity=point.target))
        reason = said("reason.capacity.over_below", band=part.taken_by, capacity=point.target)
        return replace(point, reason=reason)
    top = part.below if part.below is not None else max(threshold, float(scores.max()))
    point = replace(
        point,
        status="fits",
        threshold=threshold,
        n_flagged=int((scores >= np.float32(threshold)).sum()),
        certified_range=(top, threshold),
        reason=said("reason.capacity", capacity=point.target),
    )
    reached = curve.filter(pl.col("threshold") >= threshold)
    if reached.is_empty():
        return point
    last = reached.row(-1, named=True)
    recall, right, positive = last["recall"], last["true_positives"], point.n_positive
    return replace(
        point,
        precision=last["precision"],
        precision_lower_bound=last["precision_lower_bound"],
        recall=recall,
        recall_interval=None if recall is None else interval(right, positive, confidence=VOLUME_CONFIDENCE),
        n_flagged_labelled=last["n_flagged"],
    )
