"""What a label is worth, by where it is drawn: planned numbers of labels, and the power that the real test then has.

Run: python -m scripts.bench_designs [--draws 100]

Three known populations, a pilot of 4,000 labels. Labels are planned for 80 % power to keep 80 % of the best recall.
Fails where the real power of a plan is below 55 %, or where no floor needs fewer than half of the labels of all
traffic.
"""

import argparse
import sys

import numpy as np

from calibrate import choose_threshold
from calibrate.plan.power import Outlook, labels_above
from calibrate.plan.prospect import Floor, prospect_of
from calibrate.plan.strata import N_STRATA, labels_in_strata
from calibrate.probability import as_logits, fit_platt
from data.sampling import draw_sample
from scripts.bench_populations import Array, Population, beta_population

CLAIMS = [
    (beta_population("A", (4, 2), (1.5, 6), 0.2), 0.95, 0.05),
    (beta_population("B", (5, 1.5), (1, 8), 0.05), 0.9, 0.05),
    (beta_population("C", (2.5, 2), (1.5, 4), 0.2), 0.8, 0.1),
]
POOL, KEEP = 300_000, 0.8


def real_power(
    population: Population,
    pool: tuple[Array, Array],
    floor: Floor,
    labels: int,
    n_strata: int,
    claim: tuple[float, float],
    draws: int,
) -> float:
    """Share of draws from the pool in which `choose_threshold` certifies and keeps enough of the oracle's recall."""
    target, delta = claim
    scores, truth = pool[0].astype(np.float32), pool[1]
    eligible = np.ones(len(scores), bool) if floor.score is None else scores >= np.float32(floor.score)
    enough = KEEP * population.oracle_recall(target)
    successes = 0
    for seed in range(draws):
        sample = draw_sample(scores, eligible, size=labels, n_strata=n_strata, seed=seed)
        chances = np.array([part.inclusion_prob for part in sample.strata])[sample.stratum]
        point = choose_threshold(
            scores[sample.rows],
            truth[sample.rows],
            target_precision=target,
            confidence=1 - delta,
            inclusion_prob=chances,
        )
        if point.threshold is not None:
            successes += bool(population.recall_at(np.array(point.threshold)) >= enough)
    return successes / draws


def main() -> int:
    """Plan and check all designs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    draws = parser.parse_args().draws
    failures = []
    print(
        f"{'population':10} {'design':12} {'drawn above':>12} {'labels':>7} {'of all':>7} "
        f"{'planned':>8} {'real power':>10}"
    )
    for population, target, delta in CLAIMS:
        random = np.random.default_rng(0)
        pilot_scores, pilot_labels = (part[0] for part in population.draw(random, (1, 4000)))
        pool_scores, pool_labels = (part[0] for part in population.draw(random, (1, POOL)))
        pilot = pilot_scores.astype(np.float32), pilot_labels
        calibrator = fit_platt(as_logits(pilot[0], "probability"), pilot_labels)
        prospect = prospect_of(pilot[0], None, pilot, calibrator=calibrator, scale="probability")
        asked = {"target": target, "delta": delta, "power": 0.8, "keep_recall": KEEP}
        plans: list[tuple[str, Floor, int, Outlook | None]] = [
            ("random", floor, 1, labels_above(prospect, floor, **asked)) for floor in prospect.floors
        ]
        plans.append(("stratified", prospect.floors[0], N_STRATA, labels_in_strata(prospect, **asked)))
        everywhere = plans[0][3]
        shares = []
        for design, floor, n_strata, found in plans:
            if found is None:
                continue
            power = real_power(
                population, (pool_scores, pool_labels), floor, found.labels, n_strata, (target, delta), draws
            )
            share = found.labels / everywhere.labels if everywhere else float("nan")
            shares.append(share)
            where = "all" if floor.score is None else f"top {floor.share:.0%}"
            print(
                f"{population.name:10} {design:12} {where:>12} {found.labels:7,} {share:7.2f} "
                f"{found.power:8.2f} {power:10.2f}",
                flush=True,
            )
            if power < 0.55:
                failures.append(f"{population.name}, {design}, {where}: real power {power:.2f}")
        if not min(shares, default=1.0) < 0.5:
            failures.append(f"{population.name}: no floor needs fewer than half of the labels")
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
