"""Betting against "the precision is at most the target": evidence from weighted or clustered labels, at any size.

At threshold t the precision is at least the target iff E[Z] >= 0, with Z the sum over a cluster's flagged posts of
(y - target) / inclusion_prob; a post without a cluster is its own. Let w be the most that a cluster can weigh above
t. For a bet b with b target w <= 1, the wealth prod(1 + b Z_i) has expectation at most 1 where the precision is at
most the target, and so has W(t), its mean over a grid of bets. W(t) >= 1 / delta happens with probability at most
delta (Markov), and with a fixed t and fixed bets even once over all sizes of a growing set (Ville).

N known labels from the highest score down, T thresholds, K bets.

References:
    I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal
    Statistical Society B 86 (2024). J. Ville, "Étude critique de la notion de collectif" (1939).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from calibrate.bounds import FloatArray, IntArray

BETS_A_DECADE, DECADES = 8, 3
SLIGHT_FALL = (
    1.25  # factor by which weights may fall as scores do, and count as rising: strata of all but equal rates
)
LARGEST_STAKE = 0.99  # of what may be staked without risking ruin


@dataclass(frozen=True)
class Stakes:
    """Known labels from the highest score down, with what each adds to its cluster.

    Attributes:
        labels: [N], 1 or 0.
        weights: [N], 1 / inclusion_prob.
        weight_before: [N], weight of the cluster's posts above, 0 for the first.
        right_before: [N], weight of the violating ones of them.
        most: [N], more than any cluster of the population can weigh at or above here.
        least: the least that a cluster weighs, in all.
    """

    labels: FloatArray
    weights: FloatArray
    weight_before: FloatArray
    right_before: FloatArray
    most: FloatArray
    least: float


def stakes_of(labels: FloatArray, weights: FloatArray, clusters: IntArray | None) -> Stakes:
    """Prepare labels that are sorted by falling score.

    What a cluster can weigh above a threshold may not be read off those that were found there: where heavy posts are
    rare and wrong, samples without one would bet too much. Where weights hardly ever fall on the way down, as in a
    sample stratified by score, the next post below bounds them; else the heaviest of the whole sample does.

    Args:
        labels: [N], 1 or 0.
        weights: [N], positive.
        clusters: [N], equal numbers for posts of one cluster; None if each post is its own.
    """
    if not len(labels):
        return Stakes(labels, weights, weights, weights, weights, 1.0)
    if clusters is None:
        nothing = np.zeros(len(labels))
        fall = float((np.maximum.accumulate(weights) / weights).max())
        below = np.append(weights[1:], weights[-1])
        most = below * fall if fall <= SLIGHT_FALL else np.full(len(labels), weights.max())
        return Stakes(labels, weights, nothing, nothing, most, float(weights.min()))
    totals = np.bincount(np.unique(clusters, return_inverse=True)[1], weights=weights)
    return Stakes(
        labels,
        weights,
        _sum_before(weights, clusters),
        _sum_before(weights * labels, clusters),
        np.full(len(labels), totals.max()),
        float(totals.min()),
    )


def log_wealth(
    stakes: Stakes,
    ranks: IntArray,
    *,
    target: float,
    delta: float,
    even_bets: bool = False,
    one_mixture: bool = False,
) -> FloatArray:
    """log W at each of the ranks (the number of posts flagged), [T].

    Bets are powers of 10^(1/8): a lattice that no data move. At each rank the mixture is even over the bets that do
    best, where W just reaches 1 / delta, if the flagged posts all weigh as much as one can, or as little. With equal
    weights that is a single bet, and all but the Chernoff bound; a mixture that knew no size would cost far more. Of
    the flagged posts their number is used and not their weights, which are part of what is bet on.

    Args:
        stakes: as `stakes_of` prepared them.
        ranks: [T], from 0 to N.
        target: precision under test.
        delta: level that the mixture is made for; the evidence is valid for any.
        even_bets: an even mixture over three decades, whatever the number of posts, as a growing set needs it.
        one_mixture: one even mixture for all ranks, of which bets that a rank does not admit are given up with what
            they hold; W is then a supermartingale down the ranks, too, past the one where precision is the target.
    """
    if not len(ranks) or not len(stakes.labels):
        return np.zeros(len(ranks))
    last = np.maximum(ranks, 1) - 1
    largest = LARGEST_STAKE / (target * stakes.most[last])
    highest = np.floor(np.log10(largest) * BETS_A_DECADE)
    if even_bets or one_mixture:
        lowest = highest - BETS_A_DECADE * DECADES
    else:
        # Best where W just suffices, for posts of weight 1; the variance is that of a Bernoulli variable.
        suited = np.sqrt(2 * math.log(1 / delta) / (target * (1 - target) * np.maximum(ranks, 1)))
        lowest = np.minimum(np.round(np.log10(suited / stakes.most[last]) * BETS_A_DECADE), highest)
        highest = np.minimum(np.round(np.log10(suited / stakes.least) * BETS_A_DECADE), highest)
    powers = np.arange(lowest.min(), highest.max() + 1)
    bets = 10 ** (powers / BETS_A_DECADE)
    allowed = (powers[:, None] <= highest) & (powers[:, None] >= lowest)
    mixture = (powers[:, None] <= highest) / len(bets) if one_mixture else allowed / allowed.sum(axis=0)
    wealth = np.array([_cumulative(stakes, bet, target)[ranks] for bet in bets])
    with np.errstate(divide="ignore"):
        result: FloatArray = logsumexp(wealth, b=mixture, axis=0)
    return result


def precision_bound(stakes: Stakes, rank: int, *, delta: float, lowest: float) -> float:
    """The largest precision that the evidence at one rank refutes, at least `lowest`: a lower confidence bound.

    The mixture is the one of `log_wealth` at each precision tried, searched upwards until it no longer refutes.
    """
    bound = lowest
    for precision in np.linspace(lowest, 1, 64)[1:-1]:
        evidence = log_wealth(stakes, np.array([rank]), target=float(precision), delta=delta)[0]
        if evidence < math.log(1 / delta):
            break
        bound = float(precision)
    return bound


def _cumulative(stakes: Stakes, bet: float, target: float) -> FloatArray:
    """log prod(1 + bet Z) after 0, 1, …, N posts; ruin is kept finite, bets that can come to it are not used."""
    before = stakes.right_before - target * stakes.weight_before
    after = before + stakes.weights * (stakes.labels - target)
    factor = np.maximum(1 + bet * after, 1e-300) / np.maximum(1 + bet * before, 1e-300)
    return np.concatenate([[0.0], np.cumsum(np.log(factor))])


def _sum_before(values: FloatArray, clusters: IntArray) -> FloatArray:
    """Sum of the values of the same cluster at earlier positions."""
    order = np.argsort(clusters, kind="stable")
    grouped = clusters[order]
    total = np.cumsum(values[order]) - values[order]
    first = np.flatnonzero(np.diff(grouped, prepend=grouped[:1] - 1))
    within = total - np.repeat(total[first], np.diff(np.append(first, len(grouped))))
    result = np.empty(len(values))
    result[order] = within
    return result
