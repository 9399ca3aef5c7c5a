"""choose_threshold: its laws and known values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrate import choose_threshold


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_the_threshold_reapplied_flags_what_it_says(random_set, seed: int, n: int) -> None:
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
def test_order_and_unknown_items_change_nothing(random_set, seed: int) -> None:
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
def test_where_the_test_begins_never_depends_on_the_labels_under_test(random_set, seed: int) -> None:
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
