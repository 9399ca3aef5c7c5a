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


def test_weights_that_are_equal_change_nothing() -> None:
    random = np.random.default_rng(0)
    scores, labels = random.normal(size=300), (random.random(300) < 0.4).astype(float)
    plain = choose_recall_threshold(scores, labels, target_recall=0.8)
    assert choose_recall_threshold(scores, labels, target_recall=0.8, inclusion_prob=np.full(300, 0.3)) == plain
    assert choose_recall_threshold(scores, labels, target_recall=0.8, clusters=[None] * 300) == plain


def recall_of(threshold: float) -> float:
    """Scores of violating posts are normal around 1."""
    return float(stats.norm.sf(threshold - 1))


@pytest.mark.parametrize("clustered", [False, True])
def test_recall_by_betting_holds(clustered: bool) -> None:
    """Strata in fixed numbers, or clusters of ten: 40 draws at 90 %, up to the 0.999 quantile of Bin(40, 0.1)."""
    random = np.random.default_rng(5)
    target, draws = 0.8, 40
    wrong = certified = counted = outside = 0
    for _ in range(draws):
        if clustered:
            scores, labels = np.repeat(1 + random.normal(size=60), 10), np.ones(600)
            drawn = {"clusters": np.repeat(np.arange(60), 10)}
        else:
            labels = (random.random(4000) < 0.25).astype(float)
            scores = random.normal(size=4000) + labels
            top = np.flatnonzero(scores >= 0.8)
            rest = np.flatnonzero(scores < 0.8)
            taken = np.concatenate([random.permutation(top)[:400], random.permutation(rest)[:150]])
            chance = np.where(scores >= 0.8, 400 / len(top), 150 / len(rest))
            scores, labels, drawn = scores[taken], labels[taken], {"inclusion_prob": chance[taken]}
        question = {"target_recall": target, "confidence": 0.9}
        point = choose_recall_threshold(scores, labels, **question, **drawn)
        naive = choose_recall_threshold(scores, labels, **question)
        wrong += point.threshold is not None and recall_of(point.threshold) < target
        counted += naive.threshold is not None and recall_of(naive.threshold) < target
        certified += point.status == "certified"
        if point.recall_interval is not None:
            low, high = point.recall_interval
            assert low <= point.recall <= high
            outside += not low <= recall_of(point.threshold) <= high
    most = stats.binom.ppf(0.999, draws, 0.1)
    assert wrong <= most
    assert outside <= most
    assert certified > 0.8 * draws
    assert counted > most  # counting posts, as if drawn alike and by themselves, fails


def test_too_few_weighted_labels_say_how_many_it_takes() -> None:
    chance = np.where(np.arange(20) % 2, 0.5, 1.0)
    point = choose_recall_threshold(np.arange(20.0), np.ones(20), target_recall=0.9, inclusion_prob=chance)
    assert (point.status, point.threshold) == ("not_attainable", None)
    assert 20 < point.labels_needed < 400


@pytest.mark.parametrize("more", [{"inclusion_prob": [0.5, 0.0]}, {"clusters": ["a"]}])
def test_bad_weights_are_named(more: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(more))):
        choose_recall_threshold([1.0, 2.0], [0, 1], target_recall=0.9, **more)
