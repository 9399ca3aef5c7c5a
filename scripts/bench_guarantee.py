"""Do certified thresholds hold, and how much recall do they keep? Prints a table; exits 1 if a claim fails.

Run: python -m scripts.bench_guarantee [--draws 5000]

Validity: violations against the analytic truth, one-sided exact test at 1 % over all cases together (Bonferroni).
Power: mean recall as a share of the oracle's, at least the reference less three standard errors. The empirical
threshold, the deepest whose precision in the sample meets the target, stands beside both.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from scripts.bench_cases import CASES, run_cases
from scripts.bench_draws import CHUNK, Tally, empirical, outcomes, scan, sorted_draws
from scripts.bench_populations import Population, beta_population, hard_populations
from scripts.bench_power import power, stratified_power
from scripts.bench_real import real_scores

MODERATION_MINI = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "moderation-mini"
MAKES = ("split", "train", "export", "score")


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


def main() -> int:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--root", type=Path, default=Path("outputs/moderation_mini"), help="holds scores and split")
    parser.add_argument("--data", type=Path, default=MODERATION_MINI)
    options = parser.parse_args()
    if not (options.root / "scores").is_dir():
        print(
            f"{options.root}: no scores; make them with `setpoint VERB experiment=moderation_mini`: {' '.join(MAKES)}"
        )
        return 2
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
    run_cases(tally, CASES, options.draws)
    if naive < 0.2:
        tally.failures.append(f"the empirical threshold violates in {naive:.2f} of draws only: too easy a bench")
    real_scores(tally, max(20, options.draws // 25), options.root, options.data)
    tally.judge()
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
