"""bench_calibrate still runs, on small sets; its figures are for people to print, not for tests."""

import pytest

from scripts.bench_calibrate import Claims, certified_curve, draw
from scripts.bench_calibrate_verb import verb_from_arrays, verb_from_files


@pytest.mark.parametrize("kind", ["probabilities", "logits", "8 bits"])
def test_what_is_timed_is_certified(kind: str) -> None:
    certified_curve(*draw(kind, 30_000))


def test_the_verb_runs_from_arrays_and_from_files() -> None:
    assert verb_from_arrays(1, 3000) > 0
    assert verb_from_files(1, 300) > 0


def test_claims_that_fail_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    claims = Claims()
    claims.at_least("fast", 10, 10, "")
    claims.below("light", 2.9, 3, "x", "")
    assert not claims.failures
    claims.at_least("fast", 9.9, 10, "")
    claims.below("light", 3.0, 3, "x", "")
    assert [failure.split(":")[0] for failure in claims.failures] == ["fast", "light"]
    assert capsys.readouterr().out.count("FAILS") == 2
