"""What to expect of a policy's posts before they are labelled: a score distribution and beliefs about precision.

Traffic is cut into C cells from the highest score down; S draws of what the pilot leaves open.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from calibrate.bounds import FloatArray, IntArray
from calibrate.probability import Calibrator, as_logits
from calibrate.ranks.ranked import Labels, Scores

N_DRAWS, N_CELLS = 200, 160
SMALLEST_SHARE = 1e-4  # of traffic, in the first cell
FEWEST_IN_BLOCK = 10
FLOOR_SHARES = (0.5, 1 / 3, 0.2, 0.1, 0.05, 0.02)


@dataclass(frozen=True)
class Floor:
    """A score to draw above.

    Attributes:
        score: lowest score drawn; None for all.
        share: of traffic that scores at least that.
    """

    score: float | None
    share: float


@dataclass(frozen=True)
class Prospect:
    """Draws of a policy's precision curve.

    Attributes:
        shares: [C], part of traffic down to the end of each cell, rising to 1.
        caught: [S, C], part of traffic that violates down to there.
        floors: worth trying, all traffic first.
    """

    shares: FloatArray
    caught: FloatArray
    floors: tuple[Floor, ...]

    def caught_at(self, shares: FloatArray) -> FloatArray:
        """`caught` at other parts of traffic, [S, J] as given; linear between the cells."""
        ends = np.append(0.0, self.shares)
        caught = np.concatenate([np.zeros((len(self.caught), 1)), self.caught], axis=1)
        right = np.clip(np.searchsorted(ends, shares), 1, len(ends) - 1)
        part = (shares - ends[right - 1]) / (ends[right] - ends[right - 1])
        above, below = (np.take_along_axis(caught, places, axis=1) for places in (right - 1, right))
        result: FloatArray = above + part * (below - above)
        return result

    def best_recall(self, target: float) -> FloatArray:
        """[S], recall of the lowest threshold whose precision is at least `target`; 0 where there is none."""
        good = self.caught >= target * self.shares
        recall: FloatArray = np.where(good, self.caught, 0).max(axis=1) / np.maximum(self.caught[:, -1], 1e-12)
        return recall

    def highest_precision(self) -> float:
        """The best precision that is expected of any part of traffic from the top down, mean over the draws."""
        return float((self.caught / self.shares).mean(axis=0).max())


def prospect_of(
    traffic: Scores,
    traffic_weights: FloatArray | None,
    pilot: tuple[Scores, Labels] | None,
    *,
    calibrator: Calibrator,
    scale: str,
    above: float | None = None,
) -> Prospect:
    """Beliefs about a policy.

    Within a block of cells that holds at least ten pilot labels (deeper ones: a fifth of those above) the precision
    has a beta posterior: the block's labels, and one more that says what the calibrator expects. The calibrator also
    says how precision is spread over the block's cells. Without a pilot it is taken at its word.

    Args:
        traffic: float32 [N], scores of posts as they come.
        traffic_weights: [N], posts that each stands for; None for equal ones.
        pilot: scores [M] and labels [M], 1, 0 or NaN.
        calibrator: of the scores, in logits.
        scale: of the scores, `logit` or `probability`.
        above: lowest score that counts as traffic, where it was cut there; None for all.
    """
    order = np.argsort(-traffic, kind="stable")
    falling = traffic[order]
    weights = np.ones(len(falling)) if traffic_weights is None else traffic_weights[order]
    cumulative = np.cumsum(weights) / weights.sum()
    wanted = np.geomspace(max(SMALLEST_SHARE, 1 / len(falling)), 1, N_CELLS)
    lowest = np.unique(falling[np.minimum(np.searchsorted(cumulative, wanted - 1e-12), len(falling) - 1)])[::-1]
    ends = np.searchsorted(-falling, -lowest, side="right") - 1  # ties stay in one cell
    shares = cumulative[ends]
    expected = _expected(lowest, falling, ends, calibrator, scale, pilot)
    if pilot is None:
        precision = np.repeat(expected[None, :], N_DRAWS, axis=0)
    else:
        precision = _believed(lowest, expected, *pilot)
    masses = np.diff(shares, prepend=0.0)
    return Prospect(shares, np.cumsum(precision * masses, axis=1), _floors(falling, cumulative, above))


def _expected(
    lowest: Scores,
    falling: Scores,
    ends: IntArray,
    calibrator: Calibrator,
    scale: str,
    pilot: tuple[Scores, Labels] | None,
) -> FloatArray:
    """[C], what the calibrator says of the middle of each cell; the pilot's share if it was not fitted."""
    if calibrator.reason and pilot is not None:
        return np.full(len(lowest), np.clip(np.nanmean(pilot[1]), 0.01, 0.99))
    begins = np.append(0, ends[:-1] + 1)
    middles = falling[(begins + ends) // 2]
    return np.clip(calibrator.probabilities(as_logits(middles, scale)), 1e-4, 1 - 1e-4)


def _believed(lowest: Scores, expected: FloatArray, scores: Scores, labels: Labels) -> FloatArray:
    """[S, C] draws of the precision in each cell."""
    known = ~np.isnan(labels)
    cell = np.minimum(np.searchsorted(-lowest, -scores[known]), len(lowest) - 1)
    count = np.bincount(cell, minlength=len(lowest))
    right = np.bincount(cell, weights=labels[known], minlength=len(lowest))
    random = np.random.default_rng(0)
    result = np.empty((N_DRAWS, len(lowest)))
    begin, seen = 0, 0
    for end in range(1, len(lowest) + 1):
        held = int(count[begin:end].sum())
        left = int(count[end:].sum())
        if end < len(lowest) and (held < max(FEWEST_IN_BLOCK, seen // 5) or left < FEWEST_IN_BLOCK):
            continue
        prior = float(expected[begin:end].mean())
        violating = float(right[begin:end].sum())
        drawn = random.beta(prior + violating, 1 - prior + held - violating, size=(N_DRAWS, 1))
        shift = logit(np.clip(drawn, 1e-4, 1 - 1e-4)) - logit(prior)
        result[:, begin:end] = expit(logit(expected[begin:end]) + shift)
        begin, seen = end, seen + held
    return result


def _floors(falling: Scores, cumulative: FloatArray, above: float | None) -> tuple[Floor, ...]:
    floors = [Floor(above, 1.0)]
    for share in FLOOR_SHARES:
        score = falling[min(int(np.searchsorted(cumulative, share - 1e-12)), len(falling) - 1)]
        reached = float(cumulative[np.searchsorted(-falling, -score, side="right") - 1])
        if reached < floors[-1].share:
            floors.append(Floor(float(str(score)), reached))  # the shortest number that is this float32
    return tuple(floors)
