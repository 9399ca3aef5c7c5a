"""The operating point that bets with an auditor certify, with difference estimates beside it."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from calibrate.assumptions import ALIKE, FALLING, FRESH, PILOT, RIGHT, SAME, SAMPLE, SUBSET
from calibrate.bets.audited import AuditedSample, evidence_at, precision_bound, precision_estimate, shuffled
from calibrate.bets.weighted import (
    FIRST_IN_FEWEST,
    fallback,
    n_at_or_above,
    pilot_thresholds,
    planned_place,
    shared_budget,
)
from calibrate.bounds import FloatArray, fewest_labels, lower_bound
from calibrate.operating_point import OperatingPoint, unanswered
from calibrate.ranks.labels_needed import labels_needed
from calibrate.ranks.ranked import Labels, RankedLabels, Scores, rank_labels
from calibrate.ranks.search import search_by_scan
from calibrate.ranks.walk import grid_steps
from calibrate.words import said

AUDITED_SHARE = 0.4  # of delta: a coin costs some recall, a model right in 95 % is worth half as many labels again
START_LATER = 8  # bets at small numbers of labels cannot yet profit from an auditor
NOT_ALIKE = 1e-6  # p-value below which verdicts are missing by who was labelled


def checked_verdicts(auditor: ArrayLike, labels: Labels) -> FloatArray:
    """Verdicts [N] in [0, 1], NaN where there is none.

    Raises:
        ValueError: a value out of range, no verdict at all, or verdicts missing by whether people labelled the item.
    """
    try:
        given = np.asarray(auditor, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"auditor must be an array of numbers: {error}") from error
    if given.shape != labels.shape:
        raise ValueError(f"auditor must hold one verdict a score, got shape {given.shape} for {len(labels)} scores")
    present = ~np.isnan(given)
    fine = ~present | ((given >= 0) & (given <= 1))
    if not fine.all():
        where = int(np.flatnonzero(~fine)[0])
        raise ValueError(f"auditor must lie in [0, 1] or be NaN, got {given[where]} at position {where}")
    if not present.any():
        raise ValueError("auditor holds no verdict: all values are NaN")
    labelled = ~np.isnan(labels)
    table = [[int((present & who).sum()), int((~present & who).sum())] for who in (labelled, ~labelled)]
    if min(map(sum, table)) and stats.fisher_exact(table).pvalue < NOT_ALIKE:
        (seen, missing), (others_seen, others_missing) = table
        raise ValueError(
            f"auditor is missing for {missing:,} of the {seen + missing:,} labelled items and for {others_missing:,} "
            f"of the {others_seen + others_missing:,} others; it must have been asked about both alike"
        )
    return given


def choose_audited(
    ranked: RankedLabels,
    scores: Scores,
    labels: Labels,
    verdicts: FloatArray,
    pilot: tuple[Scores, Labels] | None,
    *,
    target: float,
    confidence: float,
) -> OperatingPoint:
    """Search by betting with an auditor and describe what was found; see `calibrate.bets.audited`.

    Part of delta goes to a scan of the labels alone, so that an auditor who is no good costs little; the rest to a
    fallback procedure of bets, and the lower threshold is taken. Precision is estimated by the difference estimator.
    """
    delta = 1 - confidence
    sample = shuffled(scores, labels, verdicts)
    scan = search_by_scan(ranked, pilot, target=target, delta=(1 - AUDITED_SHARE) * delta)
    passed, level = _bets(ranked, sample, scores, pilot, target=target, delta=AUDITED_SHARE * delta)
    alone = np.array([ranked.threshold(int(step)) for step in scan.certified], np.float32)
    point = unanswered(
        ranked,
        kind="precision",
        target=target,
        confidence=confidence,
        method=said(
            "method.auditor.pilot" if pilot else "method.auditor.ranks",
            share=round(100 * AUDITED_SHARE),
            n_verdicts=int((~np.isnan(verdicts)).sum()),
            n_labelled=ranked.n_labelled,
            alone=scan.method,
        ),
        how="auditor",
        assumptions=(SAMPLE, SUBSET, ALIKE, RIGHT, FRESH, SAME, FALLING, *((PILOT,) if pilot else ())),
    )
    certified = min((found for found in (passed, alone) if len(found)), key=lambda found: found[-1], default=None)
    if certified is None:
        needed, advice = labels_needed(ranked, target=target, level=scan.next_level, first_rank=scan.first_rank)
        reason = said("reason.auditor.none", target=target, advice=advice)
        return replace(point, labels_needed=needed, reason=reason)
    threshold, lowest = float(certified[-1]), float(scores.min())
    c = evidence_at(sample, threshold, target=target, delta=level).reliance
    precision = precision_estimate(sample, threshold, c, target=target)
    violating = precision_estimate(sample, lowest, c, target=target) * len(scores)
    flagged, known = int((scores >= np.float32(threshold)).sum()), labels[scores >= np.float32(threshold)]
    right, labelled = int((known == 1).sum()), int((~np.isnan(known)).sum())
    bound = float(lower_bound(right, labelled, confidence=1 - scan.level))
    if certified is passed:
        bound = max(bound, precision_bound(sample, threshold, delta=level, lowest=target))
    return replace(
        point,
        status="certified",
        threshold=threshold,
        precision=precision,
        precision_lower_bound=bound,
        recall=min(1.0, precision * flagged / violating) if violating else None,
        n_flagged=flagged,
        n_flagged_labelled=labelled,
        certified_range=(float(certified[0]), threshold),
        reason=said(
            "reason.auditor" if certified is passed else "reason.auditor.alone",
            wrong=labelled - right,
            flagged=labelled,
            passed=len(certified),
            reliance=round(100 * c),
        ),
    )


def _bets(
    ranked: RankedLabels,
    sample: AuditedSample,
    scores: Scores,
    pilot: tuple[Scores, Labels] | None,
    *,
    target: float,
    delta: float,
) -> tuple[Scores, float]:
    """The thresholds that bets certify, falling, and the level of the last.

    How delta is shared between starts depends on the pilot and on numbers of items alone.
    """
    fewest = fewest_labels(target, delta)
    if pilot:
        thresholds = pilot_thresholds(pilot[0])
        above = n_at_or_above(np.sort(pilot[0])[::-1], thresholds)
        expected = (ranked.n_labelled * above / len(pilot[0])).astype(np.int64)
        main = planned_place(thresholds, expected, pilot, target=target, delta=delta / START_LATER)
    else:
        everyone = rank_labels(scores, np.zeros(len(scores)))
        share = max(ranked.n_labelled, 1) / len(scores)
        steps = grid_steps(everyone, min(int(fewest / share), len(scores)))
        thresholds = np.array([everyone.threshold(int(step)) for step in steps], np.float32)
        expected = (everyone.n_flagged[steps] * share).astype(np.int64)
        main = min(int(np.searchsorted(expected, FIRST_IN_FEWEST * fewest)), len(steps) - 1)

    def evidence(place: int) -> float:
        return evidence_at(sample, float(thresholds[place]), target=target, delta=delta).log_wealth

    certified, level = fallback(evidence, shared_budget(expected, main, delta))
    return thresholds[certified & (thresholds >= scores.min())], level
