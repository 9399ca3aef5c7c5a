"""Model FLOPs: counted on one training step, against what a GPU could do at most."""

import re
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

# Dense TFLOP/s by number format (NVIDIA's datasheets of each card; sparse figures halved). First match wins.
PEAK_TERAFLOPS: dict[str, dict[str, float]] = {
    "B200": {"half": 2250, "tf32": 1125, "fp32": 75},
    "H200 NVL": {"half": 835, "tf32": 418, "fp32": 60},
    "H200": {"half": 989, "tf32": 495, "fp32": 67},
    "H100 NVL": {"half": 835, "tf32": 418, "fp32": 60},
    "H100 PCIe": {"half": 756, "tf32": 378, "fp32": 51},
    "H100": {"half": 989, "tf32": 495, "fp32": 67},
    "A100": {"half": 312, "tf32": 156, "fp32": 19.5},
    "A10": {"half": 125, "tf32": 62.5, "fp32": 31.2},
    "L40S": {"half": 362, "tf32": 183, "fp32": 91.6},
    "L4": {"half": 121, "tf32": 60, "fp32": 30.3},
    "V100": {"half": 125, "fp32": 15.7},
    "T4": {"half": 65, "fp32": 8.1},
}


def peak_flops(device_name: str, number_format: str) -> float | None:
    """FLOP/s that a GPU could do at most; None for one that the table does not know.

    Args:
        device_name: as `torch.cuda.get_device_name` gives it.
        number_format: half (float16, bfloat16), tf32 or fp32.

    >>> peak_flops("NVIDIA A100-SXM4-80GB", "half")
    312000000000000.0
    """
    for name, peaks in PEAK_TERAFLOPS.items():
        if re.search(rf"\b{name}\b", device_name):
            return None if number_format not in peaks else peaks[number_format] * 1e12
    return None


def number_format(precision: str) -> str:
    """What matrix products are computed in under Lightning's `precision`.

    >>> number_format("bf16-mixed")
    'half'
    """
    if precision.startswith(("bf16", "16")):
        return "half"
    return "fp32" if torch.get_float32_matmul_precision() == "highest" else "tf32"


class StepFlops:
    """Counts the FLOPs of one whole training step: forward, backward, and what gradient checkpointing computes again.

    A compiled network runs uncompiled meanwhile, for kernels of a compiler cannot be counted.
    """

    def __init__(self) -> None:
        self._counter: Any = FlopCounterMode(display=False)
        self._stance: Any = torch.compiler.set_stance("force_eager")

    def start(self) -> None:
        """Before the step."""
        self._stance.__enter__()
        self._counter.__enter__()

    def stop(self) -> int:
        """After it: FLOPs, a multiply and an add counted as two."""
        self._counter.__exit__(None, None, None)
        self._stance.__exit__(None, None, None)
        return int(self._counter.get_total_flops())
