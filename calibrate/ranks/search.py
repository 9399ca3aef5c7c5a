"""Which ranks of a simple random golden set are certified, by a scan or by a walk; and in which words."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from calibrate.bounds import IntArray, fewest_labels
from calibrate.ranks.lattice import lattice
from calibrate.ranks.planning import FIRST_IN_FEWEST, ONE_IN, budget, default_design, planned_design
from calibrate.ranks.ranked import ONE_IN as STEPS_ONE_IN
from calibrate.ranks.ranked import Labels, RankedLabels, Scores
from calibrate.ranks.scan import Boundaries, calibrated_boundaries, certified_steps
from calibrate.ranks.walk import MOST_STARTS, grid_steps, planned_start, shared_starts, walk_from
from calibrate.words import said

Pilot = tuple[Scores, Labels]


@dataclass(frozen=True)
class Search:
    """What a search over the ranks found.

    Attributes:
        certified: steps of the ranked labels that are certified together, rising; empty if there are none.
        starts: ranks with most of delta.
        level: at which the chosen rank passes a binomial test by itself.
        first_rank: where a larger golden set would be tested first.
        next_level: at which it would be.
        method: in a phrase.
    """

    certified: IntArray
    starts: tuple[int, ...]
    level: float
    first_rank: int
    next_level: float
    method: str


def search_by_scan(ranked: RankedLabels, pilot: Pilot | None, *, target: float, delta: float) -> Search:
    """Scan all ranks, growing by 2 %, with boundaries calibrated together (`calibrate.ranks.scan`)."""
    fewest = fewest_labels(target, delta)
    if pilot:
        design = planned_design(ranked, *pilot, target=target, delta=delta)
    else:
        design = default_design(ranked.n_labelled, target=target, delta=delta)
    steps = grid_steps(ranked, fewest, one_in=ONE_IN)
    if len(steps):
        ranks = ranked.n_flagged[steps]
        boundaries = calibrated_boundaries(ranks, budget(ranks, design, delta=delta), target=target, delta=delta)
        steps = steps[certified_steps(ranked.false_positives[steps], boundaries)]
    return Search(
        certified=steps,
        starts=(max(fewest, design.start),),
        level=delta,
        first_rank=fewest if pilot else FIRST_IN_FEWEST * fewest,
        next_level=delta,
        method=said(
            "method.scan.planned" if pilot else "method.scan", share=round(100 * design.share), start=design.start
        ),
    )


def certified_among_many(ranked: RankedLabels, *, target: float, delta: float, horizon: int) -> IntArray:
    """Steps that a scan certifies, with boundaries that it shares with other sets of at most `horizon` known labels.

    Boundaries are the work of a scan, and those of a longer set hold for its beginning: ranks that are never reached
    spend nothing. They are calibrated at fixed ranks; a step that holds more, by ties or as the last one, is tested
    like the fixed rank before it, where false positives can only be fewer.

    Args:
        ranked: a simple random sample.
        target: precision under test.
        delta: level of this set's scan.
        horizon: at least the number of known labels.
    """
    assert ranked.n_labelled <= horizon
    fewest = fewest_labels(target, delta)
    ranks = _fixed_ranks(fewest, horizon)
    if ranked.n_labelled < max(fewest, int(ranks[0])):
        return np.zeros(0, np.int64)
    design = default_design(horizon, target=target, delta=delta)
    boundaries = calibrated_boundaries(ranks, budget(ranks, design, delta=delta), target=target, delta=delta)
    n_reached = int(np.searchsorted(ranks, ranked.n_labelled, side="right"))
    places = np.append(np.arange(n_reached), n_reached - 1)
    steps = np.append(np.searchsorted(ranked.n_flagged, ranks[:n_reached]), len(ranked.scores) - 1)
    shared = Boundaries(start=boundaries.start[places], keep=boundaries.keep[places], spent=boundaries.spent)
    return np.unique(steps[certified_steps(ranked.false_positives[steps], shared)])


@lru_cache(maxsize=64)
def _fixed_ranks(fewest: int, horizon: int) -> IntArray:
    """Ranks from `fewest` on that grow by 2 %, of those that a large set keeps (`calibrate.ranks.ranked`)."""
    kept = lattice(horizon, one_in=STEPS_ONE_IN)
    kept = kept[kept >= min(fewest, horizon)]
    places = [0]
    while places[-1] < len(kept) - 1:
        rank = int(kept[places[-1]])
        places.append(min(len(kept) - 1, int(np.searchsorted(kept, rank + (rank + ONE_IN - 1) // ONE_IN))))
    return kept[places]


def search_by_walk(ranked: RankedLabels, pilot: Pilot | None, *, target: float, delta: float) -> Search:
    """Walk from a planned start, or from two fixed ones that share delta (`calibrate.ranks.walk`)."""
    if pilot:
        starts = [planned_start(ranked, *pilot, target=target, delta=delta)]
        method = said("method.walk.planned", start=starts[0])
    else:
        starts = shared_starts(ranked.n_labelled, target=target, delta=delta)
        method = (
            said("method.walks", first=starts[0], second=starts[1])
            if len(starts) > 1
            else said("method.walk", start=starts[0])
        )
    level = delta / len(starts)
    walks = [walk_from(ranked, start, target=target, level=level) for start in starts]
    deepest = max(walks, key=lambda walk: int(walk.passed[-1]) if len(walk.passed) else -1)
    # A larger set would be tested at this level, from this rank on.
    next_level = delta if pilot else delta / MOST_STARTS
    return Search(
        certified=np.asarray(deepest.passed, np.int64),
        starts=tuple(starts),
        level=level,
        first_rank=(1 if pilot else 2) * fewest_labels(target, next_level),
        next_level=next_level,
        method=method,
    )
