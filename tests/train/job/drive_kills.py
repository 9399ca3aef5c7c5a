"""Kills training runs and goes on with them, each in a fork of this process: torch is imported once.

Called with a pickled list of trials: the arguments of `train`, the place to die at, and seconds to live. Each trial
leaves its run's folder behind, with `seen.jsonl`: a line for each batch, in the order of training.
"""

import importlib
import json
import os
import pickle
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from train.job.checkpoint import read_checkpoint
from train.run import train


@dataclass(frozen=True)
class Death:
    """Where to die: in a hook of a Lightning callback, after so many optimiser steps; or, from outside, by the clock.

    Attributes:
        hook: None for by the clock.
        step: done before.
        seconds: after the first batch.
    """

    hook: str | None = None
    step: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Trial:
    """A run, by the arguments of `train`, that is killed so often before it ends."""

    given: dict[str, Any]
    deaths: tuple[Death, ...] = ()


class Watcher(Callback):
    """Writes down which items were seen; dies where it is told to."""

    def __init__(self, seen: str, hook: str | None, step: int) -> None:
        self.seen, self.hook, self.step = seen, hook, step

    def _die(self, trainer: Any, hook: str) -> None:
        if hook == self.hook and trainer.global_step >= self.step:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        line = {"epoch": trainer.current_epoch, "batch": batch_idx, "items": batch.index.tolist()}
        with Path(self.seen).open("a") as file:
            file.write(json.dumps(line) + "\n")
        self._die(trainer, "on_train_batch_start")

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self._die(trainer, "on_before_optimizer_step")

    def on_train_batch_end(self, trainer: Any, *others: Any) -> None:
        self._die(trainer, "on_train_batch_end")

    def on_validation_batch_end(self, trainer: Any, *others: Any) -> None:
        self._die(trainer, "on_validation_batch_end")


def run(given: dict[str, Any], death: Death | None) -> int:
    """Train in a fork; how it ended, as waitpid says."""
    seen = Path(given["out"]) / "seen.jsonl"
    watcher: dict[str, Any] = {"_target_": "__main__.Watcher", "seen": str(seen), "hook": None, "step": 0}
    if death is not None:
        watcher |= {"hook": death.hook, "step": death.step}
    seen.parent.mkdir(parents=True, exist_ok=True)
    with seen.open("a") as file:
        file.write("started\n")
    size = seen.stat().st_size
    child = os.fork()
    if child == 0:
        os.setsid()
        code = 1
        try:
            train(**given, callbacks={"watcher": watcher})
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    if death is not None and death.hook is None:
        while seen.stat().st_size == size:  # until the first batch
            time.sleep(0.01)
        time.sleep(death.seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    wait_for_workers_of(child)
    return status


def wait_for_workers_of(session: int) -> None:
    """Nothing that a run started outlives it."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("what the run started is still there")


def main() -> None:
    torch.set_num_threads(1)
    del sys.modules["__main__"].__file__  # workers need nothing of this module, which takes seconds to import
    for name in ("auto", "bert.modeling_bert", "bert.tokenization_bert", "timm_wrapper.modeling_timm_wrapper"):
        importlib.import_module(f"transformers.models.{name}")
    trials: list[Trial] = pickle.loads(Path(sys.argv[1]).read_bytes())
    for trial in trials:
        for death in trial.deaths:
            assert run(trial.given, death) == signal.SIGKILL, (trial.given["out"], death)
            for name in ("best", "last"):  # whole or absent
                path = Path(trial.given["out"]) / "checkpoints" / f"{name}.ckpt"
                if path.exists():
                    read_checkpoint(path)
        assert run(trial.given, None) == 0, trial


if __name__ == "__main__":
    sys.modules["drive_kills"] = sys.modules["__main__"]  # where the trials were pickled
    main()
