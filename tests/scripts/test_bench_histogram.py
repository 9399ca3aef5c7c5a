"""The benchmark of counting says what it measured, and fails where a claim does."""

import pytest

from scripts import bench_histogram


def test_it_measures_and_prints_every_claim(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(bench_histogram, "FEWEST_MILLIONS", 1.0)
    failures = bench_histogram.histogram_speed(num_scores=3_000_000, memory=False)
    said = capsys.readouterr().out
    assert "million scores a second on one core" in said
    assert "time to read them with pyarrow" in said
    assert all("as long as reading" in failure for failure in failures)


def test_a_speed_below_the_claim_is_a_failure(monkeypatch) -> None:
    monkeypatch.setattr(bench_histogram, "FEWEST_MILLIONS", 1e9)
    assert "below 1000000000" in bench_histogram.histogram_speed(num_scores=100_000, memory=False)[0]


def test_memory_that_grows_is_a_failure(monkeypatch) -> None:
    monkeypatch.setattr(bench_histogram, "SMALL", 1_000)
    monkeypatch.setattr(bench_histogram, "LARGE", 1_000)
    monkeypatch.setattr(bench_histogram, "MOST_GROWTH", 0.1)
    [failure] = bench_histogram._memory()
    assert "peak memory grows from" in failure
