"""The benchmark measures the product: its vectorised scan decides as choose_threshold, its truths are true."""

import numpy as np
import pytest

from calibrate import choose_threshold
from scripts.bench_auditor import AUDITOR_CASES
from scripts.bench_draws import Tally, empirical, outcomes, scan, sorted_draws
from scripts.bench_populations import beta_population, hard_populations, rising_again


def test_the_vectorised_scan_decides_as_the_product() -> None:
    population = beta_population("A", (4, 2), (1.5, 6), 0.2, label_errors=0.05)
    thresholds, _ = sorted_draws(population, 900, 15, np.random.default_rng(0))
    _, wrong = sorted_draws(population, 900, 15, np.random.default_rng(0))
    scores, labels = population.draw(np.random.default_rng(0), (15, 900))
    chosen = scan(wrong, 0.9, 0.1)
    assert (chosen > 0).sum() > 0
    for row in range(15):
        point = choose_threshold(scores[row], labels[row], target_precision=0.9, confidence=0.9)
        assert point.n_flagged_labelled == chosen[row]
        if chosen[row]:
            assert point.threshold == pytest.approx(thresholds[row, chosen[row] - 1], abs=1e-6)


@pytest.mark.parametrize(
    "population",
    [beta_population("B", (5, 1.5), (1, 8), 0.05, label_errors=0.2), *hard_populations(0.9), rising_again(0.9)],
    ids=lambda population: population.name,
)
def test_truths_agree_with_a_large_sample(population) -> None:
    scores, labels = (part[0] for part in population.draw(np.random.default_rng(1), (1, 400_000)))
    for threshold in (0.2, 0.5, 0.95):
        flagged = scores >= threshold
        if flagged.sum() > 1000:
            assert population.precision_at(threshold) == pytest.approx(labels[flagged].mean(), abs=0.04)
        if labels.any():
            assert population.recall_at(threshold) == pytest.approx(labels[flagged].sum() / labels.sum(), abs=0.02)


def test_too_many_violations_fail_the_benchmark() -> None:
    tally = Tally()
    tally.add("sound", 5, 100, 0.05)
    tally.add("unsound", 30, 100, 0.05)
    tally.judge()
    assert [failure.split(":")[0] for failure in tally.failures] == ["unsound"]
    population = hard_populations(0.9)[1]
    thresholds, wrong = sorted_draws(population, 500, 50, np.random.default_rng(2))
    assert outcomes(population, thresholds, empirical(wrong, 0.9), 0.9)[0].mean() > 0.5


def test_no_case_beside_the_labels_violates_too_often() -> None:
    for name, case in AUDITOR_CASES.items():
        random = np.random.default_rng(5)
        assert sum(case(random) for _ in range(10)) <= 4, name  # of Bin(10, 0.1): above in 0.2 %
