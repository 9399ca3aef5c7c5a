import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from calibrate import choose_recall_threshold


def slow_rank(n_positive: int, target: float, confidence: float) -> int | None:
    """The smallest r with P(Bin(m, target) <= r - 1) >= confidence."""
    for rank in range(1, n_positive + 1):
        if stats.binom.sf(rank - 1, n_positive, target) <= 1 - confidence:
            return rank
    return None


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.floats(0.3, 0.97), st.floats(0.5, 0.97))
def test_agrees_with_order_statistics(seed: int, n: int, target: float, confidence: float) -> None:
    random = np.random.default_rng(seed)
    scores = np.round(random.normal(size=n), int(random.integers(0, 4))).astype(np.float32)
    labels = random.choice([0.0, 1.0, np.nan], size=n)
    point = choose_recall_threshold(scores, labels, target_recall=target, confidence=confidence)
    positives = np.sort(scores[labels == 1])[::-1]
    rank = slow_rank(len(positives), target, confidence)
    if rank is None:
        assert (point.status, point.threshold) == ("not_attainable", None)
        assert (point.labels_needed is None) == (len(positives) == 0)
        return
    flagged = scores >= np.float32(point.threshold)
    lowest = positives[rank - 1]
    assert np.array_equal(flagged[~np.isnan(labels)], (scores >= lowest)[~np.isnan(labels)])
    assert point.n_flagged == flagged.sum()
    assert point.recall == pytest.approx((labels[flagged] == 1).sum() / len(positives))
    assert point.certified_range[0] == point.threshold >= point.certified_range[1]


def test_large_sets_take_the_order_statistic_itself() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=50_000).astype(np.float32)
    labels = random.random(50_000) < 0.1
    point = choose_recall_threshold(scores, labels, target_recall=0.9)
    positives = np.sort(scores[labels])[::-1]
    lowest = positives[int(stats.binom.isf(0.05, len(positives), 0.9))]
    assert stats.binom.sf((positives >= lowest).sum() - 1, len(positives), 0.9) <= 0.05
    assert point.n_flagged == (scores >= lowest).sum()


def test_kind_and_target_are_named() -> None:
    point = choose_recall_threshold(np.arange(50.0), np.ones(50), target_recall=0.9, confidence=0.9)
    assert (point.kind, point.target, point.target_recall, point.target_precision) == ("recall", 0.9, 0.9, None)
