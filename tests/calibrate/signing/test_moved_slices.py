"""Slices at moved thresholds against slow definitions: certified, below or insufficient, by scan and by bets."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from moved_cases import MovedCase, anywhere, draw, move
from slow_slices import Asked, slice_at

from calibrate.corrections import Corrections
from calibrate.policy_calibration import Settings
from calibrate.report.live.slices import UNTESTED
from calibrate.slices import STATUSES

BANDS = [
    {"action": "auto_remove", "target_precision": 0.6, "confidence": 0.8},
    {"action": "restrict", "target_precision": 0.8, "confidence": 0.8},
    {"action": "review", "target_recall": 0.6, "confidence": 0.8},
]
RULE = {"by": "market", "min_flagged": 10, "min_precision": 0.7}
PLAIN = Settings(slices="own")


def cases(n_cases: int, seed: int, settings: Settings = PLAIN, **keys) -> list[MovedCase]:
    random = np.random.default_rng(seed)
    found = []
    for number in range(n_cases):
        drawn = draw(random, n=int(random.choice([12, 60, 110])), **keys)
        rule = RULE if number % 2 else {"by": "market", "min_flagged": 10}
        found.append(move(random, drawn, BANDS, [rule], anywhere, settings))
    return found


def asked_of(case: MovedCase, place: int, n_claims: int) -> Asked:
    """What band `place` asks of every market; with one column its whole part of delta is for these."""
    band, [rule] = case.policy.bands[place], case.policy.slices
    assert band.target_precision is not None
    delta = (1 - band.confidence) / n_claims
    return Asked("market", rule.min_precision or band.target_precision, delta, rule.min_flagged)


@pytest.mark.parametrize(
    ("n_cases", "n_claims", "keys"),
    [
        (90, 1, {}),
        (40, 2, {}),
        (7, 1, {"weighted": True}),
        (7, 1, {"clustered": True}),
        (4, 1, {"weighted": True, "clustered": True}),
    ],
)
def test_status_by_brute_force(n_cases: int, n_claims: int, keys: dict[str, bool]) -> None:
    seen: Counter[str] = Counter()
    for case in cases(n_cases, 1 + len(keys), replace(PLAIN, n_claims=n_claims), **keys):
        names = {dict(item.markets)["market"] for item in case.drawn.items} - {None}
        for place, threshold in case.moves.items():
            band = case.after.bands[place]
            if threshold is None or band.point.kind == "recall":
                assert band.slices == ()
                continue
            assert {part.value for part in band.slices} == names
            asked = asked_of(case, place, n_claims)
            for part in band.slices:
                expected = slice_at(case.drawn.items, asked, part.value, threshold)
                assert part.target == asked.target
                assert part.status == expected.status, (part, expected)
                assert part.n_labelled == expected.n_labelled
                assert part.n_flagged_labelled == expected.n_flagged_labelled
                assert part.precision == (
                    None if expected.precision is None else pytest.approx(expected.precision, rel=1e-12)
                )
                assert (part.threshold is not None) == (expected.reached[1] > 0)
                if part.threshold is not None:
                    own = slice_at(case.drawn.items, asked, part.value, part.threshold)
                    assert (own.n_flagged_labelled, own.status) == (expected.reached[1], "certified")
                seen[part.status] += 1
    assert sum(seen.values()) > 10
    assert keys or min(seen[status] for status in STATUSES) > 3, seen


def test_a_band_that_stays_keeps_its_slices() -> None:
    n_kept = 0
    for case in cases(25, 5):
        for place, (was, band) in enumerate(zip(case.before.bands, case.after.bands, strict=True)):
            if place not in case.moves:
                assert band.slices == was.slices
                n_kept += bool(was.slices)
    assert n_kept > 3


@pytest.mark.parametrize("unresolved", ["left_out", "not_violating"])
def test_the_page_tells_of_a_slice_what_signing_tells(unresolved: str) -> None:
    """Also where unknown labels count against the precision."""
    settings = Settings(corrections=Corrections(unresolved=unresolved))
    seen: Counter[str] = Counter()
    for case in cases(40, 6, settings):
        for place, threshold in case.moves.items():
            if threshold is None or case.after.bands[place].point.kind == "recall":
                continue
            numbers = case.numbers
            cut = int(np.flatnonzero(numbers.cuts == np.float32(threshold))[0])
            for part in case.after.bands[place].slices:
                row = numbers.slices.keys.index(("market", part.value))
                shown = numbers.slices.statuses[place][row, cut]
                assert shown != UNTESTED
                assert STATUSES[shown] == part.status, part
                seen[part.status] += 1
                assert numbers.slices.labelled[row, cut] == part.n_flagged_labelled
                assert numbers.slices.n_labelled[row] == part.n_labelled
    assert len(seen) > 1, seen
