"""The weighted curve: expectation by replication, agreement with the counted one, and bounds by simulation."""

import numpy as np
import pytest
from scipy import stats

from calibrate.bets.curve import weighted_precision_recall_curve
from calibrate.curve import precision_recall_curve


def test_a_post_of_weight_three_is_three_posts() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=60).round(1)
    labels = random.choice([0.0, 1.0, np.nan], size=60)
    labels[0] = 1
    times = random.integers(1, 4, 60)
    weighted = weighted_precision_recall_curve(scores, labels, inclusion_prob=1 / times, clusters=None)
    repeated = precision_recall_curve(np.repeat(scores, times), np.repeat(labels, times))
    assert weighted["threshold"].to_list() == repeated["threshold"].to_list()
    for column in ("precision", "recall"):
        assert weighted[column].to_list() == pytest.approx(repeated[column].to_list())
    assert weighted["n_flagged"][-1] == (~np.isnan(labels)).sum()


def test_nothing_known_and_nothing_violating() -> None:
    given = {"inclusion_prob": [0.5, 1], "clusters": None}
    assert weighted_precision_recall_curve([1, 2], [np.nan, np.nan], **given).is_empty()
    none = weighted_precision_recall_curve([1, 2], [0, 0], **given)
    assert none["recall"].null_count() == 2
    assert none["precision"].to_list() == [0.0, 0.0]


def test_the_band_holds_at_all_thresholds_together() -> None:
    """Scores uniform, precision of what scores at least t is (1 + t) / 2; 30 draws at 90 %."""
    random = np.random.default_rng(1)
    pilot = random.random(500)
    violations = 0
    for _ in range(30):
        scores = random.random(2000)
        chance = np.where(scores > 0.8, 1.0, np.where(scores > 0.5, 0.3, 0.1))
        taken = random.random(2000) < chance
        scores, chance = scores[taken], chance[taken]
        labels = (random.random(len(scores)) < scores).astype(float)
        curve = weighted_precision_recall_curve(
            scores, labels, inclusion_prob=chance, clusters=None, confidence=0.9, pilot_scores=pilot
        )
        truth = (1 + curve["threshold"].to_numpy()) / 2
        band = curve["precision_lower_band"].to_numpy()
        violations += bool((band > truth + 1e-6).any())
        middle = np.searchsorted(-curve["threshold"].to_numpy(), -0.5)
        assert band[middle] > 0.45  # it says something, too
    assert violations <= stats.binom.ppf(0.999, 30, 0.1)
