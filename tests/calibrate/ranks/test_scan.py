"""The scan's boundaries against brute force, and what they buy."""

from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from calibrate import choose_threshold
from calibrate.bounds import most_false_positives
from calibrate.ranks import scan
from calibrate.ranks.planning import Design, budget, default_design, growing_ranks, planned_design
from calibrate.ranks.ranked import rank_labels
from calibrate.ranks.scan import calibrated_boundaries, certified_steps


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(st.floats(0.01, 1), min_size=5, max_size=5),
    st.floats(0.1, 0.9),
    st.floats(0.02, 0.4),
)
def test_boundaries_spend_exactly_what_all_paths_say(
    ranks: list[int], weights: list[float], target: float, delta: float
) -> None:
    n_ranks = len(ranks)
    shares = np.array(weights[:n_ranks]) / sum(weights[:n_ranks]) * delta
    boundaries = calibrated_boundaries(np.array(ranks), shares, target=target, delta=delta)
    paths = np.array(list(product([0, 1], repeat=ranks[-1])))
    chance = np.prod(np.where(paths == 1, 1 - target, target), axis=1)
    wrong = np.cumsum(paths, axis=1)[:, np.array(ranks) - 1]

    def probability(event) -> float:
        return float(chance[event].sum())

    start, keep = boundaries.start, boundaries.keep
    assert boundaries.spent == pytest.approx(probability((wrong <= start).any(axis=1)), abs=1e-12)
    assert boundaries.spent <= delta + 1e-12
    for step in range(n_ranks):
        so_far = probability((wrong[:, : step + 1] <= start[: step + 1]).any(axis=1))
        assert so_far <= shares[: step + 1].sum() + 1e-12
        later = (wrong[:, step + 1 :] <= start[step + 1 :]).any(axis=1)
        assert probability((wrong[:, step] <= keep[step]) | later) <= delta + 1e-12
        assert probability((wrong[:, step] <= keep[step] + 1) | later) > delta - 1e-12 or keep[step] >= ranks[step]
    assert (keep >= start).all()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=5, unique=True).map(sorted),
    st.lists(st.floats(0.01, 1), min_size=5, max_size=5),
    st.floats(0.1, 0.9),
    st.floats(0.05, 0.4),
)
def test_deep_ranks_spend_at_most_what_they_may(
    ranks: list[int], weights: list[float], target: float, delta: float
) -> None:
    """All paths again, with the ranks past the first one by the union bound."""
    shares = np.array(weights[: len(ranks)]) / sum(weights[: len(ranks)]) * delta
    with patch.multiple(scan, DEEP=ranks[1] - 1, LITTLE=1.0):
        scan._boundaries.cache_clear()
        boundaries = calibrated_boundaries(np.array(ranks), shares, target=target, delta=delta)
    scan._boundaries.cache_clear()
    exact = calibrated_boundaries(np.array(ranks), shares, target=target, delta=delta)
    paths = np.array(list(product([0, 1], repeat=ranks[-1])))
    chance = np.prod(np.where(paths == 1, 1 - target, target), axis=1)
    starts = np.cumsum(paths, axis=1)[:, np.array(ranks) - 1] <= boundaries.start
    kept = np.cumsum(paths, axis=1)[:, np.array(ranks) - 1] <= boundaries.keep
    assert float(chance[starts.any(axis=1)].sum()) <= boundaries.spent + 1e-12 <= delta + 2e-12
    for step in range(len(ranks)):
        assert float(chance[kept[:, step] | starts[:, step + 1 :].any(axis=1)].sum()) <= delta + 1e-12
    assert (boundaries.keep >= boundaries.start).all()
    assert (boundaries.start <= exact.start).all()


def test_deep_ranks_lose_next_to_nothing() -> None:
    ranks = growing_ranks(200_000, target=0.9, delta=0.05)
    spent = budget(ranks, default_design(200_000, target=0.9, delta=0.05), delta=0.05)
    boundaries = calibrated_boundaries(ranks, spent, target=0.9, delta=0.05)
    with patch.object(scan, "DEEP", 10**9):
        scan._boundaries.cache_clear()
        exact = calibrated_boundaries(ranks, spent, target=0.9, delta=0.05)
    scan._boundaries.cache_clear()
    deviations = np.sqrt(ranks * 0.9 * 0.1)
    assert ((exact.keep - boundaries.keep) <= np.maximum(1, 0.02 * deviations)).all()
    assert ((exact.start - boundaries.start) <= np.maximum(1, 0.8 * deviations)).all()
    assert (exact.start != boundaries.start).any()


