"""The thresholds that the page offers, and exact counts at each."""

import numpy as np
import pytest

from calibrate import choose_threshold
from calibrate.ranks.ranked import rank_labels
from calibrate.report.live import cuts as module
from calibrate.report.live.cuts import choose_cuts, counts_at, places_of


@pytest.mark.parametrize("n", [5, 1500, 30_000])
def test_certified_thresholds_are_among_the_cuts_and_ranks_are_close(n: int) -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=n).astype(np.float32)
    labels = (random.random(n) < 1 / (1 + np.exp(-6 * scores))).astype(np.float32)
    point = choose_threshold(scores, labels, target_precision=0.9)
    chosen = [*(point.certified_range or ()), 0.123456789]
    ranked = rank_labels(scores, labels)
    cuts = choose_cuts(ranked, chosen=chosen)
    assert set(np.float32(chosen)) <= set(cuts)
    assert np.all(np.diff(cuts) < 0)
    assert len(cuts) <= 2_500
    flagged = counts_at(places_of(scores, cuts), labels, len(cuts)).labelled
    assert np.all(np.diff(flagged) <= np.maximum(1, 0.005 * flagged[:-1] + 1))
    assert flagged[-1] == n


def test_round_numbers_are_those_that_people_type() -> None:
    random = np.random.default_rng(1)
    for low, high, wanted in ((0, 1, [0.5, 0.05, 0.995]), (-8, 9, [2.5, -7, 0]), (-0.003, 0.002, [0.001, -0.002])):
        scores = random.uniform(low, high, 50)
        cuts = choose_cuts(rank_labels([*scores, low, high], [1] * 52))
        assert set(np.float32(wanted)) <= set(cuts)
        assert len(cuts) <= 54 + module.MOST_ROUND + 1
    assert len(choose_cuts(rank_labels([2.0, 2.0], [1, 0]))) == 1
    assert len(choose_cuts(rank_labels([-3e38, 3e38], [1, 0]))) == 3


@pytest.mark.parametrize("kind", ["logits", "probabilities", "ties", "outliers", "neighbours"])
def test_places_in_cells_are_those_of_a_search(kind: str) -> None:
    random = np.random.default_rng(2)
    n = 3 * module.SEARCHED_UP_TO
    logits = random.normal(-3, 4, n)
    scores = {
        "logits": logits,
        "probabilities": 1 / (1 + np.exp(-logits)),
        "ties": np.round(logits),
        "outliers": np.append(logits[:-2], [1e30, -1e30]),
        "neighbours": 1 + np.floor(logits) * 2.0**-23,
    }[kind].astype(np.float32)
    cuts = choose_cuts(rank_labels(scores, np.ones(n)), chosen=[0.5])
    places = places_of(scores, cuts)
    assert np.array_equal(places, (cuts[:, None] > scores[:2000][None]).sum(axis=0).tolist() + places[2000:].tolist())
    assert np.array_equal(places, len(cuts) - np.searchsorted(cuts[::-1], scores, side="right"))


def test_counts_are_those_of_comparing_every_item() -> None:
    random = np.random.default_rng(3)
    scores = np.round(random.normal(size=400), 1).astype(np.float32)
    labels = random.choice([0.0, 1.0, np.nan], 400).astype(np.float32)
    weights = random.uniform(1, 9, 400)
    cuts = choose_cuts(rank_labels(scores, labels))
    counts = counts_at(places_of(scores, cuts), labels, len(cuts), weights=weights)
    for place, cut in enumerate(cuts):
        flagged = scores >= cut
        assert counts.flagged[place] == flagged.sum()
        assert counts.labelled[place] == (flagged & ~np.isnan(labels)).sum()
        assert counts.positive[place] == (flagged & (labels == 1)).sum()
        assert counts.known[place] == pytest.approx(weights[flagged & ~np.isnan(labels)].sum())
        assert counts.right[place] == pytest.approx(weights[flagged & (labels == 1)].sum())
