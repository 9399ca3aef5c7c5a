"""Bets: expectation by enumeration, validity by simulation (also where precision rises again), and laws.

Validity tests ask that violations stay below the 0.999 quantile of Bin(draws, delta); seeds are fixed.
"""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit

from calibrate import choose_threshold
from calibrate.bets.betting import log_wealth, stakes_of
from calibrate.bets.weighted import checked_clusters

TARGET, DELTA, DRAWS = 0.9, 0.1, 80
MOST_VIOLATIONS = int(stats.binom.ppf(0.999, DRAWS, DELTA))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0.01, 1), min_size=6, max_size=6),
    st.floats(0.1, 0.95),
    st.booleans(),
    st.booleans(),
)
def test_wealth_is_one_in_expectation_at_the_target(weights, target: float, even: bool, one: bool) -> None:
    labels = np.array(list(product([0.0, 1.0], repeat=6)))
    chance = np.prod(np.where(labels == 1, target, 1 - target), axis=1)
    ranks = np.array([1, 4, 6])
    wealth = np.exp(
        [
            log_wealth(
                stakes_of(row, np.array(weights), None),
                ranks,
                target=target,
                delta=0.1,
                even_bets=even,
                one_mixture=one,
            )
            for row in labels
        ]
    )
    if one:  # some bets are given up on the way
        assert (chance @ wealth <= 1 + 1e-9).all()
    else:
        assert chance @ wealth == pytest.approx(np.ones(3), abs=1e-9)


def test_a_cluster_is_one_bet() -> None:
    """Four clusters of three equal labels: the expectation is 1 although posts depend on one another."""
    labels = np.array(list(product([0.0, 1.0], repeat=4)))
    chance = np.prod(np.where(labels == 1, 0.8, 0.2), axis=1)
    clusters = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3])
    wealth = [
        np.exp(
            log_wealth(stakes_of(np.tile(row, 3), np.ones(12), clusters), np.array([6, 12]), target=0.8, delta=0.1)
        )
        for row in labels
    ]
    assert chance @ np.array(wealth) == pytest.approx(np.ones(2), abs=1e-9)


def bumpy(score):
    """Precision below the target, above it, and below again: no walk over golden ranks claims to hold here."""
    return np.select([score > 0.97, score > 0.8, score > 0.6], [0.8, 0.99, 0.9], 0.3)


GRID = np.linspace(0, 1, 20_001)
ABOVE = np.cumsum(bumpy((GRID[1:] + GRID[:-1]) / 2)[::-1])[::-1] / np.arange(20_000, 0, -1)


def violates(point) -> bool:
    return point.threshold is not None and float(np.interp(point.threshold, GRID[:-1], ABOVE)) < TARGET - 1e-4


def labels_of(random, scores, chance=bumpy):
    return (random.random(len(scores)) < chance(scores)).astype(float)


def test_weights_over_1_to_100_and_a_curve_that_rises_again() -> None:
    random = np.random.default_rng(1)
    violations = certified = 0
    pilot = random.random(800)
    pilot_labels = labels_of(random, pilot)
    for _ in range(DRAWS):
        scores = random.random(6000)
        chance = np.where(scores > 0.9, 1.0, np.where(scores > 0.5, 0.2, 0.01))
        taken = random.random(6000) < chance
        scores, chance = scores[taken], chance[taken]
        point = choose_threshold(
            scores,
            labels_of(random, scores),
            target_precision=TARGET,
            confidence=1 - DELTA,
            inclusion_prob=chance,
            pilot_scores=pilot,
            pilot_labels=pilot_labels,
        )
        assert "betting" in point.method
        assert not any("rise again" in sentence for sentence in point.assumptions)
        certified += point.status == "certified"
        violations += violates(point)
    assert violations <= MOST_VIOLATIONS
    assert certified > 0


