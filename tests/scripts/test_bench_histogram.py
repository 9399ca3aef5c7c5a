"""The benchmark of counting says what it measured, and fails where a claim does."""

from pathlib import Path

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


@pytest.mark.parametrize(("growth", "failures"), [(1.0, 0), (4.0, 1)])
def test_memory_that_grows_is_a_failure(growth: float, failures: int, monkeypatch) -> None:
    monkeypatch.setattr(bench_histogram, "SMALL", 1_000)
    monkeypatch.setattr(bench_histogram, "LARGE", 4_000)
    peaks = iter([100.0, 100.0 * growth])
    monkeypatch.setattr(bench_histogram, "_peak", lambda path: next(peaks))
    assert len(bench_histogram._memory()) == failures


def test_peak_memory_is_that_of_the_verb(tmp_path: Path) -> None:
    bench_histogram._write_posts(tmp_path / "posts.parquet", 1_000)
    assert 50 < bench_histogram._peak(tmp_path / "posts.parquet") < 2_000
    assert (tmp_path / "posts.traffic.parquet").is_file()
