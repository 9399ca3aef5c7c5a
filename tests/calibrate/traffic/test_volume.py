"""Volumes: exact bounds, bins that a threshold cuts, and capacities that hold in repeated draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from calibrate.bands import BandPart, parts_of
from calibrate.report.shown import out_of_order
from calibrate.traffic.histogram import BIN_COUNT, bin_indices, first_score, histogram
from calibrate.traffic.volume import daily_volume, lowest_within, poisson_bounds

EDGE = 40_000


def counts_at(**bins: int) -> np.ndarray:
    counts = np.zeros(BIN_COUNT, np.int64)
    for name, count in bins.items():
        counts[int(name[1:])] = count
    return counts


@pytest.mark.parametrize("count", [1, 7, 3_000, 10**9])
def test_bounds_are_garwoods(count: int) -> None:
    low, high = poisson_bounds(count)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * count) / 2, rel=1e-9)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * (count + 1)) / 2, rel=1e-9)


def test_a_threshold_on_an_edge_cuts_no_bin() -> None:
    counts = counts_at(**{f"b{EDGE - 1}": 500, f"b{EDGE}": 300, f"b{EDGE + 1}": 200})
    volume = daily_volume(BandPart("review", first_score(EDGE)), counts, exposure=2.0, scale="logit")
    assert volume is not None
    assert volume.expected == 250
    assert (volume.low, volume.high) == tuple(bound / 2 for bound in poisson_bounds(500))


def test_bins_that_thresholds_cut_widen_the_bounds() -> None:
    counts = counts_at(**{f"b{EDGE}": 300, f"b{EDGE + 1}": 200, f"b{EDGE + 2}": 100})
    inside = np.float32((first_score(EDGE) + first_score(EDGE + 1)) / 2)
    above = np.float32((first_score(EDGE + 2) + first_score(EDGE + 3)) / 2)
    volume = daily_volume(BandPart("a", float(inside), float(above)), counts, exposure=1.0, scale="logit")
    assert volume is not None
    assert volume.expected == pytest.approx(150 + 200 + 50)
    assert volume.low == poisson_bounds(200)[0]
    assert volume.high == poisson_bounds(600)[1]
    same = daily_volume(
        BandPart("a", float(inside), first_score(EDGE + 1)),
        counts_at(**{f"b{EDGE}": 300}),
        exposure=1.0,
        scale="logit",
    )
    assert same is not None
    assert (same.low, same.expected, same.high) == (0, 150, poisson_bounds(300)[1])


@given(
    st.lists(st.floats(-17, 17, width=32), min_size=1, max_size=60),
    st.floats(-17, 17, width=32),
    st.one_of(st.none(), st.floats(-17, 17, width=32)),
    st.booleans(),
)
def test_the_true_count_lies_between_low_and_high(scores, threshold, below, probabilities) -> None:
    values = np.array([*scores, threshold], np.float32)
    limits = np.array([threshold, 99 if below is None else below], np.float32)
    scale = "probability" if probabilities else "logit"
    if probabilities:
        values, limits = (1 / (1 + np.exp(-each.astype(np.float64))) for each in (values, limits))
        values, limits = values.astype(np.float32), limits.astype(np.float32)
    part = BandPart("a", float(limits[0]), None if below is None else float(limits[1]))
    true = int(((values >= limits[0]) & ((values < limits[1]) if below is not None else True)).sum())
    volume = daily_volume(part, histogram(values, scale=scale), exposure=1.0, scale=scale)
    assert volume is not None
    if part.collides:
        assert (volume.low, volume.expected, volume.high, true) == (0, 0, 0, 0)
        return
    assert volume.low <= poisson_bounds(true)[0]
    assert poisson_bounds(true)[1] <= volume.high
    assert volume.low <= volume.expected <= volume.high


def test_a_band_that_is_off_has_no_volume() -> None:
    assert daily_volume(BandPart("a", None), counts_at(b5=1), exposure=1.0, scale="logit") is None


@pytest.mark.parametrize("scale", ["logit", "probability"])
@pytest.mark.parametrize("below", [None, 0.73])
def test_the_lowest_threshold_that_fits(scale: str, below: float | None) -> None:
    scores = np.random.default_rng(1).normal(-2, 2, 20_000).astype(np.float32)
    if scale == "probability":
        scores = (1 / (1 + np.exp(-scores))).astype(np.float32)
    limit = None if below is None else float(np.float32(below))
    part, counts = BandPart("review", None, limit, "remove"), histogram(scores, scale=scale)
    threshold = lowest_within(part, counts, 400.0, exposure=2.0, scale=scale)
    assert threshold is not None
    own = scores >= np.float32(threshold)
    if limit is not None:
        own &= scores < np.float32(limit)
    on = BandPart("review", threshold, limit, "remove")
    volume = daily_volume(on, counts, exposure=2.0, scale=scale)
    assert volume is not None
    assert poisson_bounds(int(own.sum()))[1] / 2 <= volume.high <= 400
    assert own.sum() > 700
    place = int(bin_indices(np.array([threshold], np.float32), scale=scale)[0])
    lower = BandPart("review", first_score(place - 1, scale), limit, "remove")
    worse = daily_volume(lower, counts, exposure=2.0, scale=scale)
    assert worse is not None
    assert worse.high > 400


def test_a_capacity_below_what_an_empty_day_allows_is_not_attainable() -> None:
    counts = counts_at(b100=5)
    assert lowest_within(BandPart("a", None), counts, 3.0, exposure=1.0, scale="logit") is None
    assert lowest_within(BandPart("a", None), counts, 4.0, exposure=1.0, scale="logit") == first_score(101)
    assert lowest_within(BandPart("a", None), counts, 1e6, exposure=1.0, scale="logit") == first_score(1)
    assert lowest_within(BandPart("a", None, -99.0), counts, 1e6, exposure=1.0, scale="logit") is None


def test_capacities_hold_in_repeated_draws() -> None:
    """1,500 windows of traffic: the true daily mean passes the capacity in at most 2.5 % of them (margin at 1 %)."""
    random, draws, capacity, days = np.random.default_rng(2), 1500, 60.0, 3.0
    rates = np.zeros(BIN_COUNT)
    rates[30_000:30_080] = np.geomspace(3, 0.3, 80)
    true = np.cumsum(rates[::-1])[::-1]
    wrong = 0
    for _ in range(draws):
        counts = np.zeros(BIN_COUNT, np.int64)
        counts[30_000:30_080] = random.poisson(days * rates[30_000:30_080])
        threshold = lowest_within(BandPart("review", None), counts, capacity, exposure=days, scale="logit")
        assert threshold is not None
        wrong += true[int(threshold * 2048) + 32_768] > capacity
    assert 0 < wrong < 0.025 * draws + 2.33 * np.sqrt(draws * 0.025 * 0.975)


def test_a_collision_is_told_once_and_names_the_band_that_takes_the_posts() -> None:
    parts = parts_of([("remove", 2.0), ("restrict", None), ("review", 2.0), ("escalate", 1.0), ("llm_review", 1.5)])
    assert [part.collides for part in parts] == [False, False, True, False, True]
    first, second = out_of_order(parts)
    assert first.startswith("review starts at 2.00, not below remove at 2.00")
    assert second.startswith("llm_review starts at 1.50, not below escalate at 1.00")
