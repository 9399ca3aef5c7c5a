"""choose_threshold against a slow reference in plain Python, and its laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from calibrate import choose_threshold


def slow_fewest(target: float, delta: float) -> int:
    n = 1
    while target**n > delta:
        n += 1
    return n


def slow_ranks(scores: list[float], start: int, one_in: int = 20) -> list[int]:
    """Ranks from `start` on, one in `one_in` apart, on tie boundaries; `scores` fall."""
    n = len(scores)
    ranks: list[int] = []
    rank = start
    while rank <= n and (not ranks or ranks[-1] < n):
        while rank < n and scores[rank] == scores[rank - 1]:
            rank += 1
        ranks.append(rank)
        rank = min(n, rank + max(1, -(-rank // one_in)))
    return ranks


def slow_midpoint(upper: float, lower: float) -> float:
    middle = np.float32((upper + lower) / 2)
    return float(middle if middle > np.float32(lower) else np.nextafter(np.float32(lower), np.float32(np.inf)))


def slow_choice(scores, labels, target, delta, pilot=None) -> tuple[float, int] | None:
    """Threshold and number of known flagged labels, or None."""
    known = sorted(
        ((float(np.float32(z)), y) for z, y in zip(scores, labels, strict=True) if not math.isnan(y)), reverse=True
    )
    ordered = [z for z, _ in known]

    def threshold_at(rank: int) -> float:
        return ordered[-1] if rank == len(ordered) else slow_midpoint(ordered[rank - 1], ordered[rank])

    n_min = slow_fewest(target, delta)
    if pilot is not None:
        best: list[tuple[int, float]] = []
        for rank in slow_ranks(ordered, n_min):
            threshold = threshold_at(rank)
            above = [y for z, y in zip(*pilot, strict=True) if np.float32(z) >= np.float32(threshold)]
            right, wrong = above.count(1.0), above.count(0.0)
            passing = np.flatnonzero(stats.binom.cdf(range(rank), rank, 1 - target) <= delta)
            power = stats.betabinom.pmf(passing, rank, 0.5 + wrong, 0.5 + right).sum()
            best.append((rank, power))
        top = max((power for _, power in best), default=0.0)
        starts = [next((rank for rank, power in best if power >= 0.9 * top), n_min)]
    else:
        first = 2 * slow_fewest(target, delta / 2)
        starts = [first, 3 * first]
        if starts[-1] > len(ordered):
            starts = [max(n_min, min(2 * n_min, len(ordered)))]
    chosen = 0
    for start in starts:
        for rank in slow_ranks(ordered, start):
            wrong = sum(y == 0 for _, y in known[:rank])
            if stats.binom.cdf(wrong, rank, 1 - target) > delta / len(starts):
                break
            chosen = max(chosen, rank)
    return (threshold_at(chosen), chosen) if chosen else None


def slow_scan(scores, labels, target, delta) -> tuple[float, int] | None:
    """The default without a pilot: threshold and number of known flagged labels, or None."""
    known = sorted(
        ((float(np.float32(z)), y) for z, y in zip(scores, labels, strict=True) if not math.isnan(y)), reverse=True
    )
    ordered = [z for z, _ in known]
    n, n_min = len(ordered), slow_fewest(target, delta)
    ranks = slow_ranks(ordered, n_min, one_in=50) if n >= n_min else []
    if not ranks:
        return None
    budget = []
    for place, rank in enumerate(ranks):
        left_after = (ranks[0] / ranks[place + 1]) ** 0.75 if place + 1 < len(ranks) else 0.0
        budget.append(0.3 * delta * ((ranks[0] / rank) ** 0.75 - left_after))
    main = next((place for place, rank in enumerate(ranks) if rank >= min(n, 2 * n_min)), len(ranks) - 1)
    budget[main] += 0.7 * delta
    # Chance of each count of false positives among sets that have not been certified so far.
    alive, start, spent, allowed = {0: 1.0}, [], 0.0, 0.0
    for place, rank in enumerate(ranks):
        m = rank - (ranks[place - 1] if place else 0)
        jump = stats.binom.pmf(range(m + 1), m, 1 - target)
        grown: dict[int, float] = {}
        for count, chance in alive.items():
            for more, share in enumerate(jump):
                grown[count + more] = grown.get(count + more, 0.0) + chance * share
        allowed += budget[place]
        most = start[-1] if start else -1
        for count in sorted(grown):
            if spent + grown[count] > allowed:
                break
            spent += grown.pop(count)
            most = max(most, count)
        start.append(most)
        alive = grown
    keep = [0] * len(ranks)
    later: list[float] = []  # chance of a start further down, for each count here
    for place in reversed(range(len(ranks))):
        rank = ranks[place]
        if place + 1 < len(ranks):
            m = ranks[place + 1] - rank
            jump = stats.binom.pmf(range(m + 1), m, 1 - target)
            later = [sum(share * later[count + more] for more, share in enumerate(jump)) for count in range(rank + 1)]
        else:
            later = [0.0] * (rank + 1)
        later = [1.0 if count <= start[place] else chance for count, chance in enumerate(later)]
        here = stats.binom.pmf(range(rank + 1), rank, 1 - target)
        union = sum(share * chance for share, chance in zip(here, later, strict=True))
        keep[place] = start[place]
        for count in range(rank + 1):
            union += here[count] * (1 - later[count])
            if union > delta:
                break
            keep[place] = max(keep[place], count)
    chosen, running = 0, False
    for place, rank in enumerate(ranks):
        wrong = sum(y == 0 for _, y in known[:rank])
        running = wrong <= start[place] or (running and wrong <= keep[place])
        chosen = rank if running else chosen
    if not chosen:
        return None
    return (ordered[-1] if chosen == n else slow_midpoint(ordered[chosen - 1], ordered[chosen])), chosen


def random_set(random: np.random.Generator, n: int) -> tuple[NDArray, NDArray]:
    """Scores with ties of several kinds and labels with unknowns."""
    z = random.normal(size=n) * random.choice([0.01, 1.0, 100.0])
    spread = z.std() or 1.0
    labels = (random.random(n) < expit(random.choice([0.5, 2.0, 8.0]) * (z / spread + 0.5))).astype(float)
    kind = random.integers(4)
    if kind == 0:
        z = np.round(z / spread, int(random.integers(0, 3)))
    elif kind == 1:
        z = 1 + np.floor(8 * z / spread) * 2.0**-23  # neighbours in float32
    elif kind == 2:
        z = z + 1e-9 * random.normal(size=n)  # distinct in float64 alone
    labels[random.random(n) < random.choice([0.0, 0.1, 0.6])] = np.nan
    return z, labels


def test_agrees_with_the_slow_reference_on_random_cases() -> None:
    random = np.random.default_rng(11)
    certified = 0
    for case in range(1000):
        scan = case % 3 == 2
        n = int(random.choice([1, 2, 5, 20, 60, 150, 400], p=[0.05, 0.05, 0.1, 0.2, 0.2, 0.25, 0.15]))
        n = min(n, 60) if scan else n
        scores, labels = random_set(random, n)
        target, delta = float(random.uniform(0.3, 0.95)), float(random.uniform(0.02, 0.3))
        pilot = random_set(random, int(random.integers(1, 80))) if case % 3 == 1 else None
        if pilot is not None and np.isnan(pilot[1]).all():
            pilot = None
        confidence = 1 - delta
        point = choose_threshold(
            scores,
            labels,
            target_precision=target,
            confidence=confidence,
            method="auto" if scan else "walk",
            pilot_scores=None if pilot is None else pilot[0],
            pilot_labels=None if pilot is None else pilot[1],
        )
        if scan:
            expected = slow_scan(scores, labels, target, 1 - confidence)
        else:
            expected = slow_choice(scores, labels, target, 1 - confidence, pilot)
        if expected is None:
            assert point.status == "not_attainable", case
            assert point.threshold is None
            assert point.precision is None
            assert point.recall is None
            assert point.labels_needed is None or point.labels_needed >= slow_fewest(target, 1 - confidence)
        else:
            certified += 1
            assert point.status == "certified", case
            assert (point.threshold, point.n_flagged_labelled) == expected, case
            assert point.labels_needed is None
        assert point.n_unknown + point.n_labelled == n
    assert 200 < certified < 800


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_the_threshold_reapplied_flags_what_it_says(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    scores, labels = random_set(random, n)
    point = choose_threshold(scores, labels, target_precision=0.4, confidence=0.8)
    if point.status == "not_attainable":
        return
    assert point.threshold is not None
    assert float(np.float32(point.threshold)) == point.threshold
    flagged = scores.astype(np.float32) >= np.float32(point.threshold)
    assert flagged.sum() == point.n_flagged
    assert (flagged & ~np.isnan(labels)).sum() == point.n_flagged_labelled
    assert point.precision == pytest.approx(np.nanmean(labels[flagged]))
    assert point.recall == pytest.approx(np.nansum(labels[flagged]) / np.nansum(labels))
    assert point.precision_lower_bound >= point.target - 1e-9
    strictest, loosest = point.certified_range
    assert strictest >= loosest == point.threshold
    # An unflagged known score is strictly below, and the threshold is at most the last flagged known score.
    known = np.sort(scores[~np.isnan(labels)].astype(np.float32))[::-1]
    assert known[point.n_flagged_labelled - 1] >= np.float32(point.threshold)
    if point.n_flagged_labelled < len(known):
        assert known[point.n_flagged_labelled] < np.float32(point.threshold)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_and_unknown_items_change_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores, labels = random_set(random, 200)
    point = choose_threshold(scores, labels, target_precision=0.5, confidence=0.8)
    order = random.permutation(200)
    assert choose_threshold(scores[order], labels[order], target_precision=0.5, confidence=0.8) == point
    known = ~np.isnan(labels)
    if known.any():
        alone = choose_threshold(scores[known], labels[known], target_precision=0.5, confidence=0.8)
        assert (alone.threshold, alone.n_flagged) == (point.threshold, point.n_flagged_labelled)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_where_the_test_begins_never_depends_on_the_labels_under_test(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores, labels = random_set(random, 200)
    labels = np.where(np.isnan(labels), 0.0, labels)
    pilot = {"pilot_scores": random.normal(size=50), "pilot_labels": random.integers(0, 2, 50)}
    for extra in ({}, pilot):
        methods = {
            choose_threshold(scores, other, target_precision=0.7, confidence=0.9, **extra).method
            for other in (labels, 1 - labels, np.ones(200), random.permutation(labels))
        }
        assert len(methods) == 1


def test_known_values() -> None:
    everything = choose_threshold(np.arange(59.0), np.ones(59), target_precision=0.95)
    assert (everything.status, everything.threshold, everything.n_flagged) == ("certified", 0.0, 59)
    assert everything.precision_lower_bound == pytest.approx(0.05 ** (1 / 59))
    assert everything.recall == 1.0
    one_short = choose_threshold(np.arange(58.0), np.ones(58), target_precision=0.95)
    assert (one_short.status, one_short.threshold) == ("not_attainable", None)
    assert one_short.labels_needed >= 59
    tied = choose_threshold(np.full(100, 2.5), np.ones(100), target_precision=0.95)
    assert (tied.threshold, tied.n_flagged, tied.certified_range) == (2.5, 100, (2.5, 2.5))


def test_neighbours_in_float32_are_told_apart() -> None:
    one = np.float32(1.0)
    above = np.nextafter(one, np.float32(2.0))
    scores = np.concatenate([np.full(300, above), np.full(300, one)])
    point = choose_threshold(scores, np.repeat([1.0, 0.0], 300), target_precision=0.95)
    assert (point.threshold, point.n_flagged) == (float(above), 300)


def test_unknown_labels_between_two_known_scores_are_counted_by_the_threshold() -> None:
    scores = np.concatenate([np.full(300, 2.0), [1.9, 1.6, 1.4, 1.1], np.full(300, 1.0)])
    labels = np.concatenate([np.ones(300), np.full(4, np.nan), np.zeros(300)])
    point = choose_threshold(scores, labels, target_precision=0.95)
    assert (point.threshold, point.n_flagged, point.n_flagged_labelled) == (1.5, 302, 300)


def test_no_positive_and_no_known_label() -> None:
    hopeless = choose_threshold(np.arange(500.0), np.zeros(500), target_precision=0.9)
    assert (hopeless.status, hopeless.labels_needed, hopeless.recall) == ("not_attainable", None, None)
    assert "a better model or a lower target" in hopeless.reason
    few = choose_threshold(np.arange(5.0), np.zeros(5), target_precision=0.9)
    assert few.labels_needed >= 29
    unknown = choose_threshold(np.arange(5.0), np.full(5, np.nan), target_precision=0.9)
    assert (unknown.status, unknown.n_unknown) == ("not_attainable", 5)
    assert unknown.labels_needed >= 29


def test_an_estimate_of_labels_needed_is_of_the_right_size() -> None:
    """80 % of sets of the estimated size should certify; the estimate is rough, so 60 % is asked."""
    random = np.random.default_rng(5)

    def draw(n: int) -> tuple[NDArray, NDArray]:
        scores = random.normal(size=n)
        return scores, (random.random(n) < 1 / (1 + np.exp(-5 * scores))).astype(float)

    needed = [choose_threshold(*draw(70), target_precision=0.9).labels_needed for _ in range(40)]
    typical = int(np.median([estimate for estimate in needed if estimate]))
    certified = [choose_threshold(*draw(typical), target_precision=0.9).status == "certified" for _ in range(200)]
    assert np.mean(certified) > 0.6
    assert 100 < typical < 500
