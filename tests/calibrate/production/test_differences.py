"""McNemar's test and the intervals: published values, scipy, laws, and how often they hold."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from calibrate.production.differences import mcnemar, paired_difference, precision_difference, wilson


def test_published_values() -> None:
    """Bentur et al. (2009) and Cavo et al. (2012) as R's contingencytables 3.1 has them; Newcombe's two samples."""
    assert paired_difference(1, 1, 7, 21) == pytest.approx((-0.5069, -0.0256), abs=5e-5)
    assert paired_difference(59, 6, 16, 161) == pytest.approx((-0.1186, -0.0046), abs=5e-5)
    assert precision_difference((70, 56), (80, 48), (0, 0)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_mcnemar_is_scipys_sign_test() -> None:
    random = np.random.default_rng(0)
    for better, worse in [*random.integers(0, 400, (300, 2)).tolist(), [0, 1], [5, 0], [0, 2000], [3, 3]]:
        n, k = better + worse, min(better, worse)
        assert mcnemar(better, worse) == pytest.approx(binomtest(worse, n, 0.5).pvalue)
        assert mcnemar(better, worse) == pytest.approx(min(1.0, 2 * binom.cdf(k, n, 0.5)))
    assert mcnemar(0, 0) == 1


def test_intervals_turn_with_the_models_and_hold_the_difference() -> None:
    random = np.random.default_rng(1)
    for _ in range(300):
        n = int(random.integers(1, 300))
        both, gained, lost, _neither = random.multinomial(n, random.dirichlet([0.5] * 4)).tolist()
        low, high = paired_difference(both, gained, lost, n)
        assert -1 <= low <= (gained - lost) / n <= high <= 1
        assert paired_difference(both, lost, gained, n) == pytest.approx((-high, -low))
        shared = int(random.integers(0, n + 1))
        right = int(random.integers(0, shared + 1))
        first = (shared + n, right + int(random.integers(0, n + 1)))
        second = (shared + 5, right + int(random.integers(0, 6)))
        low, high = precision_difference(first, second, (shared, right))
        difference = first[1] / first[0] - second[1] / second[0]
        assert -1.0001 <= low <= difference + 1e-12
        assert difference - 1e-12 <= high <= 1.0001
        assert precision_difference(second, first, (shared, right)) == pytest.approx((-high, -low))


def test_what_models_share_narrows_the_interval() -> None:
    """Where this sample shows no difference at all, few posts still leave room for one."""
    apart, near, alike = (precision_difference((100, 90), (100, 90), (n, 9 * n // 10)) for n in (0, 50, 100))
    assert alike[0] < 0 < alike[1]
    widths = [high - low for low, high in (apart, near, alike)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("agreement", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("skill", [0.8, 2.0])
def test_intervals_hold_about_as_often_as_they_say(agreement: float, skill: float) -> None:
    """Golden sets of 400 posts drawn from a population of 200,000, whose differences are known: 95 %, give or take.

    Of 1,500 sets; three standard errors of a coverage of 95 % are 1.7 points.
    """
    random = np.random.default_rng(int(10 * agreement + skill))
    n, draws = 200_000, 1_500
    violating = random.random(n) < 0.25
    shared = random.normal(size=n)

    def scores() -> np.ndarray:
        own = np.sqrt(1 - agreement**2) * random.normal(size=n)
        return skill * violating + agreement * shared + own

    now, before = scores() >= 1.4, scores() >= 1.1
    recall = now[violating].mean() - before[violating].mean()
    precision = violating[now].mean() - violating[before].mean()
    held = np.zeros(2)
    for _ in range(draws):
        rows = random.integers(0, n, 400)
        y, a, b = violating[rows], now[rows], before[rows]
        counts = [(y & a & b).sum(), (y & a & ~b).sum(), (y & ~a & b).sum(), y.sum()]
        low, high = paired_difference(*map(int, counts))
        held[0] += low <= recall <= high
        pairs = [(int(flags.sum()), int((flags & y).sum())) for flags in (a, b, a & b)]
        low, high = precision_difference(*pairs)
        held[1] += low <= precision <= high
    assert (held / draws > 0.95 - 0.017).all(), held / draws
    assert (held / draws < 0.985).all(), held / draws
