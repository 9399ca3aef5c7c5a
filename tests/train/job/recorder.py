"""A callback that writes down the gradients of each step, and can send its process a signal."""

import os
import signal
from pathlib import Path
from typing import Any

import torch
from lightning import Callback


class Recorder(Callback):
    """Keeps the gradients of all steps in `path`, of the first process; sends a signal before a step if told to."""

    def __init__(self, path: str, stop_at: int | None = None, rank: int = 0, signum: int = signal.SIGTERM) -> None:
        self.path, self.stop_at, self.rank, self.signum = path, stop_at, rank, signum
        self.steps: list[dict[str, Any]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        held = {name: one.grad for name, one in pl_module.named_parameters() if one.grad is not None}
        whole = {name: getattr(grad, "full_tensor", grad.clone)() for name, grad in held.items()}
        self.steps.append(whole)
        if trainer.global_rank == self.rank and trainer.global_step == self.stop_at:
            os.kill(os.getpid(), self.signum)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero:
            torch.save(self.steps, Path(self.path))
