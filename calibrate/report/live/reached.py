"""Posts and labels at or above one threshold of the page, in posts a day or of 10,000."""

import numpy as np

from calibrate.report.live.consequences import SAMPLE_OF, Reached
from calibrate.report.live.numbers import PolicyNumbers


def reached_at(numbers: PolicyNumbers, threshold: float) -> Reached:
    """At or above a threshold, which must be one of the cuts."""
    cut = int(np.searchsorted(-numbers.cuts, -np.float32(threshold)))
    assert numbers.cuts[cut] == np.float32(threshold), threshold
    known, right = float(numbers.counts.known[cut]), float(numbers.counts.right[cut])
    below_floor = numbers.floor is not None and numbers.cuts[cut] < np.float32(numbers.floor)
    if numbers.traffic is None:
        return Reached(SAMPLE_OF * known / float(numbers.counts.known[-1]), known, right, below_floor)
    return Reached(_posts_a_day(numbers, cut), known, right, below_floor)


def everything(numbers: PolicyNumbers) -> Reached:
    """All posts; of a golden set that was drawn above a floor, those that score at least that."""
    known, right = float(numbers.counts.known[-1]), float(numbers.counts.right[-1])
    if numbers.traffic is None:
        return Reached(float(SAMPLE_OF), known, right)
    if numbers.floor is None:
        return Reached(numbers.traffic.total / numbers.traffic.exposure, known, right)
    floor = int(np.searchsorted(-numbers.cuts, -np.float32(numbers.floor)))
    return Reached(_posts_a_day(numbers, floor), known, right)


def _posts_a_day(numbers: PolicyNumbers, cut: int) -> float:
    traffic = numbers.traffic
    assert traffic is not None
    estimated = int(traffic.above[cut]) + float(traffic.share[cut]) * int(traffic.inside[cut])
    return estimated / traffic.exposure
