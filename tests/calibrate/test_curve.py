import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from calibrate import choose_threshold
from calibrate.bounds import lower_bound
from calibrate.curve import precision_recall_curve


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 200))
def test_agrees_with_scikit_learn(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    scores = np.round(random.normal(size=n), int(random.integers(0, 4))).astype(np.float32)
    labels = random.integers(0, 2, n).astype(float)
    labels[0] = 1
    unknown = random.random(n) < 0.2
    unknown[0] = False
    curve = precision_recall_curve(scores, np.where(unknown, np.nan, labels))
    precision, recall, thresholds = metrics.precision_recall_curve(labels[~unknown], scores[~unknown])
    assert curve["threshold"].to_list() == thresholds[::-1].tolist()
    assert curve["precision"].to_list() == pytest.approx(precision[-2::-1].tolist())
    assert curve["recall"].to_list() == pytest.approx(recall[-2::-1].tolist())
    assert curve["precision_lower_bound"].to_list() == pytest.approx(
        lower_bound(curve["true_positives"].to_numpy(), curve["n_flagged"].to_numpy(), confidence=0.95).tolist()
    )


def test_certified_rows_are_those_of_the_range() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=1000)
    labels = random.random(1000) < 1 / (1 + np.exp(-6 * scores))
    point = choose_threshold(scores, labels, target_precision=0.9)
    curve = precision_recall_curve(scores, labels, certified_range=point.certified_range)
    certified = curve.filter("certified")
    assert certified["n_flagged"].to_list()[-1] == point.n_flagged
    strictest = (scores.astype(np.float32) >= np.float32(point.certified_range[0])).sum()
    assert certified["n_flagged"].to_list() == list(range(strictest, point.n_flagged + 1))


def test_nothing_known_and_nothing_violating() -> None:
    assert precision_recall_curve([1, 2], [np.nan, np.nan]).is_empty()
    none = precision_recall_curve([1, 2], [0, 0])
    assert none["recall"].null_count() == 2
    assert none["precision"].to_list() == [0.0, 0.0]
