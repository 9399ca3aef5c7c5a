"""Bad input gives an answer or a ValueError that names the argument, never a wrong threshold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate import OperatingPoint, choose_recall_threshold, choose_threshold

SCORES, LABELS = np.linspace(-1, 1, 100), np.tile([0.0, 1.0], 50)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"scores": [0.1, math.nan], "labels": [0, 1]},
            "scores must be finite float32 numbers, got nan at position 1",
        ),
        ({"scores": [0.1, math.inf], "labels": [0, 1]}, "got inf at position 1"),
        ({"scores": [1e300, 1], "labels": [0, 1]}, r"got 1e\+300 at position 0"),
        ({"scores": [], "labels": []}, "scores must not be empty"),
        ({"scores": [1, 2, 3], "labels": [0, 1]}, "equally long, got 3 and 2"),
        ({"scores": [[1, 2]], "labels": [[0, 1]]}, r"scores must be one-dimensional, got shape \(1, 2\)"),
        ({"scores": 3.0, "labels": 1.0}, r"scores must be one-dimensional, got shape \(\)"),
        ({"labels": np.full(100, 0.5)}, r"labels must be 1 .*got 0.5 at position 0"),
        ({"labels": np.full(100, -1.0)}, "got -1.0 at position 0"),
        ({"labels": np.full(100, math.inf)}, "got inf at position 0"),
        ({"labels": ["yes"] * 100}, "labels must be an array of numbers"),
        ({"scores": np.full(100, 1j)}, "scores must be an array of numbers"),
        ({"scores": [[1], [2, 3]], "labels": [0, 1]}, "scores must be an array of numbers"),
        ({"target_precision": 1.0}, "target_precision must lie strictly between 0 and 1, got 1.0"),
        ({"target_precision": math.nan}, "target_precision must lie strictly"),
        ({"target_precision": "high"}, "target_precision must be a number strictly between 0 and 1, got 'high'"),
        ({"confidence": 0}, "confidence must lie strictly between 0 and 1, got 0"),
        ({"confidence": 1 + 1e-9}, "confidence must lie strictly"),
        ({"confidence": 1e-17}, "confidence must lie strictly"),
        ({"pilot_scores": SCORES}, "go together, got no pilot_labels"),
        ({"pilot_labels": LABELS}, "go together, got no pilot_scores"),
        ({"pilot_scores": SCORES, "pilot_labels": LABELS[:3]}, "equally long, got 100 and 3"),
        ({"pilot_scores": [math.nan], "pilot_labels": [1]}, "pilot_scores must be finite"),
        ({"pilot_scores": [1.0], "pilot_labels": [2]}, "pilot_labels must be 1"),
    ],
)
def test_messages_name_the_argument_and_the_value(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_threshold(**{"scores": SCORES, "labels": LABELS, "target_precision": 0.9, **arguments})


odd_numbers = st.one_of(st.floats(width=64), st.sampled_from([0.0, -0.0, 1.0, 1e-45, 3.4e38, math.nan, math.inf]))


@settings(max_examples=250, deadline=None)
@given(
    st.lists(odd_numbers, max_size=40),
    st.lists(st.sampled_from([0.0, 1.0, math.nan, 2.0]), max_size=40),
    st.one_of(st.floats(-0.5, 1.5), st.sampled_from([1e-300, 1 - 1e-16, math.nan])),
    st.one_of(st.floats(-0.5, 1.5), st.sampled_from([1e-300, 1 - 1e-16, math.nan])),
    st.sampled_from(["scan", "walk", "betting"]),
)
def test_whatever_comes_in(
    scores: list[float], labels: list[float], target: float, confidence: float, method: str
) -> None:
    def answers(choose) -> OperatingPoint | None:
        try:
            return choose()
        except ValueError as error:
            if not any(name in str(error) for name in ("scores", "labels", "target_", "confidence")):
                raise
            return None

    # Equally long lists mostly, or little would get past the first check.
    labels = (labels * (len(scores) // max(1, len(labels)) + 1))[: len(scores)] if scores else labels
    question = {"target_precision": target, "confidence": confidence}
    for point in (
        answers(lambda: choose_threshold(scores, labels, **question)),
        answers(lambda: choose_threshold(scores, labels, method=method, **question)),
        answers(lambda: choose_threshold(scores, labels, monotone_precision=True, **question)),
        answers(lambda: choose_threshold(scores, labels, pilot_scores=scores, pilot_labels=labels, **question)),
        answers(
            lambda: choose_threshold(
                scores,
                labels,
                **question,
                inclusion_prob=np.where(np.arange(len(scores)) % 3, 0.1, 1.0),
                clusters=np.arange(len(scores)) // 2,
            )
        ),
        answers(lambda: choose_recall_threshold(scores, labels, target_recall=target, confidence=confidence)),
    ):
        if point is not None and point.status == "certified":
            assert math.isfinite(point.threshold)
            assert point.n_flagged == (np.float32(scores) >= np.float32(point.threshold)).sum() > 0
        elif point is not None:
            assert point.threshold is None
            assert point.reason


def test_integers_booleans_and_lists_are_welcome() -> None:
    point = choose_threshold(list(range(200)), [True] * 200, target_precision=0.9)
    assert point == choose_threshold(np.arange(200), np.ones(200, np.int8), target_precision=0.9)
    assert point.status == "certified"
