"""Betting with an auditor: an LLM's or a second model's verdicts on all items, people's labels on a few of them.

Of N items that are drawn independently, people label a random subset. At threshold t let n items be flagged and m of
them labelled. Each labelled one, in random order, makes a block with k others, so that all of the n - m are used up:
a block has r = 1 + k items. With label y, verdict f in [0, 1], target tau and any c in [0, 1], let

    Z = r (y - tau) - c (r - 1) (f - tau)     for the labelled item,
    Z = c (f - tau)                           for each of the k others.

c = 0 ignores the auditor, c = 1 is prediction-powered inference. On average Z is the same whatever the auditor says.

Why this holds however bad the auditor is. Given n and m, the labelled flagged items are m independent draws of a
flagged post and the others n - m more: two samples of one distribution, as a coin that knows nothing of score, label
and verdict put them there. With precision pi and mean verdict phi among flagged posts, the means of Z in a block add
up to r (pi - tau) - c (r - 1) (phi - tau) + k c (phi - tau) = r (pi - tau): phi is gone. For a bet b that keeps all
1 + b Z positive, independence gives E prod(1 + b Z) = prod(1 + b E Z) <= exp(b r (pi - tau)), at most 1 where the
precision is at most the target. b and c may depend on n, m, on earlier blocks, and on the items below t, which are
independent of those above. So the product over blocks is a supermartingale, and W, its maximum over the blocks,
reaches 1 / delta with probability at most delta (Ville's inequality). Z is least for y = 0 and f = 1:
-(r tau + c (r - 1) (1 - tau)); bets stay below the inverse of that.

b and c are those that need the least excess of right over wrong labels to reach 1 / delta; how verdicts fall for
violating and for other posts, below t and in earlier blocks, says how much variance each c would leave. An item of
which the auditor says nothing counts as if it said tau, which adds nothing.

B blocks, the labelled flagged items.

References:
    A. N. Angelopoulos, S. Bates, C. Fannjiang, M. I. Jordan and T. Zrnic, "Prediction-powered inference", Science 382
    (2023). A. N. Angelopoulos, J. C. Duchi and T. Zrnic, "PPI++: efficient prediction-powered inference",
    arXiv:2311.01453 (2023), of which c is. D. Csillag, C. J. Struchiner and G. T. Goedert, "Prediction-powered
    e-values", ICML (2025). I. Waudby-Smith and A. Ramdas (2024), see `calibrate.bets.betting`, of whom the bets are.
"""

import math
from dataclasses import dataclass

import numpy as np

from calibrate.bets.betting import LARGEST_STAKE
from calibrate.bounds import FloatArray, IntArray
from calibrate.ranks.ranked import Labels, Scores

RELIANCES = np.linspace(0, 1, 11)[:, None]  # values of c that are compared
TRUST_IN_PLAN = 4  # blocks that the planned variance counts for, beside those seen
LEAST_VARIANCE = 0.05  # of the planned one


@dataclass(frozen=True)
class AuditedSample:
    """Labelled and other items in random order.

    Attributes:
        scores: float32, of labelled items.
        labels: 1 or 0.
        verdicts: in [0, 1], NaN for none.
        other_scores: float32, of items that people did not label.
        other_verdicts: in [0, 1], NaN for none.
    """

    scores: Scores
    labels: Labels
    verdicts: FloatArray
    other_scores: Scores
    other_verdicts: FloatArray


@dataclass(frozen=True)
class Evidence:
    """What the bets at one threshold came to.

    Attributes:
        log_wealth: log W; the precision is above the target at level exp(-log_wealth).
        reliance: the last c.
    """

    log_wealth: float
    reliance: float


def shuffled(scores: Scores, labels: Labels, verdicts: FloatArray) -> AuditedSample:
    """Put the items in an order that is random, the same for every increasing map of the scores and order of rows.

    Args:
        scores: float32 [N].
        labels: [N], 1, 0 or NaN where people did not label.
        verdicts: [N] in [0, 1], or NaN where the auditor says nothing.
    """
    random = np.random.default_rng(0)
    order = np.argsort(-scores, kind="stable")
    known = ~np.isnan(labels[order])
    labelled, others = random.permutation(order[known]), random.permutation(order[~known])
    return AuditedSample(scores[labelled], labels[labelled], verdicts[labelled], scores[others], verdicts[others])


