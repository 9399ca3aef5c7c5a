"""Moved thresholds against slow definitions: precision, recall and their bounds, of equal and of unequal labels."""

import math
from dataclasses import replace

import numpy as np
import pytest
from moved_cases import Drawn, MovedCase, anywhere, draw, move
from slow_bets import lowest_precision, recall_ends, wealth_on_recall
from slow_figures import figures, highest_share, lowest_share

from calibrate.corrections import Corrections
from calibrate.policy_calibration import DEFAULT_SETTINGS, BandCalibration, Settings

BANDS = [
    {"action": "auto_remove", "target_precision": 0.7, "confidence": 0.8},
    {"action": "restrict", "target_recall": 0.6, "confidence": 0.8},
    {"action": "review", "capacity_per_day": 50},
]


def cases(n_cases: int, seed: int, settings: Settings = DEFAULT_SETTINGS, *, n: int = 60, **keys) -> list[MovedCase]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(n_cases):
        size = int(random.choice([1, 4, n // 2, n]))
        floor = float(np.float32(random.normal(-0.5, 0.5))) if random.random() < 0.4 else None
        drawn = draw(random, n=size, n_posts=40, floor=floor, **keys)
        case = move(random, drawn, BANDS, [], anywhere, settings)
        found.append(replace(case, drawn=counted(drawn, settings)))
    return found


def counted(drawn: Drawn, settings: Settings) -> Drawn:
    """With unknown labels as they were asked to be counted."""
    if settings.corrections.unresolved == "left_out":
        return drawn
    return replace(drawn, items=[replace(item, label=item.label or 0) for item in drawn.items])


def moved_bands(found: list[MovedCase], n_claims: int = 1) -> list[tuple[MovedCase, BandCalibration, float, float]]:
    """Those that were moved and are on, with their threshold and the confidence of their bounds."""
    return [
        (case, band, threshold, 0.95 if band.point.kind == "capacity" else 1 - (1 - 0.8) / n_claims)
        for case in found
        for place, band in enumerate(case.after.bands)
        if (threshold := case.moves.get(place)) is not None
    ]


def check_estimates(case: MovedCase, band: BandCalibration, threshold: float) -> bool:
    """Counts and shares are those of the items; False where the labels say nothing, and neither does the point."""
    point, drawn = band.point, case.drawn
    expected = figures(drawn.items, threshold)
    assert (point.n_flagged, point.n_flagged_labelled) == (expected.n_flagged, expected.n_flagged_labelled)
    if drawn.floor is not None and threshold < drawn.floor:
        assert (point.precision, point.precision_lower_bound) == (None, None)
        assert (point.recall, point.recall_interval, point.recall_above) == (None, None, None)
        return False
    for ours, theirs in ((point.precision, expected.precision), (point.recall, expected.recall)):
        assert ours == (None if theirs is None else pytest.approx(theirs, rel=1e-12))
    assert point.recall_above == (drawn.floor if expected.recall is not None else None)
    assert (point.precision_lower_bound is None) == (expected.precision is None)
    assert (point.recall_interval is None) == (expected.recall is None)
    return True


@pytest.mark.parametrize(("unresolved", "n_claims"), [("left_out", 1), ("not_violating", 1), ("left_out", 3)])
def test_equal_labels(unresolved: str, n_claims: int) -> None:
    n_checked = n_silent = n_open = 0
    settings = Settings(n_claims=n_claims, corrections=Corrections(unresolved=unresolved))
    for case, band, threshold, confidence in moved_bands(cases(110, 1, settings), n_claims):
        if not check_estimates(case, band, threshold):
            n_silent += 1
            continue
        flagged = [item for item in case.drawn.items if item.score >= threshold]
        right, known = sum(item.label == 1 for item in flagged), sum(item.label is not None for item in flagged)
        violating = sum(item.label == 1 for item in case.drawn.items)
        point = band.point
        if known:
            assert point.precision_lower_bound == pytest.approx(lowest_share(right, known, 1 - confidence), abs=1e-9)
        else:
            n_open += 1
        if known and violating:
            half = (1 - confidence) / 2
            ends = lowest_share(right, violating, half), highest_share(right, violating, half)
            assert point.recall_interval == pytest.approx(ends, abs=1e-9)
        n_checked += 1
    assert n_checked > 60
    assert n_silent > 2
    assert n_open > 0


def test_found_thresholds_speak_of_the_same_labels_as_moved_ones() -> None:
    """Where unknown labels count against the precision they do so in every figure."""
    n_seen = 0
    for case in cases(40, 7, Settings(corrections=Corrections(unresolved="not_violating"))):
        for band in case.before.bands:
            if band.point.threshold is not None:
                check_estimates(case, band, band.point.threshold)
                assert (band.point.n_unknown, band.point.n_labelled) == (0, len(case.drawn.items))
                n_seen += 1
    assert n_seen > 20


@pytest.mark.parametrize("keys", [{"weighted": True}, {"clustered": True}, {"weighted": True, "clustered": True}])
def test_unequal_labels(keys: dict[str, bool]) -> None:
    n_checked = n_informed = 0
    for case, band, threshold, confidence in moved_bands(cases(20, 2 + len(keys), n=36, **keys)):
        drawn, point = case.drawn, band.point
        is_uneven = len({item.weight for item in drawn.items}) > 1 or len(
            named := [item.cluster for item in drawn.items if item.cluster]
        ) > len(set(named))
        if not check_estimates(case, band, threshold) or not is_uneven:
            continue
        n_checked += 1
        if point.precision is not None:
            assert point.precision_lower_bound == lowest_precision(drawn.items, threshold, 1 - confidence)
            assert point.precision_lower_bound <= point.precision
        if point.recall is not None:
            assert point.recall_interval == recall_ends(drawn.items, threshold, confidence)
            n_informed += point.recall_interval != (0.0, 1.0)
    assert n_checked > 10
    assert n_informed > 5


def test_an_end_of_the_recall_is_where_bets_no_longer_refute() -> None:
    """The interval by its own test: at an end bets win 2 / delta, one step further they do not."""
    n_low = n_high = 0
    for case, band, threshold, confidence in moved_bands(cases(16, 10, n=40, weighted=True)):
        if band.point.recall_interval is None or len({item.weight for item in case.drawn.items}) == 1:
            continue
        enough = math.log(2 / (1 - confidence))
        low, high = band.point.recall_interval
        for end, missed in ((low, False), (1 - high, True)):
            if end > 0:
                assert wealth_on_recall(case.drawn.items, threshold, end, missed=missed) >= enough
                n_low, n_high = n_low + (not missed), n_high + missed
            if end < 127 / 128:
                assert wealth_on_recall(case.drawn.items, threshold, end + 1 / 128, missed=missed) < enough
    assert n_low > 1
    assert n_high > 1


def test_the_page_never_shows_more_than_the_signed_interval_of_a_large_set() -> None:
    """The page reads an interval off 40 places; signing computes it at the threshold."""
    random = np.random.default_rng(12)
    drawn = draw(random, n=150, n_posts=10, weighted=True)
    assert sum(item.label == 1 for item in drawn.items) > 40
    seen = 0
    for _ in range(5):
        case = move(random, drawn, BANDS[2:], [], anywhere, DEFAULT_SETTINGS)
        for place, threshold in case.moves.items():
            band = case.after.bands[place]
            if threshold is None or band.point.recall_interval is None:
                continue
            cut = int(np.flatnonzero(case.numbers.cuts == np.float32(threshold))[0])
            shown = case.numbers.bounds[band.confidence]
            low, high = band.point.recall_interval
            assert shown.recall_low[cut] <= low
            assert shown.recall_high[cut] >= high
            seen += 1
    assert seen > 1