def test_rare_heavy_posts_that_a_sample_may_lack() -> None:
    """Posts that weigh a hundred times those above and are mostly wrong: bets may not forget what was not drawn."""
    random = np.random.default_rng(5)
    n, n_top, violations, certified = 20_000, 400, 0, 0
    top = np.arange(n) < n_top
    for _ in range(60):
        labels = np.where(top, True, random.random(n) < 0.05)
        chance = np.where(top, 1.0, 0.01)
        taken = random.random(n) < chance
        pilot = n * random.random(1000)
        point = choose_threshold(
            -np.flatnonzero(taken),
            labels[taken],
            target_precision=0.9,
            confidence=0.9,
            inclusion_prob=chance[taken],
            pilot_scores=-pilot,
            pilot_labels=np.where(pilot < n_top, True, random.random(1000) < 0.05),
        )
        certified += point.threshold is not None
        violations += point.threshold is not None and -point.threshold > n_top * 1.2
    assert certified > 30
    assert violations <= stats.binom.ppf(0.999, 60, 0.1)


@pytest.mark.parametrize("with_pilot", [False, True])
def test_clusters_of_five_duplicates(with_pilot: bool) -> None:
    """Precision exactly at the target over a wide range; a binomial test that took posts for draws would fail."""
    random = np.random.default_rng(2)

    def step(score):
        return np.where(score > 0.5, TARGET, 0.85)

    pilot = random.random(400)
    extra = {"pilot_scores": pilot, "pilot_labels": labels_of(random, pilot, step)} if with_pilot else {}
    violations = counted = 0
    for _ in range(DRAWS):
        scores = random.random(150)
        labels = labels_of(random, scores, step)
        scores5, labels5 = np.repeat(scores, 5) - np.tile(np.arange(5) * 1e-6, 150), np.repeat(labels, 5)
        question = {"target_precision": TARGET, "confidence": 1 - DELTA, **extra}
        point = choose_threshold(scores5, labels5, clusters=np.repeat(np.arange(150), 5), **question)
        naive = choose_threshold(scores5, labels5, **question)
        violations += point.threshold is not None and point.threshold < 0.5 - 1e-3
        counted += naive.threshold is not None and naive.threshold < 0.5 - 1e-3
    assert violations <= MOST_VIOLATIONS
    assert counted > DELTA * DRAWS or with_pilot


def test_twenty_looks_at_a_growing_set() -> None:
    random = np.random.default_rng(3)
    pilot = random.random(500)
    question = {
        "target_precision": TARGET,
        "confidence": 1 - DELTA,
        "pilot_scores": pilot,
        "pilot_labels": labels_of(random, pilot),
    }
    draws, violations, certified = 12, 0, 0
    for _ in range(draws):
        scores = random.random(2000)
        labels = labels_of(random, scores)
        points = [choose_threshold(scores[:n], labels[:n], growing=True, **question) for n in range(100, 2001, 100)]
        violations += any(violates(point) for point in points)
        certified += any(point.status == "certified" for point in points)
    assert violations <= stats.binom.ppf(0.999, draws, DELTA)
    assert certified > 0


def test_monotone_precision_takes_the_furthest_and_holds() -> None:
    random = np.random.default_rng(4)

    def step(score):
        return np.where(score > 0.6, 0.93, 0.3)

    fell_through = 0.6 - 0.4 * (0.93 - TARGET) / (TARGET - 0.3)  # precision is at the target there
    violations, deeper = 0, []
    for _ in range(DRAWS):
        scores = random.random(800)
        labels = labels_of(random, scores, step)
        question = {"target_precision": TARGET, "confidence": 1 - DELTA, "method": "betting"}
        point = choose_threshold(scores, labels, monotone_precision=True, **question)
        plain = choose_threshold(scores, labels, **question)
        violations += point.threshold is not None and point.threshold < fell_through
        deeper.append(point.n_flagged_labelled - plain.n_flagged_labelled)
        assert "furthest" in point.method
        assert "furthest" not in plain.method
    assert violations <= MOST_VIOLATIONS
    assert np.mean(deeper) > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.001, 1))
