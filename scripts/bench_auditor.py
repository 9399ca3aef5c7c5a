"""Cases of bench_guarantee with an auditor: a coin, one that is always wrong, one that follows the score."""

from typing import Any, Literal

import numpy as np

from calibrate import choose_threshold
from scripts.bench_draws import Tally
from scripts.bench_populations import Array, Population, hard_populations

ITEMS, LABELLED = 2000, 300
TARGET, DELTA = 0.9, 0.1
FEWER = 5  # draws of the other cases: one for so many of the coin's

Auditor = Literal["coin", "wrong", "right", "follows the score"]


def auditor_cases(tally: Tally, draws: int) -> None:
    """Violations where people label 300 of 2,000 items and an auditor speaks of all; the coin in all draws."""
    random = np.random.default_rng(7)
    at_target, _, slowly, *_ = hard_populations(TARGET)
    cases: list[tuple[Auditor, Population, int]] = [
        ("coin", at_target, draws),
        ("wrong", at_target, draws // FEWER),
        ("right", at_target, draws // FEWER),
        ("follows the score", slowly, draws // FEWER),
    ]
    for auditor, population, wanted in cases:
        n_draws = max(20, wanted)
        pilot = dict(zip(("pilot_scores", "pilot_labels"), _draw(random, population, 600), strict=True))
        violations = sum(_violates(random, population, auditor, pilot) for _ in range(n_draws))
        tally.add(f"auditor: {auditor}; {population.name}", violations, n_draws, DELTA)


def _verdicts(auditor: Auditor, random: np.random.Generator, scores: Array, labels: Array) -> Array:
    if auditor == "coin":
        return random.integers(0, 2, len(labels)).astype(np.float64)
    return {"wrong": 1 - labels, "right": labels, "follows the score": scores}[auditor]


def _draw(random: np.random.Generator, population: Population, n: int) -> tuple[Array, Array]:
    scores, labels = population.draw(random, (1, n))
    return scores[0], labels[0]


def _violates(random: np.random.Generator, population: Population, auditor: Auditor, pilot: dict[str, Any]) -> bool:
    scores, labels = _draw(random, population, ITEMS)
    asked = np.full(ITEMS, np.nan)
    sent = random.permutation(ITEMS)[:LABELLED]
    asked[sent] = labels[sent]
    point = choose_threshold(
        scores,
        asked,
        target_precision=TARGET,
        confidence=1 - DELTA,
        auditor=_verdicts(auditor, random, scores, labels),
        **pilot,
    )
    return point.threshold is not None and bool(population.precision_at(np.array(point.threshold)) < TARGET - 1e-4)
