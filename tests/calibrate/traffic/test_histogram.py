"""Bins are exact: a threshold at a bin's edge flags the posts that are counted in it and above, and no other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.probability import as_logits
from calibrate.traffic.histogram import BIN_COUNT, CHUNK, Counter, bin_indices, first_score, histogram

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
SCORES = st.lists(st.one_of(st.floats(-17, 17, width=32), FINITE), max_size=50)
PROBABILITIES = st.lists(st.floats(0, 1, width=32), max_size=50)


def array(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


@given(SCORES, SCORES)
def test_merging_equals_one_pass(first: list[float], second: list[float]) -> None:
    together = histogram(array(first + second))
    assert (histogram(array(first)) + histogram(array(second)) == together).all()
    assert together.sum() == len(first) + len(second)
    assert together.dtype == np.int64


@given(SCORES)
def test_bins_are_those_of_exact_arithmetic(scores: list[float]) -> None:
    expected = [int(np.clip(np.floor(float(score) * 2048), -32768, 32767)) + 32768 for score in array(scores)]
    assert bin_indices(array(scores)).tolist() == expected
    assert (histogram(array(scores)) == np.bincount(expected, minlength=BIN_COUNT)).all()


@given(SCORES, st.integers(0, BIN_COUNT - 1))
def test_an_edge_flags_what_is_counted_at_and_above_it(scores: list[float], place: int) -> None:
    threshold = np.float32(first_score(place))
    assert float(threshold) == first_score(place)
    assert (array(scores) >= threshold).sum() == histogram(array(scores))[place:].sum()


@given(PROBABILITIES, st.integers(0, BIN_COUNT - 1))
def test_an_edge_on_the_probability_scale_too(scores: list[float], place: int) -> None:
    threshold = np.float32(first_score(place, "probability"))
    neighbours = [threshold, np.nextafter(threshold, np.float32(0)), np.nextafter(threshold, np.float32(1))]
    given = array([*scores, *neighbours])
    assert (given >= threshold).sum() == histogram(given, scale="probability")[place:].sum()


@given(PROBABILITIES)
def test_probabilities_are_counted_at_their_logit(scores: list[float]) -> None:
    logits = as_logits(array(scores), "probability")
    expected = np.clip(np.floor(logits * 2048), -32768, 32767) + 32768
    assert bin_indices(array(scores), scale="probability").tolist() == expected.tolist()


def test_more_than_one_chunk_and_several_batches() -> None:
    scores = np.random.default_rng(0).normal(0, 8, 2 * CHUNK + 77).astype(np.float32)
    counter = Counter()
    for part in np.array_split(scores, 5):
        counter.add(part)
    assert (counter.counts == histogram(scores)).all()
    assert (histogram(scores) == np.bincount(bin_indices(scores), minlength=BIN_COUNT)).all()
    assert counter.counts[0] == (scores < -16 + 1 / 2048).sum()
    assert counter.counts[-1] == (scores >= 16 - 1 / 2048).sum()


def test_the_largest_finite_scores_go_to_the_end_bins() -> None:
    largest = np.finfo(np.float32).max
    assert histogram(array([largest, -largest]))[[0, -1]].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("wrong", "scale", "message"),
    [
        (np.nan, "logit", "scores must be finite, got nan at position 300000"),
        (np.inf, "logit", "got inf at position 300000"),
        (-np.inf, "logit", "got -inf at position 300000"),
        (np.nan, "probability", "scores must be probabilities from 0 to 1, got nan at position 300000"),
        (1.5, "probability", "got 1.5 at position 300000"),
        (-0.5, "probability", "got -0.5 at position 300000"),
    ],
)
def test_wrong_scores_are_refused(wrong: float, scale: str, message: str) -> None:
    scores = np.full(CHUNK + 50_000, 0.5, np.float32)
    scores[300_000] = wrong
    with pytest.raises(ValueError, match=message):
        histogram(scores, scale=scale)
