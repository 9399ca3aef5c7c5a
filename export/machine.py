"""The machine that something is measured, or tuned, on."""

import os
import platform
import re
from pathlib import Path

from data.policy import Strict

FLAGS = (  # of the processor, that decide which kernels a runtime takes
    *("avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni"),
    *("amx_int8", "amx_bf16", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)


class Machine(Strict):
    """What times hang on.

    Attributes:
        cpu: its model, as it names itself.
        cores: that this process may use.
        flags: of FLAGS, those that it has.
        memory_gb: in all; 0 where the system does not say.
        system: kernel and architecture.
    """

    cpu: str
    cores: int
    flags: list[str]
    memory_gb: float
    system: str


def this_machine() -> Machine:
    """The one that this runs on."""
    info = _text("/proc/cpuinfo")
    found = set(_field(info, "flags|Features").split())
    kilobytes = re.search(r"^MemTotal:\s+(\d+)", _text("/proc/meminfo"), re.MULTILINE)
    return Machine(
        cpu=_field(info, "model name") or platform.processor() or platform.machine(),
        cores=usable_cores(),
        flags=[flag for flag in FLAGS if flag in found],
        memory_gb=round(int(kilobytes[1]) / 2**20, 1) if kilobytes else 0.0,
        system=f"{platform.system()} {platform.machine()}",
    )


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _field(text: str, name: str) -> str:
    found = re.search(rf"^(?:{name})\s*:\s*(.*)$", text, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""
