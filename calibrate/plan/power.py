"""How many labels above a floor certify a target, four times in five: a scan simulated on what a pilot expects.

S draws of the precision curve, J tested ranks.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibrate.bounds import fewest_labels
from calibrate.plan.prospect import Floor, Prospect
from calibrate.ranks.planning import budget, default_design, growing_ranks
from calibrate.ranks.scan import calibrated_boundaries, certified_steps

MOST_LABELS, STEP, STRIDE = 50_000, 1.1, 6


@dataclass(frozen=True)
class Outlook:
    """What a number of labels above a floor would bring.

    Attributes:
        labels: known labels.
        power: share of the draws in which a threshold is rightly certified that keeps enough recall.
        recall: expected, of all violating posts, 0 counted where nothing is certified.
    """

    labels: int
    power: float
    recall: float


def outlook(
    prospect: Prospect, floor: Floor, labels: int, *, target: float, delta: float, keep_recall: float
) -> Outlook:
    """Simulate a golden set of that many known labels above a floor, tested by a scan without a pilot.

    Where the ranks fall in the traffic is drawn, and how many posts between them do not violate. A threshold that is
    certified although its precision is below the target is no success.
    """
    ranks = growing_ranks(labels, target=target, delta=delta)
    design = default_design(labels, target=target, delta=delta)
    boundaries = calibrated_boundaries(ranks, budget(ranks, design, delta=delta), target=target, delta=delta)
    random = np.random.default_rng(1)
    # Order statistics of uniform numbers, by their gamma spacings.
    steps = np.append(np.diff(ranks, prepend=0), labels + 1 - ranks[-1])
    spacings = np.cumsum(random.standard_gamma(steps, size=(len(prospect.caught), len(steps))), axis=1)
    shares = floor.share * spacings[:, :-1] / spacings[:, -1:]
    caught = prospect.caught_at(shares)
    widths = np.maximum(np.diff(shares, axis=1, prepend=0.0), 1e-300)
    precision = np.clip(np.diff(caught, axis=1, prepend=0.0) / widths, 0, 1)
    wrong = np.cumsum(random.binomial(np.diff(ranks, prepend=0), 1 - precision), axis=1)
    certified = certified_steps(wrong, boundaries)
    recalls = caught / np.maximum(prospect.caught[:, -1:], 1e-12)
    rightly = certified & (caught >= (target - 1e-9) * shares)
    reached = np.where(rightly, recalls, 0).max(axis=1)
    best = prospect.best_recall(target)
    last = np.where(certified, recalls, 0).max(axis=1)
    success = (best > 0) & (reached >= keep_recall * best) & (reached == last)
    return Outlook(labels, float(success.mean()), float(reached.mean()))


def labels_above(
    prospect: Prospect, floor: Floor, *, target: float, delta: float, power: float, keep_recall: float
) -> Outlook | None:
    """The fewest labels above a floor with which the power is reached, to a tenth; None beyond 50,000 labels."""
    best = prospect.best_recall(target) * prospect.caught[:, -1]
    reachable = prospect.caught_at(np.full((len(best), 1), floor.share))[:, 0]
    if np.mean((best > 0) & (reachable >= keep_recall * best)) < power:
        return None  # the floor cuts off too much, or there is too often nothing to find

    def tried(labels: int) -> Outlook:
        return outlook(prospect, floor, labels, target=target, delta=delta, keep_recall=keep_recall)

    return fewest_with_power(tried, power, fewest=fewest_labels(target, delta), most=MOST_LABELS, step=STEP)


def fewest_with_power(
    tried: Callable[[int], Outlook], power: float, *, fewest: int, most: int, step: float
) -> Outlook | None:
    """The smallest number of labels, in steps of a factor, whose outlook reaches the power; None up to `most`.

    Climbs in strides and bisects the last one, so that most tries are of few labels.

    Examples:
        >>> fewest_with_power(lambda n: Outlook(n, n / 1000, 0.0), 0.8, fewest=10, most=5000, step=1.1).labels
        802
    """
    last = max(0, math.ceil(math.log(most / fewest) / math.log(step)))

    def at(place: int) -> Outlook:
        return tried(min(most, math.ceil(fewest * step**place)))

    low, high = -1, 0
    found = at(high)
    while found.power < power:
        if high == last:
            return None
        low, high = high, min(last, high + STRIDE)
        found = at(high)
    while high - low > 1:
        middle = (low + high) // 2
        outlook_there = at(middle)
        if outlook_there.power >= power:
            high, found = middle, outlook_there
        else:
            low = middle
    return found
