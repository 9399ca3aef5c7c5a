"""The posts that the page holds are the nearest and the worst ones, at whatever threshold it is looked at."""

import numpy as np
import pytest

from calibrate.report.examples.choose import ChosenExamples, choose_examples, most_of_policy

NAN = np.nan


def choose(scores, labels, anchors, *, number=2, most=0) -> ChosenExamples:
    return choose_examples(
        np.asarray(scores, np.float32), np.asarray(labels, np.float32), anchors, number=number, most=most
    )


def in_order(scores: np.ndarray) -> np.ndarray:
    """Rows by rank."""
    return np.lexsort((np.arange(len(scores)), -scores))


@pytest.mark.parametrize("decimals", [0, 1, 6])  # many ties, some, none
@pytest.mark.parametrize("share_unknown", [0.0, 0.4])
def test_the_nearest_on_either_side_and_the_worst_are_held(decimals: int, share_unknown: float) -> None:
    random = np.random.default_rng(3)
    scores = np.round(random.normal(size=500), decimals).astype(np.float32)
    labels = (random.random(500) < 0.4).astype(np.float32)
    labels[random.random(500) < share_unknown] = NAN
    anchors = [0.5, 1.0, -0.5]
    chosen = choose_examples(scores, labels, anchors, number=3, most=400, n_full=3)
    rows = in_order(scores)
    assert chosen.rows.tolist() == rows[chosen.ranks - 1].tolist()
    assert (np.diff(chosen.ranks) > 0).all()
    held = set(chosen.rows.tolist())
    for anchor in anchors:
        for known, number in ((True, 3), (False, 1)):
            kind = [row for row in rows if np.isnan(labels[row]) != known]
            flagged = [row for row in kind if scores[row] >= np.float32(anchor)]
            others = [row for row in kind if scores[row] < np.float32(anchor)]
            assert held >= {*flagged[len(flagged) - number :], *others[:number]}
    for threshold in np.unique(scores):  # wherever the slider stands
        wrong = [row for row in rows if labels[row] == 0 and scores[row] >= threshold]
        missed = [row for row in rows if labels[row] == 1 and scores[row] < threshold]
        assert held >= {*wrong[:3], *missed[-3:]}


def test_equal_scores_stand_in_the_order_of_the_golden_set() -> None:
    chosen = choose([1.0] * 6, [0, 1, 0, 1, 0, 1], [1.0], number=1)
    assert chosen.rows.tolist() == [0, 5]  # the first false positive; the last violating one, nearest to the cut
    assert chosen.ranks.tolist() == [1, 6]
    assert chosen.order.tolist() == [1, 0]  # around the threshold before the worst


def test_small_sets_are_held_whole_and_large_ones_as_far_as_there_is_room() -> None:
    scores, labels = np.arange(60, dtype=np.float32), np.tile([0.0, 1.0, NAN], 20)
    assert len(choose(scores, labels, [30.0], most=60).rows) == 60
    some = choose(scores, labels, [30.0, 20.0, 10.0, 40.0], most=20)
    assert len(some.rows) <= 20
    assert set(choose(scores, labels, [30.0], most=0).rows) < set(some.rows)


@pytest.mark.parametrize("label", [0.0, 1.0, NAN])
def test_one_post_or_labels_of_one_kind_are_enough(label: float) -> None:
    assert choose([0.5], [label], [0.5]).rows.tolist() == [0]
    assert len(choose([0.5, 0.7, 0.9], [label] * 3, []).rows) == (0 if np.isnan(label) else 2)


def test_a_page_of_many_policies_holds_fewer_posts_of_each() -> None:
    assert [most_of_policy(n, 6) for n in (1, 20, 50, 1000)] == [200, 200, 80, 24]
