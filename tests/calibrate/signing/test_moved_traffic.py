"""Moved thresholds against slow definitions: each band's own part, what fits a capacity, what posts it acts on."""

from dataclasses import replace

import numpy as np
import pytest
from moved_cases import MovedCase, anywhere, draw, move
from slow_figures import effects, lowest_that_fits, volume

from calibrate.policy_calibration import DEFAULT_SETTINGS, PolicyCalibration
from calibrate.report.live.consequences import NOTHING, consequences
from calibrate.report.live.reached import everything, reached_at


def some_bands(random: np.random.Generator) -> list[dict]:
    """One to five, most of them by capacity, in no order of strictness."""
    bands = []
    for place in range(random.integers(1, 6)):
        kind = random.choice(["capacity", "capacity", "precision", "recall"])
        if kind == "capacity":
            bands.append({"capacity_per_day": int(random.choice([3, 20, 60, 200, 900]))})
        else:
            target = float(random.choice([0.5, 0.7]))
            bands.append({f"target_{kind}": target, "confidence": 0.8})
        bands[-1] |= {"action": "review", "queue": f"q{place}"}
    return bands


def cases(*, floor: bool = False, scale: str = "logit") -> list[MovedCase]:
    random = np.random.default_rng([floor, len(scale)])
    found = []
    for number in range(100):
        n_posts = int(random.choice([1, 12, 90, 240]))
        drawn = draw(
            random,
            n=int(random.choice([3, 20, 60])),
            n_posts=n_posts,
            weighted=number % 25 == 0,
            floor=float(np.float32(random.normal(-0.5, 0.5))) if floor else None,
            scale=scale,
        )
        slices = [{"by": "market", "min_flagged": 5}]
        found.append(move(random, drawn, some_bands(random), slices, anywhere, DEFAULT_SETTINGS))
    return found


@pytest.fixture(
    scope="module",
    params=[{}, {"floor": True}, {"scale": "probability"}],
    ids=["plain", "floor", "probability"],
)
def found(request: pytest.FixtureRequest) -> list[MovedCase]:
    return cases(**request.param)


def test_posts_a_day_are_those_of_the_own_part(found: list[MovedCase]) -> None:
    n_taken = 0
    for case in found:
        drawn = case.drawn
        for place, band in enumerate(case.after.bands):
            threshold, below = band.point.threshold, case.below(place)
            if threshold is None:
                assert band.volume is None
                continue
            assert band.volume is not None
            expected = volume(drawn.posts, threshold, below, drawn.exposure, drawn.scale)
            n_taken += expected.high == 0
            got = band.volume
            assert (got.expected, got.low, got.high) == pytest.approx(
                (expected.expected, expected.low, expected.high), rel=1e-9, abs=1e-9
            )
            names = {(by, name) for post in drawn.posts for by, name in post.markets if name is not None}
            assert {(each.by, each.value) for each in got.slices} == names
            for each in got.slices:
                posts = [post for post in drawn.posts if dict(post.markets)[each.by] == each.value]
                part = volume(posts, threshold, below, drawn.exposure, drawn.scale)
                assert (each.expected, each.low, each.high) == pytest.approx(
                    (part.expected, part.low, part.high), rel=1e-9, abs=1e-9
                )
    assert n_taken > 5, "moves must change the order"


def test_a_promise_holds_where_the_posts_fit_or_the_threshold_was_certified(found: list[MovedCase]) -> None:
    seen: dict[tuple[str, bool, str], int] = {}
    for case in found:
        drawn = case.drawn
        for place, (was, band) in enumerate(zip(case.before.bands, case.after.bands, strict=True)):
            is_moved = place in case.moves
            threshold = case.moves[place] if is_moved else was.point.threshold
            assert band.point.threshold == threshold
            if threshold is None:
                assert band.point.status == ("switched_off" if is_moved else was.point.status)
                continue
            if band.point.kind == "capacity":
                posts = volume(drawn.posts, threshold, case.below(place), drawn.exposure, drawn.scale)
                keeps = posts.high <= band.point.target
            else:
                ends = was.point.certified_range
                keeps = ends is not None and ends[1] <= threshold <= ends[0]
            held = "fits" if band.point.kind == "capacity" else "certified"
            assert band.point.status == (held if keeps else "waived")
            key = (band.point.kind, is_moved, band.point.status)
            seen[key] = seen.get(key, 0) + 1
    assert seen["capacity", True, "fits"] > 5
    assert seen["capacity", True, "waived"] > 5


@pytest.mark.parametrize("to", ["off", "stricter", "looser"])
def test_a_band_that_stays_loses_its_promise_where_others_leave_it_more(to: str) -> None:
    random = np.random.default_rng(5)
    bands = [{"action": "review", "queue": queue, "capacity_per_day": 60} for queue in ("first", "second")]

    def wanted(_: object, __: object, calibration: PolicyCalibration) -> dict[int, float | None]:
        first, second = (band.point.threshold for band in calibration.bands)
        return {0: {"off": None, "stricter": first + 1, "looser": (first + second) / 2}[to]}

    drawn = replace(draw(random, n=40, n_posts=400), days=1.0, share=1.0)
    case = move(random, drawn, bands, [], wanted, DEFAULT_SETTINGS)
    first, second = case.after.bands
    assert second.point.threshold == case.before.bands[1].point.threshold
    assert first.point.status == {"off": "switched_off", "stricter": "fits", "looser": "waived"}[to]
    assert second.point.status == ("fits" if to == "looser" else "waived")
    assert second.volume is not None
    expected = volume(drawn.posts, second.point.threshold, first.point.threshold, 1.0, "logit")
    assert second.volume.high == pytest.approx(expected.high)
    assert (second.volume.high <= 60) == (to == "looser")


def test_a_capacity_takes_the_lowest_edge_that_fits(found: list[MovedCase]) -> None:
    if found[0].drawn.scale == "probability":
        pytest.skip("edges of probabilities are no round numbers; the logit scale shows the search")
    n_set = 0
    for case in found:
        on: list[float] = []
        for band in case.before.bands:
            if band.point.kind == "capacity":
                below = min(on) if on else None
                expected = lowest_that_fits(case.drawn.posts, below, band.point.target, case.drawn.exposure)
                assert band.point.threshold == expected
                n_set += expected is not None
            if band.point.threshold is not None:
                on.append(band.point.threshold)
    assert n_set > 20


def test_wrongful_posts_and_violations_left(found: list[MovedCase]) -> None:
    for case in found:
        drawn = case.drawn
        for place, band in enumerate(case.after.bands):
            threshold, below = band.point.threshold, case.below(place)
            if threshold is None:
                continue
            taken = NOTHING if below is None else reached_at(case.numbers, below)
            got = consequences(reached_at(case.numbers, threshold), taken, everything(case.numbers))
            expected = effects(
                drawn.items,
                drawn.posts,
                threshold,
                below,
                exposure=drawn.exposure,
                scale=drawn.scale,
                floor=drawn.floor,
            )
            for ours, theirs in ((got.wrongful, expected.wrongful), (got.left, expected.left)):
                assert (ours is None) == (theirs is None), (threshold, below, got, expected)
                if ours is not None:
                    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9), (threshold, below, got, expected)
