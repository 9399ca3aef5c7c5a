"""Thresholds from labels with unequal inclusion probabilities or clusters: a fallback procedure of bets.

T thresholds from the strictest down.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibrate.bets.betting import Stakes, log_wealth, stakes_of
from calibrate.bounds import FloatArray, IntArray, fewest_labels, most_false_positives
from calibrate.ranks.ranked import Labels, RankedLabels, Scores
from calibrate.ranks.walk import SHARE_OF_BEST_POWER, beta_binomial_tail, grid_steps
from calibrate.words import said

MAIN_SHARE, START_RATIO, MOST_STARTS, FIRST_IN_FEWEST = 0.7, 2.0, 4, 1.5


@dataclass(frozen=True)
class Weighting:
    """How known labels came into the set, from the highest score down.

    Attributes:
        scores: float32 [N], falling.
        stakes: their labels and weights, by cluster.
        is_clustered: whether two of them share a cluster.
    """

    scores: Scores
    stakes: Stakes
    is_clustered: bool


@dataclass(frozen=True)
class WeightedSearch:
    """What the bets certify.

    Attributes:
        thresholds: those certified together, falling; empty if there are none.
        ranks: known labels at or above each.
        start: known labels at or above the threshold that has most of delta, at least N_min.
        level: at which the last threshold passes by itself.
        method: in a phrase.
        is_fixed: whether the thresholds were fixed without these items.
    """

    thresholds: Scores
    ranks: IntArray
    start: int
    level: float
    method: str
    is_fixed: bool


def checked_weights(inclusion_prob: ArrayLike | None, n: int) -> FloatArray:
    """1 / inclusion_prob as [N]; ones for None. ValueError for a value outside (0, 1]."""
    if inclusion_prob is None:
        return np.ones(n)
    given = np.asarray(inclusion_prob, np.float64)
    if given.shape != (n,):
        raise ValueError(f"inclusion_prob must hold one number a score, got shape {given.shape} for {n} scores")
    fine = (given > 0) & (given <= 1)
    if not fine.all():
        where = int(np.flatnonzero(~fine)[0])
        raise ValueError(f"inclusion_prob must lie in (0, 1], got {given[where]} at position {where}")
    return 1 / given


def checked_clusters(clusters: ArrayLike | None, n: int) -> IntArray | None:
    """Cluster numbers [N]; None, NaN and empty names stand alone. None if no two posts share a cluster."""
    if clusters is None:
        return None
    given = np.asarray(clusters, dtype=object)
    if given.shape != (n,):
        raise ValueError(f"clusters must hold one name a score, got shape {given.shape} for {n} scores")
    alone = np.array(
        [name is None or name == "" or (isinstance(name, float) and math.isnan(name)) for name in given], dtype=bool
    )
    numbers = np.unique(np.array([str(name) for name in given]), return_inverse=True)[1].astype(np.int64)
    numbers[alone] = numbers.max(initial=0) + 1 + np.arange(int(alone.sum()))
    return numbers if len(np.unique(numbers)) < n else None


def weighting(scores: Scores, labels: Labels, weights: FloatArray, clusters: IntArray | None) -> Weighting:
    """Put the known labels in order, with their weights and clusters."""
    known: NDArray[np.int64] = np.flatnonzero(~np.isnan(labels))
    order = known[np.argsort(-scores[known], kind="stable")]
    grouped = None if clusters is None else clusters[order]
    relative = weights[order] / weights[order].max(initial=1e-300)  # the scale of the weights changes nothing
    return Weighting(scores[order], stakes_of(labels[order], relative, grouped), clusters is not None)


def search_by_betting(
    ranked: RankedLabels,
    weighted: Weighting,
    pilot: tuple[Scores, Labels] | None,
    *,
    target: float,
    delta: float,
    monotone_precision: bool = False,
    growing: bool = False,
) -> WeightedSearch:
    """Bet down the thresholds: those of the pilot's scores, or of golden ranks without one.

    Some thresholds are starts, each with a part of delta; a certified threshold hands what it was tested with on to
    the next one (the fallback procedure of Wiens 2003, valid whatever the truth is). With `monotone_precision` the
    furthest golden rank whose wealth reaches 1 / delta is taken, from one mixture of bets. With `growing` starts and
    bets rest on the pilot alone, so that the answers on a growing set hold together.
    """
    fewest = fewest_labels(target, delta)
    if pilot and not monotone_precision:
        thresholds = pilot_thresholds(pilot[0])
        ranks = n_at_or_above(weighted.scores, thresholds)
        counts = n_at_or_above(np.sort(pilot[0])[::-1], thresholds) if growing else ranks
        main = planned_place(
            thresholds, _sure_sizes(weighted.stakes, ranks, counts), pilot, target=target, delta=delta
        )
    else:
        first = 1 if monotone_precision else max(1, min(fewest, ranked.n_labelled))
        steps = grid_steps(ranked, first)
        thresholds = np.array([ranked.threshold(int(step)) for step in steps], np.float32)
        ranks = counts = ranked.n_flagged[steps]
        sizes = _sure_sizes(weighted.stakes, ranks, counts)
        main = int(np.argmax(sizes >= min(FIRST_IN_FEWEST * fewest, sizes.max()))) if len(sizes) else 0
    evidence = log_wealth(
        weighted.stakes,
        ranks,
        target=target,
        delta=delta,
        even_bets=growing,
        one_mixture=monotone_precision,
    )
    if monotone_precision:
        certified = evidence >= math.log(1 / delta)
        level = delta
    else:
        certified, level = fallback(evidence.__getitem__, shared_budget(counts, main, delta))
        certified &= thresholds >= (weighted.scores[-1] if len(weighted.scores) else np.inf)
    return WeightedSearch(
        thresholds=thresholds[certified],
        ranks=ranks[certified],
        start=max(fewest, int(ranks[main])) if len(ranks) else fewest,
        level=level,
        method=_method(is_growing=growing, has_pilot=bool(pilot), is_monotone=monotone_precision),
        is_fixed=bool(pilot) and not monotone_precision,
    )


def _method(*, is_growing: bool, has_pilot: bool, is_monotone: bool) -> str:
    if is_monotone:
        return said("method.bets.monotone")
    if is_growing:
        return said("method.bets.growing")
    return said("method.bets.pilot" if has_pilot else "method.bets.ranks")


def fallback(evidence: Callable[[int], float], spent: FloatArray) -> tuple[NDArray[np.bool_], float]:
    """Which thresholds are certified, and the level at which the last one was.

    Args:
        evidence: log wealth at a threshold's place; asked for those alone that may spend something.
        spent: [T], the part of delta that each threshold brings.
    """
    certified = np.zeros(len(spent), bool)
    level, carried = float(spent.sum()), 0.0
    for place, brought in enumerate(spent.tolist()):
        allowed = carried + brought
        certified[place] = allowed > 0 and evidence(place) >= -math.log(allowed)
        carried = allowed if certified[place] else 0.0
        level = allowed if certified[place] else level
    return certified, level


def shared_budget(ranks: IntArray, main: int, delta: float) -> FloatArray:
    """70 % of delta for the main start, the rest for up to four more, each twice as deep as the one before."""
    spent = np.zeros(len(ranks))
    if not len(ranks):
        return spent
    wanted = max(1, int(ranks[main])) * START_RATIO ** np.arange(1, MOST_STARTS + 1)
    further = np.unique(np.searchsorted(ranks, wanted[wanted <= ranks[-1]]))
    spent[further] = (1 - MAIN_SHARE) * delta / max(1, len(further))
    spent[main] += delta - spent.sum()
    return spent


def pilot_thresholds(pilot_scores: Scores) -> Scores:
    """Distinct scores of the pilot at ranks that grow by 2 %."""
    distinct = np.unique(pilot_scores)[::-1]
    ranks = [0]
    while ranks[-1] < len(distinct) - 1:
        ranks.append(min(len(distinct) - 1, ranks[-1] + 1 + ranks[-1] // 50))
    return distinct[ranks]


def n_at_or_above(falling_scores: Scores, thresholds: Scores) -> IntArray:
    """Scores that reach each threshold; both fall."""
    return np.searchsorted(-falling_scores, -thresholds, side="right").astype(np.int64)


def _sure_sizes(stakes: Stakes, ranks: IntArray, counts: IntArray) -> IntArray:
    """How many labels of the heaviest kind `counts` labels are worth at least, to plan with."""
    if not len(stakes.labels):
        return counts
    worth: IntArray = (counts * stakes.least / stakes.most[np.maximum(ranks, 1) - 1]).astype(np.int64)
    return worth


def planned_place(
    thresholds: Scores, counts: IntArray, pilot: tuple[Scores, Labels], *, target: float, delta: float
) -> int:
    """The first threshold at which a binomial test of that many labels would have power enough."""
    allowed = most_false_positives(counts, target, delta / 2)  # bets need more than a binomial test
    power = np.zeros(len(thresholds))
    order = np.argsort(-pilot[0], kind="stable")
    above = n_at_or_above(pilot[0][order], thresholds)
    all_right = np.append(0, np.cumsum(pilot[1][order] == 1))[above]
    all_wrong = np.append(0, np.cumsum(pilot[1][order] == 0))[above]
    for place, (right, wrong) in enumerate(zip(all_right.tolist(), all_wrong.tolist(), strict=True)):
        power[place] = beta_binomial_tail(int(allowed[place]), int(counts[place]), 0.5 + wrong, 0.5 + right)
    return int(np.argmax(power >= SHARE_OF_BEST_POWER * power.max()))
