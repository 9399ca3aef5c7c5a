"""Sampling designs: which posts of a scored pool are drawn to be labelled, and with which probability.

Numbers only; `data.drafts` reads the pool and writes the sample. N posts in the pool, n drawn, K strata.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK = 4_000_000  # posts whose places are held at once


@dataclass(frozen=True)
class Stratum:
    """Posts with one inclusion probability.

    Attributes:
        name: 1 for the highest scores.
        lowest_score: of its posts in the pool.
        n_population: posts of the pool in it.
        n_drawn: those of them that are drawn, at least 1.
    """

    name: str
    lowest_score: float
    n_population: int
    n_drawn: int

    @property
    def inclusion_prob(self) -> float:
        """With which each of its posts is drawn."""
        return self.n_drawn / self.n_population


@dataclass(frozen=True)
class Sample:
    """What was drawn.

    Attributes:
        rows: [n] places in the pool, rising.
        strata: K, the highest scores first; one for a simple random sample.
        stratum: [n], the place in `strata` of each drawn post.
    """

    rows: NDArray[np.int64]
    strata: tuple[Stratum, ...]
    stratum: NDArray[np.int64]


def draw_sample(
    scores: NDArray[np.float32],
    eligible: NDArray[np.bool_],
    *,
    size: int | list[int],
    n_strata: int = 1,
    seed: int = 0,
) -> Sample:
    """Draw without replacement: a fixed number of posts from each stratum, all of a stratum with the same chance.

    Strata halve: the lowest holds the lower half of the eligible posts by score, the next one half of the rest, …,
    the highest what is left. Posts of equal score stay together. One stratum is a simple random sample.

    Args:
        scores: float32 [N].
        eligible: [N], the population.
        size: posts to draw, shared equally by the strata (a stratum with fewer posts is drawn whole and leaves the
            rest to the others); or one number a stratum, the highest scores first.
        n_strata: K, at least 1.
        seed: the same pool, size and seed give the same sample.

    Raises:
        ValueError: more posts are asked for than there are, or not one a stratum.

    Examples:
        >>> scores = np.arange(160, dtype=np.float32)
        >>> sample = draw_sample(scores, scores >= 60, size=30, n_strata=3)
        >>> [(part.n_population, part.n_drawn, part.lowest_score) for part in sample.strata]
        [(25, 10, 135.0), (25, 10, 110.0), (50, 10, 60.0)]
    """
    edges = _stratum_edges(scores[eligible], n_strata)
    reached = [int(np.count_nonzero(eligible & (scores >= edge))) for edge in edges]
    counts = np.diff(reached, prepend=0).tolist()
    drawn = _allocation(size, counts)
    random = np.random.default_rng(seed)
    rows, stratum = [], []
    upper = np.inf
    for place, (edge, count, n_drawn) in enumerate(zip(edges, counts, drawn, strict=True)):
        inside = eligible & (scores >= edge) & (scores < upper)
        chosen = np.sort(random.choice(count, n_drawn, replace=False))
        rows.append(_rows_at(inside, chosen))
        stratum.append(np.full(n_drawn, place))
        upper = edge
    all_rows = np.concatenate(rows)
    order = np.argsort(all_rows)
    return Sample(
        rows=all_rows[order],
        strata=tuple(
            Stratum(str(place + 1), float(edge), count, n_drawn)
            for place, (edge, count, n_drawn) in enumerate(zip(edges, counts, drawn, strict=True))
        ),
        stratum=np.concatenate(stratum).astype(np.int64)[order],
    )


def _stratum_edges(population: NDArray[np.float32], n_strata: int) -> NDArray[np.float32]:
    """The lowest score of each stratum, falling; fewer where scores are tied."""
    if n_strata < 1:
        raise ValueError(f"strata must be at least 1, got {n_strata}")
    if not len(population):
        raise ValueError("no post of the pool can be drawn")
    shares = 0.5 ** np.arange(n_strata - 1, -1, -1)
    ranks = np.maximum(1, np.ceil(len(population) * shares)).astype(np.int64)  # the last is all
    kept = np.partition(population, len(population) - ranks)
    return np.unique(kept[len(population) - ranks])[::-1]


def _allocation(size: int | list[int], counts: list[int]) -> list[int]:
    if isinstance(size, list):
        if len(size) != len(counts):
            raise ValueError(f"size={size}: expected a number for each of {len(counts)} strata")
        for place, (wanted, count) in enumerate(zip(size, counts, strict=True)):
            if not 1 <= wanted <= count:
                raise ValueError(f"size={size}: stratum {place + 1} holds {count:,} posts, {wanted:,} are asked for")
        return list(size)
    if size > sum(counts):
        raise ValueError(f"size={size}: only {sum(counts):,} posts can be drawn")
    if size < len(counts):
        raise ValueError(f"size={size}: expected at least one post for each of {len(counts)} strata")
    drawn, left = [0] * len(counts), size
    for done, place in enumerate(np.argsort(counts, kind="stable").tolist()):
        drawn[place] = min(counts[place], left // (len(counts) - done))
        left -= drawn[place]
    assert left == 0, (size, counts, drawn)
    return drawn


def _rows_at(inside: NDArray[np.bool_], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the chosen ones among the true entries, a chunk at a time."""
    rows, before = [np.zeros(0, np.int64)], 0
    for begin in range(0, len(inside), CHUNK):
        places = np.flatnonzero(inside[begin : begin + CHUNK])
        here = chosen[(chosen >= before) & (chosen < before + len(places))] - before
        rows.append(places[here] + begin)
        before += len(places)
    return np.concatenate(rows)
