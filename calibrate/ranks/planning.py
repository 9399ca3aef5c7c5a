"""Where a scan spends its budget: planned from a pilot, or robust where there is none.

Nothing here looks at a golden label: of the golden set, scores and their number are read.

J tested ranks, S simulated golden sets, M pilot items, D designs.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from calibrate.bounds import FloatArray, IntArray, fewest_labels
from calibrate.probability import fit_platt
from calibrate.ranks.ranked import Labels, RankedLabels, Scores
from calibrate.ranks.scan import Boundaries, calibrated_boundaries, certified_steps

# The default was chosen on simulated score curves, with and without label errors at the top (bench_guarantee):
# it keeps what a walk from 2 N_min reaches where the top is clean, and recovers where it is not.
DEFAULT_SHARE, SPREAD_DECAY, FIRST_IN_FEWEST = 0.7, 0.75, 2
ONE_IN, PLANNING_ONE_IN = 50, 10  # tested ranks grow by one in fifty; where plans are compared, by one in ten
PLANNED_SHARES = (0.5, 0.9)
MOST_STARTS = 14
N_SIMULATED = 200
MOST_PLANNED = 30_000  # ranks that plans are compared over: later starts would gain nothing
FEWEST_IN_BLOCK = 10
# A pilot must promise this much more than the default, which comes first, before it is left: simulations flatter.
WORTH_LEAVING_DEFAULT = 1.02


@dataclass(frozen=True)
class Design:
    """How delta is spent over the ranks: a share on one start, the rest over all of them, more on early ones.

    Attributes:
        start: rank that gets `share` of delta.
        share: in (0, 1).
    """

    start: int
    share: float


def default_design(n_labelled: int, *, target: float, delta: float) -> Design:
    """The design without a pilot: 70 % of delta at twice N_min, or at the last rank if there are fewer labels.

    Examples:
        >>> default_design(2000, target=0.95, delta=0.05)
        Design(start=118, share=0.7)
    """
    return Design(max(1, min(n_labelled, FIRST_IN_FEWEST * fewest_labels(target, delta))), DEFAULT_SHARE)


def budget(ranks: IntArray, design: Design, *, delta: float) -> FloatArray:
    """[J], the part of delta that each rank may spend; sums to `delta`.

    What `share` leaves is spent so that n^-0.75 of it is left at rank n, counted from the first rank on: how much a
    rank may spend does not depend on how many labels follow. The last rank takes all that is left.

    Examples:
        >>> budget(np.array([59, 118, 236]), Design(118, 0.7), delta=0.05).round(4).tolist()
        [0.0061, 0.0386, 0.0053]
    """
    left = (ranks[0] / ranks) ** SPREAD_DECAY
    spent: FloatArray = (1 - design.share) * delta * (left - np.append(left[1:], 0))
    spent[min(int(np.searchsorted(ranks, design.start)), len(ranks) - 1)] += design.share * delta
    return spent


def planned_design(
    ranked: RankedLabels, pilot_scores: Scores, pilot_labels: Labels, *, target: float, delta: float
) -> Design:
    """The design that certifies most violating posts over golden sets simulated from the pilot.

    Between the scores of two golden ranks the precision is drawn from a beta posterior: the pilot's labels there,
    pooled until a block holds enough, and one more that says what Platt scaling of the pilot expects. That one lets
    the top hold label errors which a small pilot has not seen. The draws are fixed: the same input, the same design.

    Args:
        ranked: the golden set.
        pilot_scores: float32 [M], from other items than the golden set.
        pilot_labels: [M], 1, 0 or NaN; at least one known.
        target: precision under test.
        delta: level.
    """
    n_labelled = min(ranked.n_labelled, MOST_PLANNED)
    if n_labelled < fewest_labels(target, delta):
        return default_design(n_labelled, target=target, delta=delta)
    ranks = growing_ranks(n_labelled, target=target, delta=delta, one_in=PLANNING_ONE_IN)
    lowest = ranked.scores[np.searchsorted(ranked.n_flagged, ranks)]
    known = ~np.isnan(pilot_labels)
    chances, blocks = _posterior(lowest, pilot_scores[known], pilot_labels[known])
    random = np.random.default_rng(0)
    precision = random.beta(chances[:, 0], chances[:, 1], size=(N_SIMULATED, len(chances)))
    wrong = np.cumsum(random.binomial(np.diff(ranks, prepend=0), 1 - precision[:, blocks]), axis=1)
    right = ranks - wrong
    best, most = default_design(n_labelled, target=target, delta=delta), -1.0
    for design, boundaries in _candidates(n_labelled, target, delta):
        certified = certified_steps(wrong, boundaries)
        caught = float(np.where(certified, right, 0).max(axis=1).mean())
        if caught > most:
            best, most = design, caught * (WORTH_LEAVING_DEFAULT if most < 0 else 1)
    return best


def growing_ranks(n_labelled: int, *, target: float, delta: float, one_in: int = ONE_IN) -> IntArray:
    """Ranks from N_min to the number of labels, growing by one in `one_in`; ties are not known here.

    Examples:
        >>> growing_ranks(80, target=0.95, delta=0.05, one_in=10).tolist()
        [59, 65, 72, 80]
    """
    ranks = [min(fewest_labels(target, delta), n_labelled)]
    while ranks[-1] < n_labelled:
        ranks.append(min(n_labelled, ranks[-1] + (ranks[-1] + one_in - 1) // one_in))
    return np.array(ranks, np.int64)


@lru_cache(maxsize=64)
def _candidates(n_labelled: int, target: float, delta: float) -> tuple[tuple[Design, Boundaries], ...]:
    ranks = growing_ranks(n_labelled, target=target, delta=delta, one_in=PLANNING_ONE_IN)
    starts = ranks[np.unique(np.linspace(0, len(ranks) - 1, MOST_STARTS).astype(int))]
    designs = [default_design(n_labelled, target=target, delta=delta)]
    designs += [Design(int(start), share) for start in starts for share in PLANNED_SHARES]
    return tuple(
        (
            design,
            calibrated_boundaries(ranks, budget(ranks, design, delta=delta), target=target, delta=delta),
        )
        for design in designs
    )


def _posterior(lowest: Scores, pilot_scores: Scores, pilot_labels: Labels) -> tuple[FloatArray, IntArray]:
    """Beta parameters [blocks, 2] of the precision in each block of ranks, and the block of each rank [J]."""
    segment = np.searchsorted(-lowest, -pilot_scores)  # the first rank whose lowest score a pilot item reaches
    inside = segment < len(lowest)
    right = np.bincount(segment[inside], weights=pilot_labels[inside], minlength=len(lowest))
    count = np.bincount(segment[inside], minlength=len(lowest))
    expected = fit_platt(pilot_scores, pilot_labels)
    share = float(pilot_labels.mean()) if expected.reason else None
    blocks = np.zeros(len(lowest), np.int64)
    parameters: list[tuple[float, float]] = []
    begin, seen = 0, 0
    for end in range(1, len(lowest) + 1):
        held = int(count[begin:end].sum())
        if end < len(lowest) and held < max(FEWEST_IN_BLOCK, seen // 5):
            continue
        middle = float(lowest[(begin + end - 1) // 2])
        prior = share if share is not None else float(expected.probabilities(middle))
        prior = min(max(prior, 0.05), 0.95)
        known_right = float(right[begin:end].sum())
        parameters.append((prior + known_right, 1 - prior + held - known_right))
        blocks[begin:end] = len(parameters) - 1
        begin, seen = end, seen + held
    return np.array(parameters), blocks
