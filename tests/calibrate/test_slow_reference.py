"""choose_threshold against a slow reference in plain Python: loops, and scipy.stats.binom."""

import math

import numpy as np
from scipy import stats
from slow_scan import slow_budget, slow_fewest, slow_keeps, slow_starts

from calibrate import choose_threshold


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
    if n < n_min:
        return None
    ranks = slow_ranks(ordered, n_min, one_in=50)
    jumps = [
        stats.binom.pmf(range(rank - before + 1), rank - before, 1 - target)
        for before, rank in zip([0, *ranks], ranks, strict=False)
    ]
    start = slow_starts(jumps, slow_budget(ranks, n, n_min, delta))
    keep = slow_keeps(ranks, jumps, start, target, delta)
    chosen, running = 0, False
    for place, rank in enumerate(ranks):
        wrong = sum(y == 0 for _, y in known[:rank])
        running = wrong <= start[place] or (running and wrong <= keep[place])
        chosen = rank if running else chosen
    if not chosen:
        return None
    return (ordered[-1] if chosen == n else slow_midpoint(ordered[chosen - 1], ordered[chosen])), chosen


def test_agrees_with_the_slow_reference_on_random_cases(random_set) -> None:
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
