import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from train.monitoring.metrics import PolicyMetrics, mean_average_precision, policy_metrics

NAN = float("nan")


def test_known_values() -> None:
    logits = np.array([4.0, 3.0, 2.0, 1.0, 9.0], dtype=np.float32)
    metrics = policy_metrics(logits, np.array([1, 0, 1, 0, NAN], dtype=np.float32), 0.9)
    assert metrics.auc == 0.75
    assert metrics.average_precision == 0.5 * 1 + 0.5 * 2 / 3
    assert metrics.recall_at_target == 0.5
    assert (metrics.n_known, metrics.n_violating) == (4, 2)


def test_no_metric_without_both_labels() -> None:
    for label in (0.0, 1.0, NAN):
        metrics = policy_metrics(np.zeros(3, np.float32), np.full(3, label, np.float32), 0.9)
        assert metrics.auc is None
        assert metrics.average_precision is None


def test_the_mean_leaves_out_what_is_not_defined() -> None:
    known = PolicyMetrics(n_known=2, n_violating=1, average_precision=0.5)
    unknown = PolicyMetrics(n_known=0, n_violating=0)
    assert mean_average_precision({"a": known, "b": unknown}) == 0.5
    assert mean_average_precision({"b": unknown}) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=20), st.floats(0.1, 0.99))
def test_recall_at_target_is_that_of_the_best_threshold(rows: list[tuple[int, bool]], target: float) -> None:
    scores = np.array([score for score, _ in rows], dtype=np.float32)
    truth = np.array([violates for _, violates in rows])
    metrics = policy_metrics(scores, truth.astype(np.float32), target)
    if metrics.recall_at_target is None:
        assert truth.all() or not truth.any()
        return
    found = [0.0]
    for threshold in set(scores.tolist()):
        flagged = scores >= threshold
        if truth[flagged].mean() >= target:
            found.append(truth[flagged].sum() / truth.sum())
    assert metrics.recall_at_target == max(found)
