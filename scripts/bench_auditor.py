"""Cases of bench_guarantee with evidence beside the golden labels: an auditor's verdicts, a recent sample."""

from functools import cache
from typing import Any

import numpy as np

from calibrate import choose_threshold
from calibrate.prior_shift import choose_threshold_after_shift
from scripts.bench_cases import JUST_BELOW, QUESTION, TARGET, Case, run_cases
from scripts.bench_draws import Tally
from scripts.bench_populations import Array, Population, hard_populations

ITEMS, LABELLED, PILOT, RECENT = 2000, 300, 600, 5000
AT_TARGET, SLOWLY = 0, 2  # of hard_populations


@cache
def _world(which: int) -> tuple[Population, dict[str, Any]]:
    """A population, and a pilot that all draws share."""
    population = hard_populations(TARGET)[which]
    return population, dict(zip(("pilot_scores", "pilot_labels"), _draw(population, PILOT), strict=True))


def _draw(population: Population, n: int, random: np.random.Generator | None = None) -> tuple[Array, Array]:
    scores, labels = population.draw(random or np.random.default_rng(1), (1, n))
    return scores[0], labels[0]


def coin(random: np.random.Generator) -> bool:
    """An auditor no better than a coin, where precision sits at the target and then falls."""
    _, labels = sample = _draw(_world(AT_TARGET)[0], ITEMS, random)
    return _violates(random, AT_TARGET, sample, random.integers(0, 2, len(labels)).astype(np.float64))


def always_wrong(random: np.random.Generator) -> bool:
    """An auditor who says the opposite of what people would."""
    _, labels = sample = _draw(_world(AT_TARGET)[0], ITEMS, random)
    return _violates(random, AT_TARGET, sample, 1 - labels)


def always_right(random: np.random.Generator) -> bool:
    """An auditor who knows."""
    _, labels = sample = _draw(_world(AT_TARGET)[0], ITEMS, random)
    return _violates(random, AT_TARGET, sample, labels)


def follows_the_score(random: np.random.Generator) -> bool:
    """An auditor who repeats the classifier, where precision falls slowly through the target."""
    scores, _ = sample = _draw(_world(SLOWLY)[0], ITEMS, random)
    return _violates(random, SLOWLY, sample, scores)


def shift_estimated(random: np.random.Generator) -> bool:
    """Precision just below the target after the odds of violating have halved, estimated from a recent sample."""
    odds = 2 * JUST_BELOW / (1 - JUST_BELOW)
    labels, recent = random.random(600) < odds / (1 + odds), random.random(RECENT) < JUST_BELOW
    return choose_threshold_after_shift(random.random(600), labels, recent, **QUESTION).status == "certified"


AUDITOR_CASES: dict[str, Case] = {
    "an auditor no better than a coin, at the target": coin,
    "an auditor who is always wrong, at the target": always_wrong,
    "an auditor who is always right, at the target": always_right,
    "an auditor who follows the score, slowly through the target": follows_the_score,
    "prior shift by 2, estimated": shift_estimated,
}


def auditor_cases(tally: Tally, draws: int) -> None:
    """Run each case `draws` times on all cores."""
    run_cases(tally, AUDITOR_CASES, draws)


def _violates(random: np.random.Generator, which: int, sample: tuple[Array, Array], verdicts: Array) -> bool:
    """People label 300 of 2,000 items, the auditor speaks of all."""
    population, pilot = _world(which)
    scores, labels = sample
    asked = np.full(ITEMS, np.nan)
    sent = random.permutation(ITEMS)[:LABELLED]
    asked[sent] = labels[sent]
    point = choose_threshold(scores, asked, auditor=verdicts, **QUESTION, **pilot)
    return point.threshold is not None and bool(population.precision_at(np.array(point.threshold)) < TARGET - 1e-4)
