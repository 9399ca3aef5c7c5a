"""What int8 gains on this CPU: the part of a model with convolutions in fp32 and in int8, in turns in one process.

Run: python -m scripts.bench_precisions MODEL [--precision int8] [--rows 8] [--turns 15] [--threads 1]

MODEL is a folder that `setpoint export precisions=[fp32,int8]` or `setpoint seal` wrote. What is claimed is a ratio
of times within one process, which a busy machine changes little. Exits 1 if the encoders with convolutions gain less
than a factor of 2 on a processor that multiplies 8-bit numbers (VNNI, AMX, ARM's dot product), or are slower than in
fp32 on one that does not: AVX2 alone spends on widening what it saves on width. What has none, text encoders above
all, stays in fp32: what ONNX Runtime's dynamic quantisation of matrix products, which no export offers, would gain
and lose there is printed beside it.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from onnxruntime.quantization import QuantType, quantize_dynamic

from export.graph.contract import Contract
from export.graph.decision_head import LOGITS, load_onnx
from export.machine import this_machine
from export.model_folder import FP32, read_model_folder
from export.precision.int8 import quiet
from export.precision.parting import parted
from export.scoring.runtimes import open_session

LEAST_GAIN = 2.0
LEAST_GAIN_BY_AVX2 = 1.0
EIGHT_BIT = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}  # of the processor's flags
TOKENS, PLACES = 32, 1000
Arrays = dict[str, NDArray[np.generic]]


def bench(model: Path, *, precision: str, rows: int, turns: int, threads: int) -> list[str]:
    """Print the gains; returns the claims that failed."""
    folder, machine = read_model_folder(model), this_machine()
    print(f"{machine.cpu}: {', '.join(machine.flags)}")
    with tempfile.TemporaryDirectory() as scratch:

        def saved(part: onnx.ModelProto, name: str) -> Path:
            path = Path(scratch) / f"{name}.onnx"
            onnx.save(part, path)
            return path

        first, rest = parted(load_onnx(folder.onnx_file(FP32)))
        lower, _ = parted(load_onnx(folder.onnx_file(precision)))
        convolved = open_session(saved(first, "first"), threads=threads)
        arrays = _example(folder.contract, rows)
        times = gain(convolved, open_session(saved(lower, "lower"), threads=threads), arrays, turns)
        print(f"encoders with convolutions: {precision} {times:.2f} times the throughput of fp32")

        names = [output.name for output in convolved.get_outputs()]
        arrays |= dict(zip(names, convolved.run(names, _fed(convolved, arrays)), strict=True))
        dynamic = Path(scratch) / "dynamic.onnx"
        with quiet():
            quantize_dynamic(saved(rest, "rest"), dynamic, per_channel=True, weight_type=QuantType.QInt8)
        sessions = [open_session(Path(scratch) / name, threads=threads) for name in ("rest.onnx", "dynamic.onnx")]
        dynamic_times = gain(sessions[0], sessions[1], arrays, turns)
        logits, moved = (session.run([LOGITS], _fed(session, arrays))[0] for session in sessions)
    print(
        f"the rest is in fp32 in both; dynamic int8 of its matrix products would be {dynamic_times:.2f} times as "
        f"fast, and move a logit by {np.abs(logits - moved).mean():.2g} on average"
    )
    has_eight_bit = not EIGHT_BIT.isdisjoint(machine.flags)
    least = LEAST_GAIN if has_eight_bit else LEAST_GAIN_BY_AVX2
    return [] if times >= least else [f"{precision} gains {times:.2f}, below {least:g}"]


def gain(first: InferenceSession, second: InferenceSession, arrays: Arrays, turns: int) -> float:
    """How many times as fast the second is: the median over turns, each of which runs both."""
    for session in (first, second):
        session.run(None, _fed(session, arrays))
    ratios = []
    for _ in range(turns):
        seconds = []
        for session in (first, second):
            started = time.perf_counter()
            session.run(None, _fed(session, arrays))
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios)


def _fed(session: InferenceSession, arrays: Arrays) -> Arrays:
    return {each.name: arrays[each.name] for each in session.get_inputs()}


def _example(contract: Contract, rows: int) -> Arrays:
    random = np.random.default_rng(0)
    tensors = {tensor.name: tensor for tensor in contract.inputs}
    height, width = tensors["frames"].shape[-2:]
    highest = tensors["token_ids"].range
    arrays: Arrays = {
        "frames": random.integers(0, 256, (rows, 1, 3, height, width), dtype=np.uint8),
        "frame_mask": np.ones((rows, 1), bool),
        "frame_times": np.zeros((rows, 1), np.float32),
        "token_ids": random.integers(0, int(highest[1]) + 1 if highest else 1, (rows, TOKENS)),
        "token_mask": np.ones((rows, TOKENS), bool),
    }
    if "log_mel" in tensors:
        arrays["log_mel"] = random.normal(size=(rows, tensors["log_mel"].shape[1], PLACES)).astype(np.float32)
        arrays["audio_mask"] = np.ones((rows, PLACES), bool)
    return arrays


def main(arguments: list[str] | None = None) -> int:
    """Print the gains, and the claims that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--rows", type=int, default=8, help="of a batch, each with a frame and a text")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="of one operator")
    options = parser.parse_args(arguments)
    failures = bench(
        options.model, precision=options.precision, rows=options.rows, turns=options.turns, threads=options.threads
    )
    print("\n".join([f"FAILED: {failure}" for failure in failures] or ["all claims hold"]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