def test_laws(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=500)
    labels = (random.random(500) < expit(6 * scores + 2)).astype(float)
    question = {"target_precision": 0.8, "confidence": 0.9}

    def decide(scores=scores, labels=labels, **more):
        return choose_threshold(scores, labels, **question, **more)

    # All weights equal: the same decision whatever their scale, and the one without weights.
    assert decide(inclusion_prob=np.full(500, scale)) == decide()
    weighted = decide(inclusion_prob=np.full(500, scale), method="betting")
    assert (weighted.threshold, weighted.status) == (decide(method="betting").threshold, weighted.status)
    # A strictly increasing map changes no decision; items without a label count for nothing.
    chance = 0.1 + 0.9 * random.random(500)
    before = decide(inclusion_prob=chance)
    mapped = decide(scores=np.arctan(scores), inclusion_prob=chance)
    assert mapped.n_flagged_labelled == before.n_flagged_labelled
    more = {"inclusion_prob": np.append(chance, np.full(40, 0.05))}
    unknown = decide(
        scores=np.append(scores, random.normal(size=40)), labels=np.append(labels, np.full(40, np.nan)), **more
    )
    assert (unknown.threshold, unknown.n_flagged_labelled) == (before.threshold, before.n_flagged_labelled)
    # One more false positive above the threshold never lowers it, where thresholds are fixed by a pilot.
    pilot_scores = random.normal(size=300)
    pilot = {"pilot_scores": pilot_scores, "pilot_labels": random.random(300) < expit(6 * pilot_scores + 2)}
    before = decide(inclusion_prob=chance, **pilot)
    if before.threshold is not None:
        after = decide(
            scores=np.append(scores, before.threshold + random.exponential()),
            labels=np.append(labels, 0.0),
            inclusion_prob=np.append(chance, random.choice([0.05, 0.1, 0.5, 1.0])),
            **pilot,
        )
        assert after.threshold is None or after.threshold >= before.threshold


def test_estimates_are_weighted() -> None:
    scores, labels = np.repeat([2.0, 1.0], 500), np.r_[np.ones(500), np.zeros(250), np.ones(250)]
    chance = np.repeat([1.0, 0.1], 500)
    point = choose_threshold(scores, labels, target_precision=0.9, inclusion_prob=chance)
    assert (point.threshold, point.precision) == (1.5, pytest.approx(1.0))
    assert point.recall == pytest.approx(500 / 3000)
    assert 0.9 <= point.precision_lower_bound < 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"inclusion_prob": [0.5, 0.0]}, "inclusion_prob must lie in .0, 1., got 0.0 at position 1"),
        ({"inclusion_prob": [0.5, 1.5]}, "got 1.5 at position 1"),
        ({"inclusion_prob": [0.5, np.nan]}, "got nan at position 1"),
        ({"inclusion_prob": [0.5]}, "inclusion_prob must hold one number a score"),
        ({"clusters": ["a"]}, "clusters must hold one name a score"),
        ({"inclusion_prob": [0.5, 0.1], "method": "scan"}, "takes no unequal inclusion_prob or clusters"),
        ({"clusters": ["a", "a"], "method": "walk"}, "takes no unequal inclusion_prob or clusters"),
        ({"clusters": ["a", "a"], "monotone_precision": True}, "of no use with clusters"),
        ({"growing": True}, "growing needs pilot_scores"),
        ({"growing": True, "inclusion_prob": [0.5, 0.1]}, "growing takes no unequal inclusion_prob or clusters"),
    ],
)
def test_bad_input_is_named(more: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_threshold([1.0, 2.0], [0, 1], target_precision=0.9, **more)


def test_missing_cluster_names_stand_alone() -> None:
    assert checked_clusters([None, "", np.nan, "a"], 4) is None
    assert checked_clusters(["a", None, "a"], 3).tolist()[0] == checked_clusters(["a", None, "a"], 3).tolist()[2]
