"""The highest threshold that still catches a target share of the violating posts, with a stated confidence."""

import math
import sys
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from calibrate.assumptions import FRESH, KNOWN, RIGHT, SAME, SAMPLE
from calibrate.bounds import fewest_labels, lower_bound, tail_probability
from calibrate.operating_point import OperatingPoint, checked_share, described_at, unanswered
from calibrate.ranked import rank_labels


def choose_recall_threshold(
    scores: ArrayLike, labels: ArrayLike, *, target_recall: float, confidence: float = 0.95
) -> OperatingPoint:
    """Choose the highest threshold whose recall is at least `target_recall`, with confidence.

    Statement. Under the assumptions that the result lists, the probability, over the draw of the labelled sample,
    that the true recall P(score >= threshold | violating) lies below `target_recall` is at most
    1 - confidence, at every sample size and for any distribution of the scores, ties included. No shape of
    the precision curve is assumed.

    Method. The m known violating items are a random sample of the violating posts. The r-th highest of their
    scores catches the target share unless r or more of the m lie above the population's quantile, so its chance
    is at least P(Bin(m, target_recall) <= r - 1): the distribution-free tolerance bound of Wilks (1941). The
    smallest such r with that chance at least `confidence` is taken. The threshold is the midpoint to the next
    lower known score, which can only catch more.

    Not claimed. The recall is that of the sampled population (above a floor: of the posts above it). Precision
    and its bound are pointwise descriptions. Nothing holds jointly over several results.

    Args:
        scores: [N] finite numbers of the labelled sample; compared in float32.
        labels: [N], 1 violating, 0 not violating, NaN unknown (left out, counted).
        target_recall: in (0, 1).
        confidence: in (0, 1).

    Returns:
        The operating point. Its `certified_range` reaches from the threshold down to the lowest known score: a
        lower threshold never catches less. `labels_needed` scales the number of violating items that the bound
        needs by their share among the known labels.

    Raises:
        ValueError: an argument is out of range or malformed; the message names it and its value.

    References:
        S. S. Wilks, "Determination of sample sizes for setting tolerance limits", Annals of Mathematical
        Statistics 12 (1941).

    Examples:
        >>> point = choose_recall_threshold(range(100), [1] * 100, target_recall=0.9, confidence=0.95)
        >>> point.status, point.threshold, point.n_flagged
        ('certified', 3.5, 96)
        >>> choose_recall_threshold(range(20), [1] * 20, target_recall=0.9).labels_needed
        29
    """
    target = checked_share("target_recall", target_recall)
    delta = 1 - checked_share("confidence", confidence)
    ranked = rank_labels(scores, labels, most_every=sys.maxsize)  # the order statistic itself in large sets, too
    point = unanswered(
        ranked,
        kind="recall",
        target=target,
        confidence=confidence,
        method="order statistic of the scores of the known violating posts",
        assumptions=(SAMPLE, KNOWN, RIGHT, FRESH, SAME),
    )
    positive = ranked.n_positive
    if positive == 0:
        return replace(point, reason="No post is known to violate, so nothing can be said about how many are caught.")
    # P(Bin(m, target) > r - 1) = P(Bin(m, 1 - target) <= m - r) <= delta
    missed = tail_probability(np.arange(positive), positive, target)
    allowed = int(np.searchsorted(missed, delta, side="right")) - 1
    if allowed < 0:
        needed = math.ceil(fewest_labels(target, delta) * ranked.n_labelled / positive)
        return replace(
            point,
            labels_needed=needed,
            reason=(
                f"{positive:,} posts are known to violate and {fewest_labels(target, delta):,} are needed, even if "
                f"all of them are caught: about {needed:,} known labels at this share of violating posts."
            ),
        )
    step = int(np.searchsorted(ranked.n_flagged - ranked.false_positives, positive - allowed))
    described = described_at(ranked, step, point)
    right = int(ranked.n_flagged[step] - ranked.false_positives[step])
    assert described.threshold is not None
    return replace(
        described,
        status="certified",
        precision_lower_bound=float(lower_bound(right, described.n_flagged_labelled, confidence=confidence)),
        certified_range=(described.threshold, ranked.threshold(len(ranked.scores) - 1)),
        reason=(
            f"{right:,} of the {positive:,} posts known to violate are caught; "
            f"the bound allows {allowed:,} to be missed."
        ),
    )
