"""The second half of bench_guarantee: recall as a share of the oracle's."""

import numpy as np

from calibrate import choose_threshold
from scripts.bench_draws import CHUNK, Tally, empirical, outcomes, scan, sorted_draws
from scripts.bench_peers import MAPIE_MODES, has_mapie, mapie_threshold
from scripts.bench_populations import beta_population

# Mean recall over the oracle's, of a walk from twice N_min: 2,000 and 10,000 labels.
REFERENCE = {"A": (0.75, 0.92), "B": (0.95, 0.98), "C": (0.57, 0.86)}


def power(tally: Tally, draws: int) -> None:
    """Recall over the oracle's, default and empirical, with violations of each."""
    populations = [
        (beta_population("A", (4, 2), (1.5, 6), 0.2), 0.95, 0.05),
        (beta_population("B", (5, 1.5), (1, 8), 0.05), 0.9, 0.05),
        (beta_population("C", (2.5, 2), (1.5, 4), 0.2), 0.8, 0.1),
        (beta_population("A, 4 % label errors on top", (4, 2), (1.5, 6), 0.2, label_errors=0.04), 0.95, 0.05),
        (beta_population("A, 10 % label errors on top", (4, 2), (1.5, 6), 0.2, label_errors=0.1), 0.95, 0.05),
    ]
    heads = f"{'labels':>7} {'scan':>7} {'pilot':>7} {'reference':>9} {'empirical':>14}"
    print(f"\n{'power: recall over the oracle':40} {heads}")
    for population, target, delta in populations:
        oracle = population.oracle_recall(target)
        for place, n in enumerate((2000, 10_000)):
            random = np.random.default_rng(n)
            recalls, naive = [], []
            for _ in range(max(1, draws * n // CHUNK)):
                batch = max(1, min(draws, CHUNK // n))
                thresholds, wrong = sorted_draws(population, n, batch, random)
                recalls.append(outcomes(population, thresholds, scan(wrong, target, delta), target)[1] / oracle)
                naive.append(outcomes(population, thresholds, empirical(wrong, target), target)[0])
            shares = np.concatenate(recalls)
            piloted: list[float] = []
            peers: dict[str, list[float]] = {mode: [] for mode in MAPIE_MODES} if has_mapie() else {}
            for _ in range(max(20, draws // 50)):
                (scores, labels), (pilot_scores, pilot_labels) = (
                    tuple(part[0] for part in population.draw(random, (1, size))) for size in (n, 2000)
                )
                point = choose_threshold(
                    scores,
                    labels,
                    target_precision=target,
                    confidence=1 - delta,
                    pilot_scores=pilot_scores,
                    pilot_labels=pilot_labels,
                )
                found = 0.0 if point.threshold is None else population.recall_at(np.array(point.threshold))
                piloted.append(float(found) / oracle)
                for mode, found_by_peer in peers.items():
                    threshold = mapie_threshold(scores, labels, target=target, delta=delta, mode=mode)
                    caught = 0.0 if threshold is None else float(population.recall_at(np.array(threshold)))
                    found_by_peer.append(caught / oracle)
            asked = REFERENCE.get(population.name, (np.nan, np.nan))[place]
            error = 3 * shares.std() / np.sqrt(len(shares))
            if shares.mean() + error < asked - 0.005:
                tally.failures.append(f"power {population.name}, {n}: {shares.mean():.3f}, reference {asked}")
            for mode, found_by_peer in peers.items():
                if np.mean(found_by_peer) > shares.mean() + error:
                    tally.failures.append(f"power {population.name}, {n}: MAPIE {mode} {np.mean(found_by_peer):.3f}")
            beside = "".join(f", MAPIE {mode} {np.mean(each):.3f}" for mode, each in peers.items())
            print(
                f"{population.name:40} {n:7,} {shares.mean():7.3f} {np.mean(piloted):7.3f} "
                f"{'' if np.isnan(asked) else asked:>9} {np.concatenate(naive).mean():6.2f} violate{beside}",
                flush=True,
            )


def stratified_power(tally: Tally, draws: int) -> None:
    """2,000 labels stratified by the scores of a pilot, with betting: what a better design is worth."""
    random = np.random.default_rng(5)
    drawn = np.array([100, 200, 500, 600, 600])
    for name, positive, negative, prevalence, target, reference in (
        ("A", (4, 2), (1.5, 6), 0.2, 0.95, 0.80),
        ("B", (5, 1.5), (1, 8), 0.05, 0.9, 0.97),
    ):
        population = beta_population(name, positive, negative, prevalence)
        pilot_scores, pilot_labels = (part[0] for part in population.draw(random, (1, 2000)))
        edges = np.quantile(pilot_scores, [0.5, 0.8, 0.9, 0.95])
        shares = []
        for _ in range(max(20, draws // 50)):
            scores, labels = (part[0] for part in population.draw(random, (1, 60_000)))
            stratum = np.searchsorted(edges, scores)
            chance = np.minimum(1, drawn / np.bincount(stratum, minlength=5))[stratum]
            taken = random.random(len(scores)) < chance
            point = choose_threshold(
                scores[taken],
                labels[taken],
                target_precision=target,
                inclusion_prob=chance[taken],
                pilot_scores=pilot_scores,
                pilot_labels=pilot_labels,
            )
            found = 0.0 if point.threshold is None else float(population.recall_at(np.array(point.threshold)))
            shares.append(found / population.oracle_recall(target))
        error = 3 * float(np.std(shares)) / np.sqrt(len(shares))
        if np.mean(shares) + error < reference - 0.005:
            tally.failures.append(f"power {name}, stratified: {np.mean(shares):.3f}, reference {reference}")
        print(f"{name + ', stratified by score, betting':40} {2000:7,} {'':7} {np.mean(shares):7.3f} {reference:9}")
