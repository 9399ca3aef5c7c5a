import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.monitoring.throughput import NOTHING, WATCHED_STEPS, StarvationWatch, Step, shares_of

durations = st.floats(0, 1e4, allow_nan=False)


@given(seconds=durations, waited=durations, decoding=durations, num_workers=st.integers(0, 64))
def test_shares_sum_to_one(seconds: float, waited: float, decoding: float, num_workers: int) -> None:
    shares = shares_of(Step(1, seconds, waited, decoding), num_workers)
    assert shares.decode + shares.wait + shares.compute == pytest.approx(1)
    assert min(shares.decode, shares.wait, shares.compute) >= 0


def test_what_workers_decode_beside_the_step_is_no_waiting() -> None:
    assert shares_of(Step(8, seconds=1.0, waited=0.0, decoding=0.9), 2).decode == 0
    blocked = shares_of(Step(8, seconds=1.0, waited=0.5, decoding=0.8), 2)
    assert (blocked.decode, blocked.wait) == pytest.approx((0.4, 0.1))


def test_steps_add_up() -> None:
    total = NOTHING + Step(8, 1.0, 0.25, 0.5) + Step(4, 2.0, 0.5, 0.5)
    assert total == Step(12, 3.0, 0.75, 1.0, steps=2)


def watched(step: Step, *, num_workers: int, times: int = WATCHED_STEPS) -> list[str]:
    watch = StarvationWatch(num_workers=num_workers, num_cores=4)
    return [warning for _ in range(times) if (warning := watch.add(step)) is not None]


def test_a_starved_step_is_said_once_after_many_steps_with_the_key_to_change() -> None:
    starved = Step(8, seconds=1.0, waited=0.6, decoding=2.0)
    assert not watched(starved, num_workers=2, times=WATCHED_STEPS - 1)
    (warning,) = watched(starved, num_workers=2, times=5 * WATCHED_STEPS)
    assert "60% of the last 50 steps' time" in warning
    assert "raise optim.num_workers (now 2; 4 cores here)" in warning
    assert "\n" not in warning


def test_the_advice_is_one_that_helps() -> None:
    (busy,) = watched(Step(8, seconds=1.0, waited=0.6, decoding=4.0), num_workers=4)
    assert "keeps all 4 cores busy: lower data.preprocessing" in busy
    (cached,) = watched(Step(8, seconds=1.0, waited=0.6, decoding=0.0), num_workers=0)
    assert "num_workers" not in cached


def test_steps_that_come_together_are_watched_as_one_by_one() -> None:
    watch = StarvationWatch(num_workers=2, num_cores=4)
    assert watch.add(Step(160, seconds=20.0, waited=12.0, decoding=40.0, steps=20)) is None
    warning = watch.add(Step(240, seconds=30.0, waited=3.0, decoding=60.0, steps=30))
    assert warning is None  # three tenths: as much as may be
    warning = watch.add(Step(400, seconds=50.0, waited=30.0, decoding=100.0, steps=60))
    assert warning is not None
    assert "60% of the last 60 steps' time" in warning  # the fifty before were judged already


def test_a_fed_step_is_not_warned_about() -> None:
    assert not watched(Step(8, seconds=1.0, waited=0.25, decoding=4.0), num_workers=4, times=500)
