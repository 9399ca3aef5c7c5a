"""How many labels above a floor certify a target, four times in five: a scan simulated on what a pilot expects.

S draws of the precision curve, J tested ranks.
"""

from dataclasses import dataclass

import numpy as np

from calibrate.bounds import fewest_labels
from calibrate.plan_prospect import Floor, Prospect
from calibrate.planning import budget, default_design, growing_ranks
from calibrate.scan import calibrated_boundaries, certified_steps

MOST_LABELS, STEP = 50_000, 1.1


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

    def at(place: int) -> Outlook:
        labels = min(MOST_LABELS, int(np.ceil(fewest * STEP**place)))
        return outlook(prospect, floor, labels, target=target, delta=delta, keep_recall=keep_recall)

    fewest = fewest_labels(target, delta)
    low, high = -1, int(np.ceil(np.log(MOST_LABELS / fewest) / np.log(STEP)))
    found = at(max(0, high))
    if found.power < power:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        tried = at(middle)
        if tried.power >= power:
            high, found = middle, tried
        else:
            low = middle
    return found
