"""The lowest threshold that keeps a target precision with a stated confidence, from a simple random sample."""

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from calibrate.assumptions import FALLING, FRESH, KNOWN, PILOT, RIGHT, SAME, SAMPLE
from calibrate.bets.audited_point import checked_verdicts, choose_audited
from calibrate.bets.point import choose_by_betting
from calibrate.bets.weighted import checked_clusters, checked_weights, weighting
from calibrate.bounds import lower_bound
from calibrate.corrections import UNCORRECTED, Corrections
from calibrate.operating_point import OperatingPoint, checked_share, described_at, unanswered
from calibrate.ranks.labels_needed import labels_needed
from calibrate.ranks.ranked import Labels, RankedLabels, Scores, checked_labels, checked_scores, rank_labels
from calibrate.ranks.search import Search, search_by_scan, search_by_walk
from calibrate.words import said

Method = Literal["auto", "scan", "walk", "betting"]
METHODS = get_args(Method)


def choose_threshold(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    target_precision: float,
    confidence: float = 0.95,
    inclusion_prob: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    pilot_scores: ArrayLike | None = None,
    pilot_labels: ArrayLike | None = None,
    method: Method = "auto",
    monotone_precision: bool = False,
    growing: bool = False,
    corrections: Corrections = UNCORRECTED,
    auditor: ArrayLike | None = None,
) -> OperatingPoint:
    """Choose the lowest threshold whose precision is at least `target_precision`, with confidence.

    Statement. Let delta = 1 - confidence. Under the assumptions that the result lists, the probability, over the
    draw of the labelled sample, that the result is certified with a threshold whose true precision
    P(violating | score >= threshold) lies below the target is at most delta, at every sample size.

    Method. With known labels only, sort the scores from the highest down; FP(n) is the number of false positives
    among the top n. Tested ranks grow by 2 % and end on tie boundaries (past 20,000 known labels, at most another
    0.5 % further down: `calibrate.ranks.ranked`). Were the precision exactly at the target from the first post on,
    FP would be a Bernoulli(1 - target) walk. Over that walk two boundaries are calibrated exactly, by dynamic
    programming (past rank 30,000 by a union bound over the little that is left: `calibrate.ranks.scan`): FP(n) <=
    start(n) begins a run of certified ranks, FP(n) <= keep(n) carries it on to the next rank; the lowest certified
    rank is chosen. How delta is spent on starts depends on the number of labels and the target alone, or on a pilot
    (`calibrate.ranks.planning`), never on the labels under test. So a few mislabelled posts at the top delay a run
    and do not end the search. Method "walk" is the simpler fixed-sequence test that a scan with a single start
    comes down to. The threshold is the float32 midpoint between the last flagged known score and the next lower
    one.

    Why this may be read at its end. Let t* be where the precision falls through the target. If precision does not
    rise again below t*, FP at every rank past t* is stochastically at least that of the Bernoulli walk, jointly. To
    certify one of them, a run must be carried over the first, or begin at it or at a later one: the boundaries
    leave that a probability of at most delta, wherever t* is.

    Weights and clusters. With unequal `inclusion_prob`, with `clusters`, or on request, the test is by betting
    (`calibrate.bets.betting`): Z = w (y - target) of each flagged post, w = 1 / inclusion_prob, or its sum over a
    cluster, has an expectation of at most 0 where the precision is at most the target; so has the wealth of any bet
    on it that cannot be ruined, and P(wealth >= 1 / delta) <= delta. Bets depend on the number of flagged posts and
    on what a post above the threshold can weigh at most (an assumption that the result names), never on their
    labels or weights. Thresholds are tested from the strictest down, each start with its share of delta (a fallback
    procedure). With a pilot they are fixed by its scores; no shape of the precision curve is then assumed.

    Auditor. With verdicts of an LLM or a second model on all items, of which people labelled a random subset, bets on
    both (`calibrate.bets.audited`) certify more than the labels alone, and are valid however bad the auditor is.

    Not claimed. Nothing is said about the precision within parts of the flagged posts (a market, a language), about
    populations other than the sampled one, or jointly about several policies or bands: of M results, the chance
    that any is wrong is bounded by M delta only. The precision and recall reported beside the target are pointwise
    (see `OperatingPoint`). Where precision rises again as the threshold falls, the guarantee does not hold.

    Args:
        scores: [N] finite numbers of the labelled sample, on the scale that is served; compared in float32.
        labels: [N], 1 violating, 0 not violating, NaN unknown (left out, counted).
        target_precision: in (0, 1).
        confidence: 1 - delta, in (0, 1).
        inclusion_prob: [N] in (0, 1], the probability with which each item came into the sample.
        clusters: [N] names; items with the same one (near-duplicates, one creator) are drawn together. None, NaN and
            "" stand alone.
        pilot_scores: [M] scores of other items, such as the validation split; only plan how delta is spent.
        pilot_labels: [M] their labels. A pilot without known labels is no pilot.
        method: "scan", "walk" or "betting"; "auto" is the scan, or betting where the sample asks for it.
        monotone_precision: betting only: take the furthest golden rank that passes, which is exact if precision
            never rises as the threshold falls; more powerful, off by default, named in the result.
        growing: betting only: the set is tested again as it grows, and all answers shall hold together. Needs a
            pilot, which must stay the same, and equal weights.
        corrections: for annotator error, prior shift and unresolved labels; listed in the result, whose
            `tested_target` says what was asked of the labels.
        auditor: [N] verdicts in [0, 1] on all items, NaN where there is none; labels are then NaN where people were
            not asked. Takes no inclusion_prob, clusters, growing or monotone_precision.

    Returns:
        The operating point: certified, or not attainable with `labels_needed`.

    Raises:
        ValueError: an argument is out of range or malformed; the message names it and its value.

    References:
        Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70 (1983). Maurer, Hothorn
        and Lehmacher (1995), fixed-sequence testing. Clopper and Pearson (1934). Angelopoulos,
        Bates, Candès, Jordan and Lei, "Learn then test: calibrating predictive algorithms to achieve risk
        control", Annals of Applied Statistics (2025). Waudby-Smith and Ramdas, "Estimating means of bounded random
        variables by betting", JRSS B 86 (2024). Wiens (2003), the fallback procedure.

    Examples:
        >>> import numpy as np
        >>> random = np.random.default_rng(7)
        >>> scores = random.normal(size=4000)
        >>> labels = random.random(4000) < 1 / (1 + np.exp(-5 * scores))
        >>> point = choose_threshold(scores, labels, target_precision=0.9)
        >>> point.status, point.n_flagged == (scores.astype(np.float32) >= np.float32(point.threshold)).sum()
        ('certified', np.True_)
        >>> few = choose_threshold(scores[:100], labels[:100], target_precision=0.9)
        >>> few.status, few.threshold, few.labels_needed
        ('not_attainable', None, 188)
    """
    target = checked_share("target_precision", target_precision)
    confidence = checked_share("confidence", confidence)
    tested = corrections.tested_target(target)
    ranked = rank_labels(scores, labels)
    if corrections.unresolved != "left_out":
        labels = corrections.applied(checked_labels(labels))
        ranked = rank_labels(scores, labels)
    pilot = _checked_pilot(pilot_scores, pilot_labels)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    n_items = len(ranked.all_scores)
    groups = checked_clusters(clusters, n_items)
    uneven = groups is not None
    if inclusion_prob is not None:
        weights = checked_weights(inclusion_prob, n_items)
        # An auditor speaks of items without a human label as well.
        weights = weights if auditor is not None else weights[~np.isnan(checked_labels(labels))]
        uneven = uneven or bool(len(weights) and np.ptp(weights) > 0)
    if auditor is not None:
        _refuse_with_auditor(
            method,
            corrections,
            uneven=uneven,
            growing=growing,
            monotone_precision=monotone_precision,
        )
        known_labels = checked_labels(labels)
        verdicts = checked_verdicts(auditor, known_labels)
        point = choose_audited(
            ranked, ranked.all_scores, known_labels, verdicts, pilot, target=tested, confidence=confidence
        )
        return _corrected(point, corrections, target)
    if method == "auto":
        method = "betting" if uneven or growing or monotone_precision else "scan"
    if method != "betting":
        _refuse_uneven(method, uneven=uneven, growing=growing, monotone_precision=monotone_precision)
        point = _by_counting(ranked, pilot, method, target=tested, confidence=confidence)
        return _corrected(point, corrections, target)
    if monotone_precision and groups is not None:
        raise ValueError("monotone_precision is of no use with clusters: posts of one cluster are not independent")
    if growing and uneven:
        raise ValueError(
            "growing takes no unequal inclusion_prob or clusters: bets would change as heavier posts come"
        )
    if growing and not pilot:
        raise ValueError("growing needs pilot_scores and pilot_labels, on which thresholds and bets are fixed")
    weighted = weighting(ranked.all_scores, checked_labels(labels), checked_weights(inclusion_prob, n_items), groups)
    point = choose_by_betting(
        ranked,
        weighted,
        pilot,
        target=tested,
        confidence=confidence,
        monotone_precision=monotone_precision,
        growing=growing,
    )
    return _corrected(point, corrections, target)


