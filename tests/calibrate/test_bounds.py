import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from calibrate.bounds import fewest_labels, interval, lower_bound, most_false_positives, tail_probability, upper_bound


@given(st.integers(1, 100_000), st.floats(0, 1), st.floats(0.01, 0.999))
def test_tail_agrees_with_scipys_binomial(n: int, share: float, target: float) -> None:
    k = int(share * n)
    expected = stats.binom.cdf(k, n, 1 - target)
    assert tail_probability(k, n, target) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@given(st.integers(1, 5_000), st.floats(0, 1), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_bounds_agree_with_scipys_exact_interval(n: int, share: float, confidence: float) -> None:
    k = int(share * n)
    expected = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
    assert interval(k, n, confidence=confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)
    one_sided = stats.binomtest(k, n, alternative="greater").proportion_ci(confidence, method="exact")
    assert float(lower_bound(k, n, confidence=confidence)) == pytest.approx(one_sided.low, abs=1e-9)


def test_lower_bound_covers_at_least_at_its_confidence_exactly() -> None:
    for n, p in [(10, 0.3), (59, 0.95), (200, 0.9), (400, 0.995)]:
        k = np.arange(n + 1)
        covered = lower_bound(k, n, confidence=0.9) <= p
        assert stats.binom.pmf(k, n, p)[covered].sum() >= 0.9


def test_edges() -> None:
    assert interval(0, 0, confidence=0.95) == (0.0, 1.0)
    assert lower_bound([0, 5], [5, 5], confidence=0.95).tolist() == [0.0, pytest.approx(0.05 ** (1 / 5))]
    assert upper_bound([0, 5], [5, 5], confidence=0.95).tolist() == [pytest.approx(1 - 0.05 ** (1 / 5)), 1.0]
    assert tail_probability([7, 0], [7, 0], 0.9).tolist() == [1.0, 1.0]
    assert tail_probability(0, 100_000, 0.99) == pytest.approx(0.99**100_000, rel=1e-9)


def test_lower_bound_reaches_the_target_exactly_where_the_test_passes() -> None:
    n = np.repeat(np.arange(1, 200), 200)
    k = np.tile(np.arange(200), 199)
    n, k = n[k <= n], k[k <= n]
    passes = tail_probability(k, n, 0.9) <= 0.05
    assert np.array_equal(passes, lower_bound(n - k, n, confidence=0.95) >= 0.9)


@given(st.floats(0.05, 0.999), st.floats(0.001, 0.5))
def test_fewest_labels_is_the_smallest_that_passes(target: float, delta: float) -> None:
    n = fewest_labels(target, delta)
    assert target**n <= delta * (1 + 1e-9)
    assert n == 1 or target ** (n - 1) > delta * (1 - 1e-9)
    assert abs(n - math.log(delta) / math.log(target)) <= 1


@given(st.integers(1, 3000), st.floats(0.05, 0.99), st.floats(0.001, 0.5))
def test_most_false_positives_is_the_critical_value(n: int, target: float, delta: float) -> None:
    k = int(most_false_positives([n], target, delta)[0])
    assert k == -1 or tail_probability(k, n, target) <= delta
    assert tail_probability(k + 1, n, target) > delta


@pytest.mark.parametrize("wrong", [lambda: lower_bound(3, 2, confidence=0.9), lambda: tail_probability(-1, 2, 0.9)])
def test_impossible_counts_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="successes <= trials"):
        wrong()


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, math.nan, 2.0])
def test_shares_outside_the_unit_interval_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="confidence must lie strictly between 0 and 1"):
        lower_bound(1, 2, confidence=value)
    with pytest.raises(ValueError, match="target must lie strictly between 0 and 1"):
        tail_probability(1, 2, value)
