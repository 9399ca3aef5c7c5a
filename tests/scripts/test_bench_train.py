"""The benchmark of training measures each claim, prints it, and fails where one does not hold."""

import sys

import pytest
import torch

from scripts import bench_train
from scripts.bench_calibrate import Claims
from scripts.bench_train import Sizes, Sources

SMALL = Sizes(steps=1, blocks=2, batch_size=2, megapixels=0.1, photos=16)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.slow
def test_each_claim_is_measured_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    sources = Sources(pixels=64)
    bench_train.full_fine_tuning(Claims(), sources, SMALL)
    bench_train.cached_features(Claims(), sources, SMALL)
    bench_train.cache_speedup(Claims(), sources, SMALL)
    bench_train.worker_scaling(Claims(), SMALL)
    rows = capsys.readouterr().out.splitlines()
    asked = ["below 1.03 x", "below 1 ms", "at least 30 x", "at least 1.8 x"]
    assert [next(one for one in asked if one in row) for row in rows] == asked


def test_blocks_take_turns_and_only_their_own_time() -> None:
    turns = bench_train.in_turns(3, lambda: None, lambda: sum(range(200_000)))
    assert [len(one) for one in turns] == [3, 3]
    assert min(turns[1]) > max(turns[0])


@pytest.mark.parametrize(("slower", "code"), [(1.0, 0), (2.0, 1)])
def test_a_claim_that_fails_is_the_exit_code(
    slower: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(claims: Claims, *given: object) -> None:
        claims.below("a step", slower, bench_train.MOST_SLOWDOWN, "x", "")

    monkeypatch.setattr(bench_train, "full_fine_tuning", measured)
    for other in ("cached_features", "cache_speedup", "worker_scaling"):
        monkeypatch.setattr(bench_train, other, lambda *given: None)
    monkeypatch.setattr(sys, "argv", ["bench_train"])
    assert bench_train.main() == code
    said = capsys.readouterr().out
    assert "threads of torch" in said
    assert ("FAILED a step" in said) == bool(code)
