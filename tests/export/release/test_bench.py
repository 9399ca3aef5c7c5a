"""`bench` on a sealed release: it measures every way asked for, and leaves the release as it was."""

import shutil
from pathlib import Path

import pytest

from data.errors import InputError
from export.bench.report import read_report
from export.bench.run import bench
from export.machine import this_machine
from export.release.manifest import differences, read_manifest


@pytest.fixture(scope="module")
def benched(untouched_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bench")
    bench(release=untouched_release, out=out, batch_sizes=[1, 3], threads=[1], seconds=0.01)
    return out / untouched_release.name


def test_every_way_is_measured_on_this_machine(benched: Path, untouched_release: Path) -> None:
    report = read_report(benched)
    assert [(row.precision, row.batch_size, row.threads) for row in report.rows] == [("fp32", 1, 1), ("fp32", 3, 1)]
    for row in report.rows:
        assert 0 < row.p50_ms <= row.p95_ms <= row.p99_ms
        assert row.n_requests >= 30
        assert row.load_ms > 0
        assert row.first_inference_ms > 0
        assert row.peak_memory_mb is None or row.peak_memory_mb > (row.memory_before_mb or 0) > 10
        assert row.items_per_second < 3000 / row.p50_ms * 30
    assert report.machine == this_machine()
    assert "onnxruntime-tensorrt" in {each.what for each in report.skipped}
    assert differences(untouched_release, read_manifest(untouched_release)) == []


def test_the_page_stands_alone_and_names_what_was_not_measured(benched: Path) -> None:
    page = (benched / "index.html").read_text()
    assert "http" not in page
    assert "<script" not in page
    assert "TensorrtExecutionProvider" in page
    assert page.count("<tr><td>") == 2


def test_what_cannot_be_measured_is_said(untouched_release: Path, tmp_path: Path) -> None:
    given = {"out": tmp_path, "batch_sizes": [1], "threads": [1], "seconds": 0.01}
    with pytest.raises(InputError, match="no precision 'int7'"):
        bench(release=untouched_release, precisions=["int7"], **given)
    with pytest.raises(InputError, match="manifest"):
        bench(release=tmp_path, **given)
    changed = shutil.copytree(untouched_release, tmp_path / "changed")
    (changed / "onnx/fp32/model.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match="was changed"):
        bench(release=changed, **given)