def _corrected(point: OperatingPoint, corrections: Corrections, target: float) -> OperatingPoint:
    """The point with the target that was asked for, and what was corrected among its assumptions."""
    corrected = corrections.sentences()
    if not corrected:
        return point
    kept = tuple(each for each in point.assumptions if each != RIGHT or not corrections.has_label_error)
    return replace(
        point,
        target=target,
        tested_target=point.target,
        assumptions=kept + corrected,
        method=said("method.corrected", method=point.method, share=point.target),
    )


def _by_counting(
    ranked: RankedLabels,
    pilot: tuple[Scores, Labels] | None,
    method: Method,
    *,
    target: float,
    confidence: float,
) -> OperatingPoint:
    """The operating point of a simple random sample, by a scan or a walk."""
    delta = 1 - confidence
    search = (search_by_walk if method == "walk" else search_by_scan)(ranked, pilot, target=target, delta=delta)
    point = unanswered(
        ranked,
        kind="precision",
        target=target,
        confidence=confidence,
        method=search.method,
        how="walk" if method == "walk" else "scan",
        assumptions=(SAMPLE, KNOWN, RIGHT, FRESH, SAME, FALLING, *((PILOT,) if pilot else ())),
    )
    if not len(search.certified):
        estimate, advice = labels_needed(ranked, target=target, level=search.next_level, first_rank=search.first_rank)
        return replace(point, labels_needed=estimate, reason=f"{_why_not(ranked, search, target)} {advice}")
    step = int(search.certified[-1])
    flagged, wrong = int(ranked.n_flagged[step]), int(ranked.false_positives[step])
    return replace(
        described_at(ranked, step, point),
        status="certified",
        precision_lower_bound=float(lower_bound(flagged - wrong, flagged, confidence=1 - search.level)),
        certified_range=(ranked.threshold(int(search.certified[0])), ranked.threshold(step)),
        reason=said(
            "reason.counted.to_the_end" if flagged == ranked.n_labelled else "reason.counted",
            wrong=wrong,
            flagged=flagged,
            passed=len(search.certified),
        ),
    )