def evidence_at(sample: AuditedSample, threshold: float, *, target: float, delta: float) -> Evidence:
    """Bet block by block at one threshold.

    Args:
        sample: as `shuffled` returns it.
        threshold: compared in float32.
        target: precision under test.
        delta: level that bets are made for; the evidence is valid for any.
    """
    above, others = sample.scores >= np.float32(threshold), sample.other_scores >= np.float32(threshold)
    said = np.nan_to_num(sample.verdicts, nan=target) - target
    y, f, g = sample.labels[above], said[above], np.nan_to_num(sample.other_verdicts[others], nan=target) - target
    n_blocks = len(y)
    if not n_blocks:
        return Evidence(0.0, 0.0)
    ends: IntArray = np.arange(n_blocks + 1, dtype=np.int64) * len(g) // n_blocks
    k = np.diff(ends)
    c, variance = _plan(sample.labels[~above], said[~above], y, f, target, delta, r=1 + len(g) / n_blocks)
    r = 1.0 + k
    z = r * (y - target) - c * k * f
    change: FloatArray = z + c * _sum_of_blocks(g, ends)
    seen = TRUST_IN_PLAN + np.arange(n_blocks, dtype=np.float64)
    mean = _before(change) / seen
    spread = (TRUST_IN_PLAN * variance + _before(change**2)) / seen - mean**2
    wanted = np.sqrt(2 * math.log(1 / delta) / (n_blocks * np.maximum(spread, LEAST_VARIANCE * variance)))
    bet = np.minimum(wanted, LARGEST_STAKE / (r * target + c * k * (1 - target)))
    growth = np.log1p(bet * z) + _sum_of_blocks(np.log1p(np.repeat(bet * c, k) * g), ends)
    return Evidence(max(0.0, float(np.cumsum(growth).max())), float(c[-1]))


def precision_estimate(sample: AuditedSample, threshold: float, c: float, *, target: float) -> float:
    """The difference estimator of the precision, kept within [0, 1]; something flagged must be labelled.

    The mean of c f over all flagged items, and of y - c f over the labelled ones.
    """
    above, others = sample.scores >= np.float32(threshold), sample.other_scores >= np.float32(threshold)
    said = np.nan_to_num(sample.verdicts[above], nan=target)
    everyone = np.append(said, np.nan_to_num(sample.other_verdicts[others], nan=target))
    estimate = c * everyone.mean() + (sample.labels[above] - c * said).mean()
    return float(min(1.0, max(0.0, estimate)))


def precision_bound(sample: AuditedSample, threshold: float, *, delta: float, lowest: float) -> float:
    """The largest precision that the bets refute at one threshold, at least `lowest`."""
    bound = lowest
    for precision in np.linspace(lowest, 1, 64)[1:-1]:
        if evidence_at(sample, threshold, target=float(precision), delta=delta).log_wealth < math.log(1 / delta):
            break
        bound = float(precision)
    return bound


def _plan(
    labels_below: Labels, said_below: FloatArray, y: Labels, f: FloatArray, target: float, delta: float, *, r: float
) -> tuple[FloatArray, FloatArray]:
    """c of each block, and the variance of its sum of Z were the precision at the target; [B] each.

    Verdicts come less the target. In either class of posts one more item counts that tells nothing: half of a
    verdict of 1, half of 0.
    """
    means, squares = [], []
    for below, here in ((labels_below == 1, y == 1), (labels_below == 0, y == 0)):
        count = 1 + below.sum() + _before(here.astype(np.float64))
        means.append((0.5 - target + said_below[below].sum() + _before(here * f)) / count)
        start = ((1 - target) ** 2 + target**2) / 2
        squares.append((start + (said_below[below] ** 2).sum() + _before(here * f**2)) / count)
    gap, square = means[0] - means[1], target * squares[0] + (1 - target) * squares[1]
    variance = target * (1 - target)
    more = RELIANCES * (r - 1)
    variances = r**2 * variance - 2 * more * r * variance * gap + (more**2 + RELIANCES * more) * square
    variances = np.maximum(variances, LEAST_VARIANCE * variance)
    largest = LARGEST_STAKE / (r * target + more * (1 - target))
    bet = np.minimum(largest, np.sqrt(2 * math.log(1 / delta) / (len(y) * variances)))
    best = np.argmin(math.log(1 / delta) / bet + bet * variances * len(y) / 2, axis=0)
    return RELIANCES[best, 0], np.take_along_axis(variances, best[None], axis=0)[0]


def _before(values: FloatArray) -> FloatArray:
    """Sum of the values at earlier positions."""
    before: FloatArray = np.cumsum(values) - values
    return before


def _sum_of_blocks(values: FloatArray, ends: IntArray) -> FloatArray:
    """Sums between the ends, 0 where a block is empty."""
    total = np.append(0.0, np.cumsum(values))
    sums: FloatArray = np.diff(total[ends])
    return sums
