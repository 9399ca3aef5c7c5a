"""A process that measures one way to run one ONNX file, so that its memory and its first inference are its own.

Run as: python -m export.bench.worker SPEC.json; prints JSON. Stands on numpy and onnxruntime, as a server would.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

WARM_UP = 3


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Load, first inference, then requests until `seconds` are over and at least `requests` were answered.

    Args:
        spec: onnx (path), inputs (.npz, tensors named NUMBER/NAME), count (of inputs), batch_size, threads, provider,
            seconds, requests.
    """
    with np.load(spec["inputs"]) as held:
        inputs: list[dict[str, Any]] = [{} for _ in range(spec["count"])]
        for key in held.files:
            number, _, name = key.partition("/")
            inputs[int(number)][name] = np.repeat(held[key], spec["batch_size"], axis=0)
    before = peak_memory_mb()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec["threads"]
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    began = time.perf_counter()
    session = onnxruntime.InferenceSession(spec["onnx"], options, providers=[spec["provider"]])
    if session.get_providers()[0] != spec["provider"]:
        raise RuntimeError(f"asked for {spec['provider']}, got {session.get_providers()[0]}")
    loaded = time.perf_counter()
    session.run(None, inputs[0])
    answered = time.perf_counter()
    for given in inputs * WARM_UP:
        session.run(None, given)
    seconds: list[float] = []
    start = time.perf_counter()
    while len(seconds) < spec["requests"] or time.perf_counter() - start < spec["seconds"]:
        begin = time.perf_counter()
        session.run(None, inputs[len(seconds) % len(inputs)])
        seconds.append(time.perf_counter() - begin)
    p50, p95, p99 = (1e3 * float(value) for value in np.quantile(seconds, (0.5, 0.95, 0.99)))
    return {
        "load_ms": 1e3 * (loaded - began),
        "first_inference_ms": 1e3 * (answered - loaded),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "items_per_second": spec["batch_size"] * len(seconds) / sum(seconds),
        "n_requests": len(seconds),
        "peak_memory_mb": peak_memory_mb(),
        "memory_before_mb": before,
    }


def peak_memory_mb() -> float | None:
    """The most memory that this process ever held (Linux); None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("VmHWM")), None)
    return round(int(found.split()[1]) / 1024, 1) if found else None


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
