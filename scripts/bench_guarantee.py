"""Do certified thresholds hold, and how much recall do they keep? Prints a table; exits 1 if a claim fails.

Run: python -m scripts.bench_guarantee [--draws 5000]

Validity: violations against the analytic truth, one-sided exact test at 1 % over all cases together (Bonferroni).
Power: mean recall as a share of the oracle's, at least the reference less three standard errors. The empirical
threshold, the deepest whose precision in the sample meets the target, stands beside both.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from calibrate import choose_threshold
from calibrate.corrections import Corrections
from calibrate.operating_point import OperatingPoint
from scripts.bench_draws import CHUNK, Tally, empirical, outcomes, scan, sorted_draws
from scripts.bench_populations import (
    Array,
    Population,
    beta_population,
    curve_population,
    hard_populations,
    rising_again,
)
from scripts.bench_power import power, stratified_power

FEWER = 10  # draws of cases that are not vectorised: one for so many


def grid_cases(tally: Tally, population: Population, n: int, claims: list[tuple[float, float]], draws: int) -> None:
    """One population and size, all targets and deltas on the same draws."""
    random = np.random.default_rng(n)
    counts = np.zeros((len(claims), 2), np.int64)
    left = draws
    while left:
        batch = min(left, max(1, CHUNK // n))
        left -= batch
        thresholds, wrong = sorted_draws(population, n, batch, random)
        for place, (target, delta) in enumerate(claims):
            for column, chosen in enumerate((scan(wrong, target, delta), empirical(wrong, target))):
                counts[place, column] += outcomes(population, thresholds, chosen, target)[0].sum()
    for (target, delta), (violations, naive) in zip(claims, counts.tolist(), strict=True):
        tally.add(f"{population.name}, target {target}, {n:,} labels", violations, draws, delta, naive / draws)


def single_cases(tally: Tally, draws: int) -> None:
    """What needs a call of `choose_threshold` a draw: weights, clusters, ties, growing sets, corrections."""
    random = np.random.default_rng(1)
    target, delta = 0.9, 0.1
    question: dict[str, Any] = {"target_precision": target, "confidence": 1 - delta}
    rising, step = rising_again(target), hard_populations(target)[0]

    def sample(population: Population, n: int) -> tuple[Array, Array]:
        scores, labels = population.draw(random, (1, n))
        return scores[0], labels[0]

    def violates(point: OperatingPoint, population: Population) -> bool:
        if point.threshold is None:
            return False
        return bool(population.precision_at(np.array(point.threshold)) < target - 1e-4)

    pilots: dict[str, dict[str, Any]] = {
        p.name: dict(zip(("pilot_scores", "pilot_labels"), sample(p, 1000), strict=True)) for p in (rising, step)
    }

    def weighted(population: Population) -> bool:
        scores, labels = sample(population, 6000)
        chance = np.where(scores > 0.9, 1.0, np.where(scores > 0.5, 0.2, 0.01))
        taken = random.random(6000) < chance
        point = choose_threshold(
            scores[taken], labels[taken], inclusion_prob=chance[taken], **question, **pilots[population.name]
        )
        return violates(point, population)

    def clustered() -> bool:
        scores, labels = sample(step, 150)
        point = choose_threshold(
            np.repeat(scores, 5) - np.tile(np.arange(5) * 1e-6, 150),
            np.repeat(labels, 5),
            clusters=np.repeat(np.arange(150), 5),
            **question,
            **pilots[step.name],
        )
        return violates(point, step)

    def growing() -> bool:
        scores, labels = sample(rising, 2000)
        return any(
            violates(
                choose_threshold(scores[:n], labels[:n], growing=True, **question, **pilots[rising.name]), rising
            )
            for n in range(100, 2001, 100)
        )

    def planned() -> bool:
        scores, labels = sample(step, 1000)
        return violates(choose_threshold(scores, labels, **question, **pilots[step.name]), step)

    def eight_bits() -> bool:
        scores, labels = sample(step, 1000)
        point = choose_threshold(np.floor(scores * 256) / 256, labels, **question)
        if point.threshold is None:
            return False
        reached = np.ceil(point.threshold * 256 - 1e-6) / 256
        return bool(step.precision_at(reached) < target - 1e-4)

    def annotators_err() -> bool:
        labels = (random.random(600) < target - 0.002) | (random.random(600) < 0.2)
        corrected = Corrections(false_positive_rate=0.2)
        return choose_threshold(random.random(600), labels, corrections=corrected, **question).status == "certified"

    def prior_shifted() -> bool:
        odds = 2 * (target - 0.002) / (1 - target + 0.002)
        labels = random.random(600) < odds / (1 + odds)
        corrected = Corrections(prior_odds_ratio=0.5)
        return choose_threshold(random.random(600), labels, corrections=corrected, **question).status == "certified"

    cases: list[tuple[str, Callable[[], bool], int]] = [
        ("weights over 1:100, betting, precision rises again", lambda: weighted(rising), 1),
        ("weights over 1:100, betting, at the target", lambda: weighted(step), 1),
        ("clusters of 5 duplicates, betting", clustered, 1),
        ("20 looks at a growing set, betting, precision rises again", growing, 5),
        ("scan planned on a pilot, at the target", planned, 1),
        ("8-bit scores, at the target", eight_bits, 1),
        ("annotator error .2, corrected", annotators_err, 1),
        ("prior shift by 2, corrected", prior_shifted, 1),
    ]
    for name, case, cost in cases:
        n_draws = max(20, draws // FEWER // cost)
        tally.add(name, sum(case() for _ in range(n_draws)), n_draws, delta)


def fifty_policies(tally: Tally, draws: int) -> None:
    """Fifty policies just below the target that share delta: any certificate is wrong."""
    population = curve_population("50 policies, shared", lambda z: np.full_like(z, 0.899))
    random = np.random.default_rng(3)
    violations, sets = 0, max(10, draws // 50)
    for _ in range(sets):
        thresholds, wrong = sorted_draws(population, 2000, 50, random)
        violations += bool(outcomes(population, thresholds, scan(wrong, 0.9, 0.1 / 50), 0.9)[0].any())
    tally.add("50 policies just below the target, budget shared", violations, sets, 0.1)


def main() -> int:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5000)
    options = parser.parse_args()
    began, tally = time.perf_counter(), Tally()
    print(f"{'validity: share of draws that violate':66} {'draws':>6} {'delta':>5} {'certified':>9} {'empirical':>9}")
    claims = [(target, delta) for target in (0.8, 0.9, 0.95, 0.99) for delta in (0.05, 0.1)]
    for prevalence in (0.2, 0.05, 0.01):
        for n in (500, 2000, 10_000):
            population = beta_population(f"beta, prevalence {prevalence:.0%}", (4, 2), (1.5, 6), prevalence)
            grid_cases(tally, population, n, claims, options.draws)
    naive = np.mean([row[4] for row in tally.rows])
    for target, delta in ((0.9, 0.1), (0.95, 0.05)):
        for population in hard_populations(target):
            grid_cases(tally, population, 1000, [(target, delta)], options.draws)
    errors = beta_population("10 % label errors on top", (4, 2), (1.5, 6), 0.2, label_errors=0.1)
    grid_cases(tally, errors, 2000, [(0.95, 0.05), (0.9, 0.1)], options.draws)
    fifty_policies(tally, options.draws)
    single_cases(tally, options.draws)
    tally.judge()
    if naive < 0.2:
        tally.failures.append(f"the empirical threshold violates in {naive:.2f} of draws only: too easy a bench")
    power(tally, options.draws)
    stratified_power(tally, options.draws)
    print(
        f"\n{len(tally.rows)} validity cases, {time.perf_counter() - began:.0f} s; the empirical threshold violates "
        f"in {naive:.2f} of the beta cases' draws"
    )
    for failure in tally.failures:
        print(f"FAILED {failure}")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