def _refuse_uneven(method: Method, **asked: bool) -> None:
    what = [name for name, wanted in asked.items() if wanted]
    if what:
        given = "unequal inclusion_prob or clusters" if what[0] == "uneven" else what[0]
        raise ValueError(f"method={method!r} takes no {given}; use 'auto' or 'betting'")


def _refuse_with_auditor(method: Method, corrections: Corrections, **asked: bool) -> None:
    what = [name for name, wanted in asked.items() if wanted]
    if what:
        given = "unequal inclusion_prob or clusters" if what[0] == "uneven" else what[0]
        raise ValueError(f"auditor takes no {given}: its proof needs a simple random sample, tested once")
    if method in ("scan", "walk"):
        raise ValueError(f"method={method!r} takes no auditor; use 'auto' or 'betting'")
    if corrections.unresolved != "left_out":
        raise ValueError(
            f"auditor takes no corrections with unresolved={corrections.unresolved!r}: a label that people were not "
            "asked for cannot be told from one that they left open"
        )


def _why_not(ranked: RankedLabels, search: Search, target: float) -> str:
    steps = [ranked.step_at(start) for start in search.starts if start <= ranked.n_labelled]
    if not steps:
        return said("reason.begins", start=search.starts[0], n_labelled=ranked.n_labelled)
    wrong, flagged = ranked.false_positives[steps], ranked.n_flagged[steps]
    if len(steps) == 1:
        return said("reason.too_many", wrong=wrong[0], flagged=flagged[0], target=target)
    return said(
        "reason.too_many.twice",
        wrong=wrong[0],
        flagged=flagged[0],
        wrong_2=wrong[1],
        flagged_2=flagged[1],
        target=target,
    )


def _checked_pilot(scores: ArrayLike | None, labels: ArrayLike | None) -> tuple[Scores, Labels] | None:
    if scores is None and labels is None:
        return None
    if scores is None or labels is None:
        missing = "pilot_scores" if scores is None else "pilot_labels"
        raise ValueError(f"pilot_scores and pilot_labels go together, got no {missing}")
    pilot_scores = checked_scores(scores, "pilot_scores")
    pilot_labels = checked_labels(labels, "pilot_labels")
    if len(pilot_scores) != len(pilot_labels):
        raise ValueError(
            f"pilot_scores and pilot_labels must be equally long, got {len(pilot_scores)} and {len(pilot_labels)}"
        )
    return (pilot_scores, pilot_labels) if not np.isnan(pilot_labels).all() else None
