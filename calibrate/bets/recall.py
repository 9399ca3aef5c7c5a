"""Betting against "the recall is at most the target": evidence from weighted or clustered violating posts.

Let w = 1 / inclusion_prob and y = 1 for a violating post. The recall at threshold t is at least rho iff E[Z(t)] >= 0,
with Z(t) = w y (1[score >= t] - rho), summed over a cluster. With w_max the most that a cluster can weigh and a bet b
with b rho w_max < 1, every factor 1 + b Z(t) is positive. W(t) is the mean of prod(1 + b Z_i(t)) over bets that no
label and no score moves: all thresholds share them.

Why the highest t with W(t) >= 1 / delta may be taken. Let t* be the highest threshold whose recall is at least rho;
it exists, as the recall at "score >= t" is left-continuous and falls as t rises. A wrong answer lies above t*. There
1[score >= t] <= 1[score > t*], so each Z_i(t), hence each factor, hence W(t) is at most what it is for the set
{score > t*}. That set is fixed and its recall is at most rho: its wealth has expectation at most 1, and Markov's
inequality bounds by delta the chance that it reaches 1 / delta. The search over thresholds costs nothing more.

Expectation at most 1 needs the clusters to be drawn independently, with E[Z] the same for all (each post in with its
inclusion probability), or in fixed numbers n_h out of strata of N_h, w = N_h / n_h: then the expectation is
prod_h (1 + b mu_h)^n_h <= (1 + b sum_h n_h mu_h / n)^n, the geometric mean being below the arithmetic one, and
sum_h n_h mu_h is the population's sum. Drawing without replacement only lowers it (Maclaurin's inequality).

M violating posts from the highest score down, C clusters of them, K bets.

References:
    I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal
    Statistical Society B 86 (2024).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from calibrate.bounds import FloatArray, IntArray

BETS_A_DECADE, DECADES = 4, 2.5  # down to bets that suit some tens of thousands of violating posts
LARGEST_STAKE = 0.99  # of what may be staked without risking ruin
PRECISE_TO = 1 / 128  # steps in which bounds of the recall are searched


@dataclass(frozen=True)
class Violating:
    """The known violating posts, from the highest score down.

    Attributes:
        weights: [M], 1 / inclusion_prob up to a factor.
        clusters: [M], 0 to C - 1.
        heaviest: the most that a cluster of the population can weigh, not less than any weight here.
    """

    weights: FloatArray
    clusters: IntArray
    heaviest: float

    @property
    def totals(self) -> FloatArray:
        """[C], the weight of each cluster."""
        return np.bincount(self.clusters, weights=self.weights).astype(np.float64)


def log_wealth_of_recall(violating: Violating, *, target: float) -> FloatArray:
    """log W where the first 0, 1, …, M violating posts are flagged, [M + 1]; it never falls.

    Examples:
        >>> posts = Violating(np.ones(60), np.arange(60), 1.0)
        >>> evidence = log_wealth_of_recall(posts, target=0.9)
        >>> bool(evidence[50] < 0 < math.log(20) < evidence[60])
        True
    """
    bets = _bets(target * violating.heaviest)[:, None]
    totals = violating.totals
    owed = target * totals[violating.clusters]
    before = _flagged_before(violating)
    grown = np.log1p(bets * (before + violating.weights - owed)) - np.log1p(bets * (before - owed))
    start = np.log1p(-bets * target * totals).sum(axis=1, keepdims=True)
    wealth = start + np.concatenate([np.zeros((len(bets), 1)), np.cumsum(grown, axis=1)], axis=1)
    result: FloatArray = logsumexp(wealth, axis=0) - math.log(len(bets))
    return result


def recall_interval(violating: Violating, n_flagged: int, *, confidence: float) -> tuple[float, float]:
    """An interval of the recall at a threshold fixed beforehand, which flags the first `n_flagged` violating posts.

    From each side the recalls that bets refute at half of 1 - confidence are cut off, in steps of 1/128.

    Examples:
        >>> low, high = recall_interval(Violating(np.ones(400), np.arange(400), 1.0), 320, confidence=0.95)
        >>> round(low, 2), round(high, 2)
        (0.73, 0.87)
    """
    totals = violating.totals
    within = violating.clusters[:n_flagged]
    flagged = np.bincount(within, violating.weights[:n_flagged], len(totals)).astype(np.float64)
    delta = (1 - confidence) / 2
    low = _refuted_up_to(flagged, totals, violating.heaviest, delta)
    return low, 1 - _refuted_up_to(totals - flagged, totals, violating.heaviest, delta)


def _refuted_up_to(part: FloatArray, totals: FloatArray, heaviest: float, delta: float) -> float:
    """The largest share that `part` of `totals` is shown to exceed; 0 if none."""
    bound = 0.0
    (part, totals), counts = np.unique(np.stack([part, totals]), axis=1, return_counts=True)  # few are different
    for share in np.arange(PRECISE_TO, 1, PRECISE_TO).tolist():
        bets = _bets(share * heaviest)[:, None]
        wealth = np.log1p(bets * (part - share * totals)) @ counts
        if logsumexp(wealth) - math.log(len(bets)) < math.log(1 / delta):
            break
        bound = share
    return bound


def _bets(most_lost: float) -> FloatArray:
    powers = np.arange(int(BETS_A_DECADE * DECADES) + 1)
    bets: FloatArray = LARGEST_STAKE / most_lost * 10.0 ** (-powers / BETS_A_DECADE)
    return bets


def _flagged_before(violating: Violating) -> FloatArray:
    """[M], weight of the same cluster's posts above."""
    order = np.argsort(violating.clusters, kind="stable")
    grouped, weights = violating.clusters[order], violating.weights[order]
    running = np.cumsum(weights) - weights
    first = np.flatnonzero(np.diff(grouped, prepend=-1))
    result = np.empty(len(weights))
    result[order] = running - np.repeat(running[first], np.diff(np.append(first, len(grouped))))
    return result
