"""Cases of bench_guarantee that need a call of the library a draw: weights, clusters, growing sets, corrections.

A case is a function of a random generator that says whether its draw violates. Draws are spread over the cores, each
chunk of them with a seed of its own: the same number of draws gives the same result on any machine.
"""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from calibrate import choose_recall_threshold, choose_threshold
from calibrate.corrections import Corrections
from calibrate.operating_point import OperatingPoint
from calibrate.slice_tests import at_threshold, examine_slices
from calibrate.slices import slice_labels
from scripts.bench_draws import Tally, scan
from scripts.bench_populations import Array, Population, curve_population, hard_populations, rising_again

TARGET, DELTA = 0.9, 0.1
QUESTION: dict[str, Any] = {"target_precision": TARGET, "confidence": 1 - DELTA}
JUST_BELOW = TARGET - 0.002
CHUNKS = 50
Case = Callable[[np.random.Generator], bool]


@dataclass(frozen=True)
class _World:
    """Populations, and for each one pilot that all its draws share."""

    populations: dict[str, Population]
    pilots: dict[str, dict[str, Any]]


@cache
def _world() -> _World:
    step = hard_populations(TARGET)[0]
    rising = rising_again(TARGET)
    dipping = curve_population(
        "dips", lambda z: np.select([z > 0.85, z > 0.6, z > 0.35], [1.0, TARGET - 0.25, 1.0], 0.3)
    )
    below = curve_population("just below the target", lambda z: np.full_like(z, JUST_BELOW))
    populations = {"step": step, "rising": rising, "dipping": dipping, "below": below}
    random = np.random.default_rng(1)
    pilots = {}
    for name, population in populations.items():
        scores, labels = population.draw(random, (1, 1000))
        pilots[name] = {"pilot_scores": scores[0], "pilot_labels": labels[0]}
    return _World(populations, pilots)


def _sample(random: np.random.Generator, name: str, n: int) -> tuple[Array, Array]:
    scores, labels = _world().populations[name].draw(random, (1, n))
    return scores[0], labels[0]


def _violates(point: OperatingPoint, name: str) -> bool:
    if point.threshold is None:
        return False
    return bool(_world().populations[name].precision_at(np.array(point.threshold)) < TARGET - 1e-4)


def _weighted(random: np.random.Generator, name: str) -> bool:
    scores, labels = _sample(random, name, 6000)
    chance = np.where(scores > 0.9, 1.0, np.where(scores > 0.5, 0.2, 0.01))
    taken = random.random(6000) < chance
    pilot = _world().pilots[name]
    return _violates(
        choose_threshold(scores[taken], labels[taken], inclusion_prob=chance[taken], **QUESTION, **pilot), name
    )


def weighted_below(random: np.random.Generator) -> bool:
    """Inclusion probabilities over 1:100, precision just below the target everywhere."""
    return _weighted(random, "below")


def weighted_rising(random: np.random.Generator) -> bool:
    """The same, precision below the target at the top and above it further down."""
    return _weighted(random, "rising")


def rare_heavy_posts(random: np.random.Generator) -> bool:
    """Right posts on top, all drawn; below them posts that weigh a hundred times as much and are mostly wrong."""
    n, n_top = 20_000, 400
    top = np.arange(n) < n_top
    labels = np.where(top, True, random.random(n) < 0.05)
    chance = np.where(top, 1.0, 0.01)
    taken = random.random(n) < chance
    pilot_scores = n * random.random(1000)
    point = choose_threshold(
        -np.flatnonzero(taken),
        labels[taken],
        inclusion_prob=chance[taken],
        pilot_scores=-pilot_scores,
        pilot_labels=np.where(pilot_scores < n_top, True, random.random(1000) < 0.05),
        **QUESTION,
    )
    flagged = 0 if point.threshold is None else int(-point.threshold) + 1
    return flagged > 0 and float(np.where(top, 1.0, 0.05)[:flagged].mean()) < TARGET - 1e-4


def weighted_recall(random: np.random.Generator) -> bool:
    """A recall band from labels with unequal inclusion probabilities."""
    scores, labels = _sample(random, "step", 3000)
    chance = np.where(scores > 0.5, 1.0, 0.1)
    taken = random.random(3000) < chance
    point = choose_recall_threshold(
        scores[taken], labels[taken], target_recall=0.9, confidence=1 - DELTA, inclusion_prob=chance[taken]
    )
    population = _world().populations["step"]
    return point.threshold is not None and bool(population.recall_at(np.array(point.threshold)) < 0.9 - 1e-4)


def clustered(random: np.random.Generator) -> bool:
    """Clusters of five duplicates, precision just below the target."""
    scores, labels = _sample(random, "below", 150)
    point = choose_threshold(
        np.repeat(scores, 5) - np.tile(np.arange(5) * 1e-6, 150),
        np.repeat(labels, 5),
        clusters=np.repeat(np.arange(150), 5),
        **QUESTION,
        **_world().pilots["below"],
    )
    return _violates(point, "below")


