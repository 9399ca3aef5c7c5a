"""The highest threshold that still catches a target share of the violating posts, with a stated confidence."""

import math
import sys
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from calibrate.assumptions import ALL_DESIGN, CLUSTERS, FRESH, KNOWN, RIGHT, SAME, SAMPLE
from calibrate.bets.betting import precision_bound, stakes_of
from calibrate.bets.recall import Violating, log_wealth_of_recall, recall_interval
from calibrate.bets.weighted import checked_clusters, checked_weights
from calibrate.bounds import FloatArray, IntArray, fewest_labels, lower_bound, tail_probability
from calibrate.operating_point import OperatingPoint, checked_share, described_at, unanswered
from calibrate.ranks.ranked import Labels, RankedLabels, Scores, checked_labels, checked_scores, rank_labels
from calibrate.words import said


def choose_recall_threshold(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    target_recall: float,
    confidence: float = 0.95,
    inclusion_prob: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
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

    Weights and clusters. With unequal `inclusion_prob` or with `clusters` the highest threshold is taken at which a
    mixture of bets against "the recall is at most the target" reaches 1 / (1 - confidence); why that holds over all
    thresholds at once is told in `calibrate.bets.recall`.

    Not claimed. The recall, its interval, and the precision reported beside the target describe the threshold as if
    it had been fixed beforehand; nothing is said about parts of the posts or jointly over several results.

    Args:
        scores: [N] finite numbers of the labelled sample; compared in float32.
        labels: [N], 1 violating, 0 not violating, NaN unknown (left out, counted).
        target_recall: in (0, 1).
        confidence: in (0, 1).
        inclusion_prob: [N] in (0, 1], the probability with which each item came into the sample.
        clusters: [N] names; items with the same one (near-duplicates, one creator) are drawn together. None, NaN and
            "" stand alone.

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
    confidence = checked_share("confidence", confidence)
    ranked = rank_labels(scores, labels, most_every=sys.maxsize)  # the order statistic itself in large sets, too
    checked = checked_scores(scores), checked_labels(labels)
    weights = checked_weights(inclusion_prob, len(checked[0]))
    groups = checked_clusters(clusters, len(checked[0]))
    known = ~np.isnan(checked[1])
    if groups is not None or (known.any() and np.ptp(weights[known]) > 0):
        return _by_betting(ranked, *checked, weights, groups, target=target, confidence=confidence)
    return _by_order_statistic(ranked, target=target, confidence=confidence)


def known_violating(
    scores: Scores, labels: Labels, weights: FloatArray, clusters: IntArray | None
) -> tuple[Scores, Violating]:
    """The violating posts from the highest score down, with their scores; [N] each in.

    The most that a cluster weighs is taken over all items, whatever their label.
    """
    groups = np.arange(len(scores)) if clusters is None else clusters
    relative = weights / weights.max()
    rows = np.flatnonzero(labels == 1)
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    heaviest = float(np.bincount(np.unique(groups, return_inverse=True)[1], weights=relative).max())
    numbers = np.unique(groups[rows], return_inverse=True)[1].astype(np.int64)
    return scores[rows], Violating(relative[rows], numbers, heaviest)


def _by_betting(
    ranked: RankedLabels,
    scores: Scores,
    labels: Labels,
    weights: FloatArray,
    clusters: IntArray | None,
    *,
    target: float,
    confidence: float,
) -> OperatingPoint:
    delta = 1 - confidence
    point = unanswered(
        ranked,
        kind="recall",
        target=target,
        confidence=confidence,
        method=said("method.recall.bets"),
        how="recall_bets",
        assumptions=(CLUSTERS if clusters is not None else ALL_DESIGN, KNOWN, RIGHT, FRESH, SAME),
    )
    if ranked.n_positive == 0:
        return replace(point, reason=said("reason.recall.no_positive"))
    positive_scores, violating = known_violating(scores, labels, weights, clusters)
    evidence = log_wealth_of_recall(violating, target=target)
    enough = np.flatnonzero(evidence >= math.log(1 / delta))
    if not len(enough):
        needed = math.ceil(ranked.n_labelled * math.log(1 / delta) / max(float(evidence[-1]), 0.1))
        return replace(
            point,
            labels_needed=needed,
            reason=said("reason.recall.bets.none", n_positive=ranked.n_positive, target=target, needed=needed),
        )
    lowest = positive_scores[enough[0] - 1]
    threshold = ranked.threshold(int(np.searchsorted(-ranked.scores, -lowest)))
    known = np.flatnonzero(~np.isnan(labels))
    order = known[np.argsort(-scores[known], kind="stable")]
    stakes = stakes_of(labels[order], weights[order] / weights.max(), None if clusters is None else clusters[order])
    rank = int((scores[order] >= np.float32(threshold)).sum())
    caught = int((positive_scores >= np.float32(threshold)).sum())
    caught_weight = float(violating.weights[:caught].sum())
    return replace(
        point,
        status="certified",
        threshold=threshold,
        precision=caught_weight / float(stakes.weights[:rank].sum()),
        precision_lower_bound=precision_bound(stakes, rank, delta=delta, lowest=0.0),
        recall=caught_weight / float(violating.weights.sum()),
        recall_interval=recall_interval(violating, caught, confidence=confidence),
        n_flagged=int((ranked.all_scores >= np.float32(threshold)).sum()),
        n_flagged_labelled=rank,
        certified_range=(threshold, ranked.threshold(len(ranked.scores) - 1)),
        reason=said("reason.recall.bets", caught=caught, n_positive=ranked.n_positive),
    )


def _by_order_statistic(ranked: RankedLabels, *, target: float, confidence: float) -> OperatingPoint:
    delta = 1 - confidence
    point = unanswered(
        ranked,
        kind="recall",
        target=target,
        confidence=confidence,
        method=said("method.recall.order"),
        how="order",
        assumptions=(SAMPLE, KNOWN, RIGHT, FRESH, SAME),
    )
    positive = ranked.n_positive
    if positive == 0:
        return replace(point, reason=said("reason.recall.no_positive"))
    # P(Bin(m, target) > r - 1) = P(Bin(m, 1 - target) <= m - r) <= delta
    missed = tail_probability(np.arange(positive), positive, target)
    allowed = int(np.searchsorted(missed, delta, side="right")) - 1
    if allowed < 0:
        needed = math.ceil(fewest_labels(target, delta) * ranked.n_labelled / positive)
        return replace(
            point,
            labels_needed=needed,
            reason=said(
                "reason.recall.order.none", n_positive=positive, fewest=fewest_labels(target, delta), needed=needed
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
        reason=said("reason.recall.order", caught=right, n_positive=positive, allowed=allowed),
    )
