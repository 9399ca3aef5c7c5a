"""All numbers that the page holds of one policy. N golden items, C cuts, S slices."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from calibrate.evidence import Evidence
from calibrate.policy_calibration import PolicyCalibration
from calibrate.ranks.ranked import Scores, rank_labels
from calibrate.report.live.bounds import Bounds, bounds_at
from calibrate.report.live.cuts import Counts, choose_cuts, counts_at, places_of
from calibrate.report.live.histogram import ScoreHistogram, score_histogram
from calibrate.report.live.slices import SliceColumn, SliceCounts, columns_of, slice_counts
from calibrate.report.live.traffic import TrafficAtCuts, traffic_at
from calibrate.traffic.file import Counted


@dataclass(frozen=True)
class PolicyNumbers:
    """What is known of one policy at every threshold that the page offers.

    Attributes:
        cuts: float32 [C], falling.
        counts: golden items at each.
        bounds: by confidence, of each that a band has.
        slices: at each cut.
        traffic: at each cut; None without.
        histogram: of the scores.
        floor: lowest score that the golden set was drawn from; None for all traffic.
    """

    cuts: Scores
    counts: Counts
    bounds: Mapping[float, Bounds]
    slices: SliceCounts
    traffic: TrafficAtCuts | None
    histogram: ScoreHistogram
    floor: float | None


def policy_numbers(
    calibration: PolicyCalibration,
    evidence: Evidence,
    *,
    scale: str,
    columns: Mapping[str, SliceColumn],
    traffic: Counted | None = None,
) -> PolicyNumbers:
    """Compute the numbers of one policy.

    Args:
        calibration: the policy, calibrated.
        evidence: on which it was. Labels of a set that is no evidence for it are not counted.
        scale: of the scores.
        columns: of the golden items, as `slice_columns` finds them.
        traffic: of the policy, with what it was counted over; None without.
    """
    policy, draw = calibration.policy, evidence.draw
    labels = evidence.labels if draw.no_evidence is None else np.full_like(evidence.labels, np.nan)
    evidence = replace(evidence, labels=labels)
    weights = None
    if draw.is_weighted:
        weights = np.ones(len(labels)) if draw.inclusion_prob is None else 1 / draw.inclusion_prob
    chosen = [
        threshold
        for band in calibration.bands
        for threshold in (band.point.threshold, *(band.point.certified_range or ()))
        if threshold is not None
    ] + ([] if draw.floor is None else [draw.floor])
    cuts = choose_cuts(rank_labels(evidence.scores, labels), chosen=chosen)
    places = places_of(evidence.scores, cuts)
    counts = counts_at(places, labels, len(cuts), weights=weights)
    declared = {rule.by for rule in policy.slices}
    slices = slice_counts(
        columns_of(policy, columns),
        places,
        labels,
        calibration.bands,
        len(cuts),
        weights=weights,
        further=[key for key in traffic[0].slices if key[0] in declared] if traffic else (),
    )
    return PolicyNumbers(
        cuts=cuts,
        counts=counts,
        bounds={
            band.confidence: bounds_at(cuts, counts, band.curve, evidence, confidence=band.confidence)
            for band in {band.confidence: band for band in calibration.bands}.values()
        },
        slices=slices,
        traffic=traffic_at(cuts, *traffic, slices.keys) if traffic else None,
        histogram=score_histogram(
            evidence.scores,
            labels,
            scale=scale,
            thresholds=np.array(chosen, np.float32),
            traffic=traffic[0].counts if traffic else None,
        ),
        floor=draw.floor,
    )
