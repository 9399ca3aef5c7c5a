"""Draws: every post of a stratum equally often, fixed numbers, and one seed, one sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from data import sampling
from data.sampling import draw_sample


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(6, 200), st.integers(0, 2))
def test_laws_of_a_draw(seed: int, n_strata: int, size: int, digits: int) -> None:
    random = np.random.default_rng(seed)
    scores = np.round(random.normal(size=300), digits).astype(np.float32)
    eligible = scores >= -0.5
    size = min(size, int(eligible.sum()))
    sample = draw_sample(scores, eligible, size=size, n_strata=n_strata, seed=seed)
    assert len(sample.rows) == len(set(sample.rows.tolist())) == size
    assert eligible[sample.rows].all()
    assert sum(part.n_population for part in sample.strata) == eligible.sum()
    edges = np.array([part.lowest_score for part in sample.strata])
    assert (np.diff(edges) < 0).all()
    assert np.array_equal(sample.stratum, (scores[sample.rows][:, None] < edges).sum(axis=1))
    for place, part in enumerate(sample.strata):
        assert 1 <= part.n_drawn == (sample.stratum == place).sum()
        assert 0 < part.inclusion_prob <= 1
    # Horvitz and Thompson count the population from the sample.
    weights = 1 / np.array([sample.strata[place].inclusion_prob for place in sample.stratum])
    assert weights.sum() == pytest.approx(eligible.sum())


def test_posts_of_a_stratum_come_equally_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "CHUNK", 7)  # also across chunks
    scores = np.arange(40, dtype=np.float32)[::-1].copy()
    counts = np.zeros(40)
    for seed in range(600):
        sample = draw_sample(scores, scores >= 20, size=[4, 2], n_strata=2, seed=seed)
        counts[sample.rows] += 1
    assert counts[:10].sum() == 4 * 600
    assert counts[20:].sum() == 0
    for part, expected in ((counts[:10], 240), (counts[10:20], 120)):
        assert stats.chisquare(part, np.full(10, expected)).pvalue > 1e-3


def test_a_seed_is_a_sample() -> None:
    scores = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    every = np.ones(1000, bool)
    first, again, other = (draw_sample(scores, every, size=50, seed=seed).rows.tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"size": 11}, "only 10 posts"),
        ({"size": 2, "n_strata": 3}, "at least one post for each of 3"),
        ({"size": [1, 2]}, "a number for each of 1 strata"),
        ({"size": [1, 9], "n_strata": 2}, "stratum 2 holds 5 posts, 9 are asked for"),
        ({"size": 0}, "at least one post"),
        ({"size": 5, "n_strata": 0}, "strata must be at least 1"),
    ],
)
def test_orders_that_cannot_be_met(more: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw_sample(np.arange(10, dtype=np.float32), np.ones(10, bool), **more)
