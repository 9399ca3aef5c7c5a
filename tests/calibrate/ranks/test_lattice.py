"""Steps of large sets are steps of all distinct scores, whatever the scores look like."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate import choose_threshold
from calibrate.curve import precision_recall_curve
from calibrate.ranks import lattice
from calibrate.ranks.lattice import Steps, every_step, steps_at
from calibrate.ranks.ranked import ONE_IN, rank_labels

SHAPES = {
    "logits": lambda random, n: 3 * random.normal(size=n),
    "tiny probabilities": lambda random, n: random.random(n) ** 12,
    "saturated": lambda random, n: 1 / (1 + np.exp(-20 * random.normal(size=n))),
    "8 bits": lambda random, n: random.integers(0, 256, n) / 255 - 0.5,
    "one score": lambda random, n: np.full(n, -2.5),
    "two scores": lambda random, n: random.integers(0, 2, n) * 1e-45,
    "signed zeros": lambda random, n: np.where(random.random(n) < 0.5, -0.0, 0.0),
    "neighbours in float32": lambda random, n: 1 + random.integers(0, 40, n) * 2.0**-23,
    "denormal": lambda random, n: random.integers(-30, 30, n) * 1e-45,
    "outliers": lambda random, n: np.where(
        random.random(n) < 0.1, 3e38 * random.choice([-1, 1], n), random.random(n)
    ),
    "a sentinel": lambda random, n: np.where(random.random(n) < 0.5, -999.0, random.normal(size=n)),
    "all float32": lambda random, n: random.normal(size=n) * 10.0 ** random.integers(-44, 38, n),
}


def assert_part_of(found: Steps, every: Steps, ranks: np.ndarray) -> None:
    places = np.unique(np.searchsorted(every.n_flagged, ranks))
    for name in ("scores", "next_scores", "n_flagged", "positives"):
        np.testing.assert_array_equal(getattr(found, name), getattr(every, name)[places], err_msg=name)
    assert not np.signbit(found.scores[found.scores == 0]).any()


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(32, 3000),
    cell_bits=st.sampled_from([5, 17]),
    ties_from=st.sampled_from([1, 10**9]),
)
def test_steps_at_ranks_are_among_all_steps(shape: str, seed: int, n: int, cell_bits: int, ties_from: int) -> None:
    random = np.random.default_rng(seed)
    scores = SHAPES[shape](random, n).astype(np.float32)
    codes = (random.random(n) < random.random()).astype(np.uint8)
    ranks = np.unique(random.integers(1, n + 1, random.integers(1, 60)))
    with patch.multiple(
        lattice, SORTED_UP_TO=0, CELL_BITS=cell_bits, TIES_FROM=ties_from, BLOCK=100, COUNTING_BLOCK=256
    ):
        found = steps_at(scores, codes, ranks)
    assert_part_of(found, every_step(scores, codes), ranks)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 1000), st.integers(1, 300))
def test_the_lattice_grows_as_it_says(seed: int, n: int, one_in: int) -> None:
    ranks = lattice.lattice(n, one_in=one_in)
    assert (ranks[0], ranks[-1]) == (1, n)
    assert np.all((np.diff(ranks) >= 1) & (np.diff(ranks) <= np.ceil(ranks[:-1] / one_in)))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, np.float64])
def test_large_sets_keep_exact_counts_on_either_side_of_the_limit(dtype: type) -> None:
    random = np.random.default_rng(3)
    scores = np.round(random.normal(size=3000), 3)
    labels = random.random(3000) < 1 / (1 + np.exp(-3 * scores))
    given_labels = labels.astype(dtype)
    unknown = np.zeros(3000, bool)
    if given_labels.dtype.kind == "f":
        unknown = random.random(3000) < 0.3
        given_labels[unknown] = np.nan
    n_known = int((~unknown).sum())
    every = rank_labels(scores, given_labels, most_every=n_known)
    kept = rank_labels(scores, given_labels, most_every=n_known - 1)
    assert len(every.scores) == len(np.unique(scores[~unknown].astype(np.float32))) > len(kept.scores)
    assert (kept.n_labelled, kept.n_positive, kept.n_unknown) == (n_known, labels[~unknown].sum(), unknown.sum())
    places = np.searchsorted(every.n_flagged, kept.n_flagged)
    np.testing.assert_array_equal(every.false_positives[places], kept.false_positives)
    assert [every.threshold(int(place)) for place in places] == [
        kept.threshold(step) for step in range(len(kept.scores))
    ]
    gaps = np.searchsorted(every.n_flagged, lattice.lattice(n_known, one_in=ONE_IN))
    np.testing.assert_array_equal(np.unique(gaps), places)


def test_labels_decide_no_step() -> None:
    random = np.random.default_rng(0)
    scores = random.random(30_000).astype(np.float32)
    first, second = (rank_labels(scores, random.random(30_000) < chance) for chance in (0.1, 0.9))
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.n_flagged, second.n_flagged)
    assert len(first.scores) < 1500


def test_a_large_set_is_answered_like_one_with_all_its_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lattice is finer than the ranks that a scan tests: the threshold moves by less than two of its steps."""
    random = np.random.default_rng(1)
    scores = random.normal(size=40_000).astype(np.float32)
    labels = random.random(40_000) < 1 / (1 + np.exp(-4 * scores))
    kept = choose_threshold(scores, labels, target_precision=0.9)
    curve = precision_recall_curve(scores, labels, certified_range=kept.certified_range)
    monkeypatch.setattr(rank_labels, "__kwdefaults__", {"prefix": "", "most_every": 40_000})
    every = choose_threshold(scores, labels, target_precision=0.9)
    assert kept.n_flagged == pytest.approx(every.n_flagged, rel=0.04)
    assert kept.n_flagged == (scores >= np.float32(kept.threshold)).sum()
    certified = curve.filter("certified")
    assert certified["n_flagged"].to_list()[-1] == kept.n_flagged
    whole = precision_recall_curve(scores, labels, certified_range=kept.certified_range)
    assert len(curve) < 1600 < len(whole) == len(np.unique(scores))
    assert certified.join(whole.filter("certified"), on=["threshold", "n_flagged"]).height == len(certified)


def test_all_labels_unknown() -> None:
    ranked = rank_labels(np.arange(50.0), np.full(50, np.nan), most_every=10)
    assert (len(ranked.scores), ranked.n_labelled, ranked.n_positive, ranked.n_unknown) == (0, 0, 0, 50)
