"""Prior shift, estimated: how the odds of violating changed between the golden set and a recent sample.

The scores of violating and of other posts stay as they were; only how many violate has changed (label shift). A
tenth of delta goes to an exact confidence interval of the odds ratio r, the rest to the precision test.

Why they hold together. The interval is read from the golden labels, too, so a test at its lower end alone would be a
test at a target that its own labels chose. Instead the test is repeated at every ratio that the interval leaves open,
on a lattice that no data move, and the strictest of the thresholds is taken. Let s be the true ratio, rounded down to
the lattice. With probability 1 - delta / 10 the interval holds s. Then the threshold is at or above the one that was
certified for s, a number fixed beforehand, which is wrong with probability at most 9/10 delta; and where precision
does not rise again as the threshold falls, a stricter threshold keeps what a looser one does.

References:
    R. A. Fisher, "The logic of inductive inference", Journal of the Royal Statistical Society 98 (1935), and J.
    Cornfield, "A statistical problem arising from retrospective studies" (1956): the exact conditional interval of an
    odds ratio. M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier to new a priori
    probabilities", Neural Computation 14 (2002).
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import gammaln, logsumexp

from calibrate.assumptions import RECENT, SAME, SERVED
from calibrate.corrections import Corrections
from calibrate.operating_point import OperatingPoint, PriorShift, checked_share
from calibrate.ranks.ranked import checked_labels
from calibrate.threshold import choose_threshold
from calibrate.words import said

ESTIMATE_SHARE = 0.1  # of delta
LARGEST_LOG_ODDS_RATIO = 60.0
LATTICE = 1.1 ** np.arange(-48.0, 26.0)


def odds_ratio_interval(
    positive: int, total: int, reference_positive: int, reference_total: int, *, confidence: float
) -> tuple[float, float]:
    """The exact conditional interval of an odds ratio, two-sided; 0 and infinity where a count says nothing.

    Given both margins, the number of positives in the first sample is Fisher's noncentral hypergeometric; each end is
    the ratio at which a tail as far out as what was seen has probability (1 - confidence) / 2. The same as
    `scipy.stats.contingency.odds_ratio(…).confidence_interval`, which takes minutes at some 100,000 items.

    Args:
        positive: of `total`, in the sample whose odds stand above.
        total: items of it.
        reference_positive: of `reference_total`, in the sample whose odds stand below.
        reference_total: items of it.
        confidence: coverage, in (0, 1).

    Examples:
        >>> [round(end, 4) for end in odds_ratio_interval(40, 200, 400, 2000, confidence=0.99)]
        [0.5982, 1.6128]
    """
    all_positive = positive + reference_positive
    counts = np.arange(max(0, all_positive - reference_total), min(total, all_positive) + 1)
    weights = -sum(
        gammaln(each + 1)
        for each in (counts, total - counts, all_positive - counts, reference_total - all_positive + counts)
    )

    def end(tail: slice) -> float:
        def excess(log_ratio: float) -> float:
            logs = weights + counts * log_ratio
            return float(logsumexp(logs[tail]) - logsumexp(logs)) - math.log((1 - confidence) / 2)

        return math.exp(brentq(excess, -LARGEST_LOG_ODDS_RATIO, LARGEST_LOG_ODDS_RATIO, xtol=1e-10))

    place = positive - int(counts[0])
    low = end(slice(place, None)) if place > 0 else 0.0
    high = end(slice(None, place + 1)) if place < len(counts) - 1 else math.inf
    return low, high


def estimate_prior_shift(labels: ArrayLike, recent_labels: ArrayLike, *, confidence: float) -> PriorShift:
    """The odds of violating in recent traffic over those in the golden set, with an exact interval.

    Args:
        labels: [N] of the golden set, a simple random sample, 1, 0 or NaN; unknown ones are left out.
        recent_labels: [R] of a simple random sample of recent traffic.
        confidence: of the interval.

    Raises:
        ValueError: a label is none of these, or no recent one is known.
    """
    golden, recent = checked_labels(labels), checked_labels(recent_labels, "recent_labels")
    golden, recent = golden[~np.isnan(golden)], recent[~np.isnan(recent)]
    if not len(recent):
        raise ValueError("recent_labels holds no known label")
    right, before = int(recent.sum()), int(golden.sum())
    low, high = odds_ratio_interval(right, len(recent), before, len(golden), confidence=confidence)
    below = (len(recent) - right) * before
    return PriorShift(
        estimate=right * (len(golden) - before) / below if below else None,
        lower=low,
        upper=high if math.isfinite(high) else None,
        n_recent=len(recent),
        n_recent_positive=right,
    )


def choose_threshold_after_shift(
    scores: ArrayLike,
    labels: ArrayLike,
    recent_labels: ArrayLike,
    *,
    target_precision: float,
    confidence: float = 0.95,
    pilot_scores: ArrayLike | None = None,
    pilot_labels: ArrayLike | None = None,
) -> OperatingPoint:
    """`choose_threshold` for traffic like the recent sample's, of which scores need not be known.

    Statement. With probability at least `confidence`, over the draw of both samples, the result is not certified, or
    the precision at its threshold is at least the target in traffic with the recent odds of violating, if violating
    and other posts score as they did in the golden set. Both samples are simple random ones, independent of each
    other; see the head of this module for the proof.

    Args:
        scores: [N] of the golden set.
        labels: [N], 1, 0 or NaN.
        recent_labels: [R], 1, 0 or NaN.
        target_precision: in (0, 1).
        confidence: in (0, 1).
        pilot_scores: as for `choose_threshold`.
        pilot_labels: as for `choose_threshold`.

    Returns:
        The operating point; its `prior_shift` holds estimate and interval.

    Raises:
        ValueError: an argument is out of range or malformed; the message names it and its value.

    Examples:
        >>> labels = np.repeat([1.0, 0.0], [600, 1400])
        >>> point = choose_threshold_after_shift(-np.arange(2000.0), labels, [1, 0, 0, 0] * 100, target_precision=0.9)
        >>> point.status, round(point.prior_shift.estimate, 3), round(point.prior_shift.lower, 3)
        ('certified', 0.778, 0.539)
    """
    delta = 1 - checked_share("confidence", confidence)
    shift = estimate_prior_shift(labels, recent_labels, confidence=1 - ESTIMATE_SHARE * delta)
    ratios = ratios_left_open(shift)
    points: list[OperatingPoint] = []
    for ratio in ratios or (1.0,):
        corrections = Corrections(prior_odds_ratio=ratio)
        tested = choose_threshold(
            scores,
            labels,
            target_precision=target_precision,
            confidence=1 - (1 - ESTIMATE_SHARE) * delta,
            pilot_scores=pilot_scores,
            pilot_labels=pilot_labels,
            corrections=corrections,
        )
        points.append(tested)
        if tested.threshold is None:
            break
    first, last = points[0], points[-1]
    point = replace(
        first,
        confidence=confidence,
        prior_shift=shift,
        method=said(
            "method.shift",
            method=first.method,
            n_ratios=len(ratios),
            n_recent=shift.n_recent,
            share=round(100 * ESTIMATE_SHARE),
        ),
        assumptions=(*(SERVED if each == SAME else each for each in first.assumptions), RECENT),
    )
    if not ratios:
        return _not_attainable(point, said("reason.shift.open", n_recent=shift.n_recent), None)
    if last.threshold is None:
        reason = said("reason.shift", ratio=ratios[len(points) - 1], reason=last.reason)
        return _not_attainable(point, reason, last.labels_needed)
    strictest = max(points, key=_threshold_of)
    return replace(
        strictest,
        **{name: getattr(point, name) for name in ("confidence", "prior_shift", "method", "assumptions")},
        tested_target=first.tested_target,
    )


def ratios_left_open(shift: PriorShift) -> tuple[float, ...]:
    """The ratios of the lattice that a true one in the interval may be rounded down to, rising.

    Powers of 1.1 from 0.01 to 11; what lies above counts as the highest. Empty if the interval reaches below.

    Examples:
        >>> shift = PriorShift(estimate=1.0, lower=0.95, upper=1.15, n_recent=9000, n_recent_positive=900)
        >>> [round(ratio, 3) for ratio in ratios_left_open(shift)]
        [0.909, 1.0, 1.1]
    """
    lowest = int(np.searchsorted(LATTICE, shift.lower, side="right")) - 1
    if lowest < 0:
        return ()
    highest = len(LATTICE) if shift.upper is None else int(np.searchsorted(LATTICE, shift.upper, side="right"))
    return tuple(float(ratio) for ratio in LATTICE[lowest:highest])


def _threshold_of(point: OperatingPoint) -> float:
    assert point.threshold is not None
    return point.threshold


def _not_attainable(point: OperatingPoint, reason: str, labels_needed: int | None) -> OperatingPoint:
    """The point with its question and no answer."""
    assert point.confidence is not None
    return OperatingPoint(
        status="not_attainable",
        kind="precision",
        target=point.target,
        confidence=point.confidence,
        reason=reason,
        method=point.method,
        how=point.how,
        assumptions=point.assumptions,
        n_labelled=point.n_labelled,
        n_unknown=point.n_unknown,
        n_positive=point.n_positive,
        labels_needed=labels_needed,
        tested_target=point.tested_target,
        prior_shift=point.prior_shift,
    )
