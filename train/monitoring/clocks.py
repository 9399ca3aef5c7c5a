"""Moments between which time is measured: of this process, or of a GPU that works behind it."""

import time
from typing import Any

import torch


class WallClock:
    """Moments of this process, in seconds."""

    def now(self) -> Any:
        """A moment."""
        return time.perf_counter()

    def passed(self, moment: Any) -> bool:
        """Whether `seconds` may be asked."""
        del moment
        return True

    def seconds(self, start: Any, end: Any) -> float:
        """Between two moments."""
        return float(end - start)


class GpuClock(WallClock):
    """Moments of a GPU's stream: what the GPU waits for, not the process ahead of it. Never synchronises."""

    def now(self) -> Any:
        """An event, recorded behind the work that was asked for so far."""
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def passed(self, moment: Any) -> bool:
        """Whether the GPU came by."""
        return bool(moment.query())

    def seconds(self, start: Any, end: Any) -> float:
        """Between two events that have passed."""
        return float(start.elapsed_time(end)) / 1000