def growing(random: np.random.Generator) -> bool:
    """Twenty looks at a growing set, any of them wrong; precision just below the target."""
    scores, labels = _sample(random, "below", 2000)
    pilot = _world().pilots["below"]
    looks = range(100, 2001, 100)
    return any(
        _violates(choose_threshold(scores[:n], labels[:n], growing=True, **QUESTION, **pilot), "below") for n in looks
    )


def dipping_betting(random: np.random.Generator) -> bool:
    """Equal weights by betting on a pilot's thresholds: no shape of the curve is assumed."""
    scores, labels = _sample(random, "dipping", 1000)
    pilot = _world().pilots["dipping"]
    return _violates(choose_threshold(scores, labels, method="betting", **QUESTION, **pilot), "dipping")


def dipping_scan(random: np.random.Generator) -> bool:
    """The scan on the same curve, which breaks its assumption."""
    scores, labels = _sample(random, "dipping", 1000)
    return _violates(choose_threshold(scores, labels, **QUESTION), "dipping")


def planned(random: np.random.Generator) -> bool:
    """A scan planned on a pilot, precision exactly at the target."""
    scores, labels = _sample(random, "step", 1000)
    return _violates(choose_threshold(scores, labels, **QUESTION, **_world().pilots["step"]), "step")


def walked(random: np.random.Generator) -> bool:
    """The fixed-sequence walk, precision exactly at the target."""
    scores, labels = _sample(random, "step", 1000)
    return _violates(choose_threshold(scores, labels, method="walk", **QUESTION), "step")


def eight_bits(random: np.random.Generator) -> bool:
    """Scores of 8 bits, so that ties are everywhere; precision exactly at the target."""
    scores, labels = _sample(random, "step", 1000)
    point = choose_threshold(np.floor(scores * 256) / 256, labels, **QUESTION)
    if point.threshold is None:
        return False
    reached = np.ceil(point.threshold * 256 - 1e-6) / 256
    return bool(_world().populations["step"].precision_at(reached) < TARGET - 1e-4)


def annotators_err(random: np.random.Generator) -> bool:
    """Precision just below the target, a fifth of other posts labelled violating, corrected for."""
    labels = (random.random(600) < JUST_BELOW) | (random.random(600) < 0.2)
    corrected = Corrections(false_positive_rate=0.2)
    return choose_threshold(random.random(600), labels, corrections=corrected, **QUESTION).status == "certified"


def prior_shifted(random: np.random.Generator) -> bool:
    """Precision just below the target after the odds of violating have halved, corrected for."""
    odds = 2 * JUST_BELOW / (1 - JUST_BELOW)
    labels = random.random(600) < odds / (1 + odds)
    corrected = Corrections(prior_odds_ratio=0.5)
    return choose_threshold(random.random(600), labels, corrections=corrected, **QUESTION).status == "certified"


def twenty_slices(random: np.random.Generator) -> bool:
    """Twenty slices just below the target, any of them certified."""
    scores, labels = random.random(3000).astype(np.float32), random.random(3000) < JUST_BELOW
    markets = {str(market): np.arange(market, 3000, 20) for market in range(20)}
    slices = slice_labels(scores, labels.astype(np.float32), markets)
    tests = examine_slices(slices, by="market", target=TARGET, tested_target=TARGET, delta=DELTA, min_flagged=30)
    return any(part.status == "certified" for part in at_threshold(tests, {"market": slices}, 0.2))


def fifty_policies(random: np.random.Generator) -> bool:
    """Fifty policies just below the target that share delta, any of them certified."""
    wrong = np.cumsum(random.random((50, 2000)) >= JUST_BELOW, axis=1).astype(np.float64)
    return bool(scan(wrong, TARGET, DELTA / 50).any())


CASES: dict[str, Case] = {
    "weights over 1:100, betting, just below the target": weighted_below,
    "weights over 1:100, betting, precision rises again": weighted_rising,
    "rare heavy posts that a sample may lack, betting": rare_heavy_posts,
    "recall from weights over 1:10": weighted_recall,
    "clusters of 5 duplicates, betting, just below the target": clustered,
    "20 looks at a growing set, betting, just below the target": growing,
    "a curve that dips, betting": dipping_betting,
    "a curve that dips, scan, whose assumption it breaks": dipping_scan,
    "scan planned on a pilot, at the target": planned,
    "fixed-sequence walk, at the target": walked,
    "8-bit scores, at the target": eight_bits,
    "annotator error .2, corrected": annotators_err,
    "prior shift by 2, corrected": prior_shifted,
    "20 slices just below the target, shared": twenty_slices,
    "50 policies just below the target, budget shared": fifty_policies,
}


def run_cases(tally: Tally, cases: dict[str, Case], draws: int, *, delta: float = DELTA) -> None:
    """Run each case `draws` times on all cores."""
    sizes = np.diff(np.linspace(0, draws, CHUNKS + 1).astype(int)).tolist()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, case in cases.items():
            counts = pool.map(_count, [case] * CHUNKS, range(CHUNKS), sizes)
            tally.add(name, sum(counts), draws, delta)


def _count(case: Case, seed: int, draws: int) -> int:
    random = np.random.default_rng([seed, draws])
    return sum(case(random) for _ in range(draws))
