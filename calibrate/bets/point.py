"""The operating point that bets certify, with weighted estimates beside it."""

from dataclasses import replace

import numpy as np

from calibrate.assumptions import CLUSTERS, DESIGN, FALLING, FIXED, FRESH, GROWING, KNOWN, PILOT, RIGHT, SAME
from calibrate.bets.betting import precision_bound
from calibrate.bets.weighted import Weighting, search_by_betting
from calibrate.operating_point import OperatingPoint, unanswered
from calibrate.ranks.labels_needed import labels_needed
from calibrate.ranks.ranked import Labels, RankedLabels, Scores
from calibrate.words import said

BETTING_NEEDS = 1.3  # labels, times what a binomial test needs: seen in bench_guarantee


def choose_by_betting(
    ranked: RankedLabels,
    weighted: Weighting,
    pilot: tuple[Scores, Labels] | None,
    *,
    target: float,
    confidence: float,
    monotone_precision: bool,
    growing: bool,
) -> OperatingPoint:
    """Search by betting and describe what was found; see `calibrate.threshold.choose_threshold`.

    Precision and recall are Horvitz-Thompson ratios; `recall_interval` is None, as no exact one is known.
    """
    delta = 1 - confidence
    search = search_by_betting(
        ranked,
        weighted,
        pilot,
        target=target,
        delta=delta,
        monotone_precision=monotone_precision,
        growing=growing,
    )
    drawn = CLUSTERS if weighted.is_clustered else DESIGN
    shape = (FIXED, PILOT) if search.is_fixed else (FALLING,)
    point = unanswered(
        ranked,
        kind="precision",
        target=target,
        confidence=confidence,
        method=search.method,
        how="bets",
        assumptions=(drawn, KNOWN, RIGHT, FRESH, SAME, *shape, *((GROWING,) if growing else ())),
    )
    if not len(search.ranks):
        estimate, advice = labels_needed(ranked, target=target, level=delta, first_rank=search.start)
        if estimate is not None:
            estimate = max(int(BETTING_NEEDS * estimate), ranked.n_labelled)
            advice = said("needed.bets", needed=estimate, n_labelled=ranked.n_labelled)
        return replace(
            point,
            labels_needed=estimate,
            reason=said("reason.bets.none", target=target, advice=advice),
        )
    rank = int(search.ranks[-1])
    stakes = weighted.stakes
    caught = float(stakes.weights[:rank] @ stakes.labels[:rank])
    violating = float(stakes.weights @ stakes.labels)
    threshold = float(search.thresholds[-1])
    wrong = int(np.sum(stakes.labels[:rank] == 0))
    return replace(
        point,
        status="certified",
        threshold=threshold,
        precision=caught / float(stakes.weights[:rank].sum()),
        precision_lower_bound=precision_bound(stakes, rank, delta=search.level, lowest=target),
        recall=caught / violating if violating else None,
        n_flagged=int((ranked.all_scores >= np.float32(threshold)).sum()),
        n_flagged_labelled=rank,
        # Between fixed thresholds an arbitrary curve may dip: only those tested are certified.
        certified_range=(threshold if search.is_fixed else float(search.thresholds[0]), threshold),
        reason=said("reason.bets", wrong=wrong, flagged=rank, passed=len(search.ranks)),
    )