def test_no_rank_is_carried_on_more_easily_than_a_test_by_itself_would_allow() -> None:
    ranks = growing_ranks(3000, target=0.9, delta=0.1)
    alone = most_false_positives(ranks, 0.9, 0.1)
    for share in (0.1, 0.7, 0.999):
        spent = budget(ranks, Design(60, share), delta=0.1)
        assert spent.sum() == pytest.approx(0.1)
        boundaries = calibrated_boundaries(ranks, spent, target=0.9, delta=0.1)
        assert (boundaries.keep <= alone).all()
        assert boundaries.keep[-1] == alone[-1]


@pytest.mark.parametrize("n", [10_000, 300_000])
def test_boundaries_of_large_sets_hold_in_simulation(n: int) -> None:
    """20,000 walks; a wrong boundary of 5.6 % or more would be seen with probability above .999."""
    random = np.random.default_rng(1)
    ranks = growing_ranks(n, target=0.8, delta=0.05)
    design = default_design(n, target=0.8, delta=0.05)
    boundaries = calibrated_boundaries(ranks, budget(ranks, design, delta=0.05), target=0.8, delta=0.05)
    wrong = np.cumsum(random.binomial(np.diff(ranks, prepend=0), 0.2, size=(20_000, len(ranks))), axis=1)
    for step in (0, 20, 80, len(ranks) - 2):
        later = (wrong[:, step + 1 :] <= boundaries.start[step + 1 :]).any(axis=1)
        assert 0.025 < ((wrong[:, step] <= boundaries.keep[step]) | later).mean() < 0.0551
    assert ((wrong <= boundaries.start).any(axis=1)).mean() == pytest.approx(boundaries.spent, abs=0.006)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(30, 400))
def test_a_false_positive_more_never_certifies_more(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    ranks = growing_ranks(n, target=0.8, delta=0.2)
    boundaries = calibrated_boundaries(
        ranks, budget(ranks, default_design(n, target=0.8, delta=0.2), delta=0.2), target=0.8, delta=0.2
    )
    wrong = random.random(n) < 0.12
    more = wrong.copy()
    more[random.integers(n)] = True
    before = certified_steps(np.cumsum(wrong)[ranks - 1], boundaries)
    after = certified_steps(np.cumsum(more)[ranks - 1], boundaries)
    assert not (after & ~before).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["scan", "walk"]))
def test_laws_of_the_threshold(seed: int, method: str) -> None:
    random = np.random.default_rng(seed)
    scores = random.permutation(600).astype(float)
    labels = (random.random(600) < expit((scores - 200) / 40)).astype(float)

    def threshold(scores, labels) -> float:
        point = choose_threshold(scores, labels, target_precision=0.8, confidence=0.9, method=method)
        return np.inf if point.threshold is None else point.threshold

    before = threshold(scores, labels)
    if np.isfinite(before):
        # One more false positive above the threshold never lowers it.
        assert threshold(np.append(scores, before + random.integers(1, 300) + 0.25), np.append(labels, 0)) >= before
    # A strictly increasing map of the scores changes no decision.
    flagged = scores >= before
    mapped = np.exp(scores / 100)
    assert ((mapped.astype(np.float32) >= np.float32(threshold(mapped, labels))) == flagged).all()
    # Unknown labels count neither as negatives nor as positives.
    unknown = np.append(labels, np.full(50, np.nan))
    assert threshold(np.append(scores, random.uniform(0, 600, 50)), unknown) == before


def test_label_errors_at_the_top_do_not_end_a_scan() -> None:
    """Every tenth of the best 200 posts is mislabelled: walks from fixed ranks fail, a scan finds the run below."""
    scores = -np.arange(3000.0)
    labels = (np.arange(3000) < 2000).astype(float)
    labels[:200:10] = 0
    answers = {
        method: choose_threshold(scores, labels, target_precision=0.95, method=method) for method in ("walk", "scan")
    }
    assert answers["walk"].status == "not_attainable"
    assert answers["scan"].recall > 0.9


def test_a_pilot_that_knows_of_label_errors_moves_the_start() -> None:
    random = np.random.default_rng(0)
    golden, pilot = random.random(2000), random.random(3000)

    def labels(scores) -> np.ndarray:
        chance = np.where(scores > 0.9, 0.88, np.where(scores > 0.5, 0.99, 0.0))
        return (random.random(len(scores)) < chance).astype(float)

    ranked = rank_labels(golden, labels(golden))
    design = planned_design(ranked, pilot.astype(np.float32), labels(pilot), target=0.95, delta=0.05)
    assert design.start > 300 > default_design(2000, target=0.95, delta=0.05).start


def test_unknown_methods_are_named() -> None:
    with pytest.raises(ValueError, match=r"method must be one of auto, scan, walk.*, got 'magic'"):
        choose_threshold([1.0], [1], target_precision=0.9, method="magic")
