"""The verb `bench`: how fast a release answers on this machine, as a page and as JSON."""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime
from pydantic import Field

from data.errors import InputError
from data.progress import tracked
from data.summary import Summary
from export.bench.report import BenchReport, Row, Skipped, write_report
from export.machine import this_machine
from export.model_folder import ModelFolder, read_model_folder
from export.release.manifest import read_manifest
from export.release.replay import read_exchange, read_replay

Count = Annotated[int, Field(ge=1)]
ROOT = Path(__file__).resolve().parents[2]
LEAST_REQUESTS = 30
EXECUTION: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


def bench(
    *,
    release: Path,
    out: Path,
    precisions: list[str] | None = None,
    batch_sizes: list[Count],
    threads: list[Annotated[int, Field(ge=0)]],
    seconds: Annotated[float, Field(gt=0)] = 3.0,
) -> Summary:
    """Measure a release; it is only read. Writes `out/ID/bench.json` and `out/ID/index.html`.

    Args:
        release: folder that `seal` wrote.
        out: a folder for each release is made here.
        precisions: of its ONNX files; None for all that it holds.
        batch_sizes: items a request.
        threads: of one operator, on the CPU; 0: as predict.py runs.
        seconds: of requests for each row, and at least 30 requests.

    Raises:
        InputError: there is no release, it lacks a precision, or a model cannot be run.
    """
    release_id = read_manifest(release).release_id
    folder = read_model_folder(release)
    wanted = list(folder.record.precisions) if precisions is None else precisions
    files = {precision: folder.onnx_file(precision) for precision in wanted}
    skipped = [
        Skipped(what=f"onnxruntime-{name}", reason=f"this ONNX Runtime has no {provider}")
        for name, provider in EXECUTION.items()
        if provider not in onnxruntime.get_available_providers()
    ]
    ways = [
        (precision, provider, size, count)
        for precision in wanted
        for provider in EXECUTION
        if EXECUTION[provider] in onnxruntime.get_available_providers()
        for size in batch_sizes
        for count in (threads if provider == "cpu" else [0])
    ]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        inputs, n_inputs = _write_inputs(folder, Path(scratch))
        for precision, provider, size, count in tracked(ways, "bench", len(ways)):
            spec = {
                "onnx": str(files[precision].resolve()),
                "inputs": str(inputs),
                "count": n_inputs,
                "batch_size": size,
                "threads": count,
                "provider": EXECUTION[provider],
                "seconds": seconds,
                "requests": LEAST_REQUESTS,
            }
            measured = _measured(spec, Path(scratch) / "spec.json")
            way = {"precision": precision, "batch_size": size, "threads": count}
            rows.append(Row(runtime=f"onnxruntime-{provider}", **way, **measured))
    report = BenchReport(
        release=release_id,
        model_digests={precision: folder.record.precisions[precision].model_digest for precision in wanted},
        machine=this_machine(),
        versions={"onnxruntime": version("onnxruntime"), "numpy": version("numpy"), "python": _python()},
        n_inputs=n_inputs,
        rows=rows,
        skipped=skipped,
    )
    written = write_report(out / release_id, report)
    lines = [f"skipped {each.what}: {each.reason}" for each in skipped]
    return Summary(f"bench: {len(rows)} ways to run release {release_id}", written, [*map(_line, rows), *lines])


def _write_inputs(folder: ModelFolder, scratch: Path) -> tuple[Path, int]:
    """The release's golden inputs, for the processes that measure."""
    golden = folder.folder / "golden"
    count = len(read_replay(golden).item_ids)
    arrays = {
        f"{place}/{name}": array
        for place in range(count)
        for name, array in read_exchange(golden, place)[0].arrays().items()
    }
    np.savez(scratch / "inputs.npz", **arrays)  # type: ignore[arg-type]
    return scratch / "inputs.npz", count


def _measured(spec: dict[str, object], file: Path) -> dict[str, float]:
    file.write_text(json.dumps(spec), encoding="utf-8")
    command = [sys.executable, "-m", "export.bench.worker", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        raise InputError(f"{spec['onnx']}: cannot be measured with {spec['provider']}: {reason}")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def _line(row: Row) -> str:
    return (
        f"{row.runtime} {row.precision}, batch {row.batch_size}, {row.threads or 'default'} threads: "
        f"p50 {row.p50_ms:.1f}, p95 {row.p95_ms:.1f}, p99 {row.p99_ms:.1f} ms; {row.items_per_second:.0f} items/s"
    )


def _python() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])
