"""Training as `setpoint train` does it and in a loop beside it, in turns, for scripts.bench_train.

The loop is what one would write without Lightning: the same network, loss, optimiser, schedule and loader.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger

from data.loading import Batch
from scripts.bench_train_setup import SEED, Subject
from train.job.callbacks import KeepBestAndLast
from train.job.module import seed_device
from train.job.preemption import StopSignals
from train.job.trainer import build_trainer
from train.monitoring.loggers import LogCurves
from train.monitoring.monitor import ThroughputMonitor
from train.network.forward import evidence_of
from train.optim.optimiser import adamw, parameter_groups, warmup_and_cosine


class BareLoop:
    """Training without Lightning, a step at a time, over epochs without end."""

    def __init__(self, subject: Subject, total_steps: int) -> None:
        self.device = subject.device
        self.job = subject.job().to(self.device)
        self.network, self.criterion = self.job.network, self.job.criterion
        self.optimizer = adamw(parameter_groups(self.network, self.job.optimisation))
        optimisation = self.job.optimisation
        self.schedule = warmup_and_cosine(
            self.optimizer, total_steps=total_steps, warmup_fraction=optimisation.warmup_fraction
        )
        self.batches, self.steps = _without_end(subject.loader(self.job)), 0

    def step(self) -> None:
        """Fetch a batch and learn from it; seeded step by step, as whoever wants to resume exactly does."""
        batch = next(self.batches).to(self.device)
        seed_device(self.device, SEED + self.steps)
        self.steps += 1
        with torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext():
            evidence = evidence_of(batch, self.network)
        summed = self.criterion(self.network.fuse(evidence), batch.labels, batch.p_violating)
        loss = summed.mean(num_labels=summed.num_labels, world_size=1)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()


def _without_end(made: Any) -> Iterator[Batch]:
    for epoch in count():
        made.batch_sampler.sampler.set_epoch(epoch)
        yield from made


@dataclass(frozen=True)
class Cost:
    """Of a step.

    Attributes:
        wall: seconds.
        processor: seconds of this process, all threads together; workers are other processes.
    """

    wall: float
    processor: float


class Interleaved(Callback):
    """Runs a block of steps of another loop after each block of Lightning's, and takes the time of both.

    Args:
        other: takes one step.
        block: steps a block.
    """

    def __init__(self, other: Callable[[], None], block: int) -> None:
        self.other, self.block = other, block
        self.lightning_costs: list[Cost] = []
        self.other_costs: list[Cost] = []
        self._seen, self._since = 0, _now()

    def on_train_batch_end(self, *given: Any) -> None:
        """After the last step of a block: the other's turn. The first block of each warms up."""
        del given
        self._seen += 1
        if self._seen % self.block:
            return
        now = _now()
        for _ in range(self.block):
            self.other()
        end = _now()
        if self._seen > self.block:
            self.lightning_costs.append(self._step_between(self._since, now))
            self.other_costs.append(self._step_between(now, end))
        self._since = _now()

    def _step_between(self, start: Cost, end: Cost) -> Cost:
        return Cost((end.wall - start.wall) / self.block, (end.processor - start.processor) / self.block)


def _now() -> Cost:
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()  # what was asked for belongs to the block that asked
    return Cost(time.perf_counter(), time.process_time())


def interleaved(subject: Subject, *, blocks: int, block: int) -> Interleaved:
    """Steps of the job as `setpoint train` runs it, with its callbacks and a logger, and of a bare loop, in turns.

    Args:
        subject: what to train.
        blocks: measured pairs.
        block: steps of each.
    """
    total = (blocks + 1) * block
    turns = Interleaved(BareLoop(subject, total).step, block)
    job = subject.job()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        trainer = build_trainer(
            {
                "_target_": "lightning.Trainer",
                "accelerator": subject.device.type,
                "devices": 1,
                "precision": "bf16-mixed" if subject.device.type == "cuda" else "32-true",
                "max_steps": total,
                "deterministic": "warn",
                "limit_val_batches": 0,
                "log_every_n_steps": 10,
            },
            callbacks=[KeepBestAndLast(out, StopSignals()), LogCurves()],
            extra_callbacks=None,
            logged=True,
            out=out,
        )
        trainer.logger = CSVLogger(out)
        trainer.callbacks.append(turns)  # type: ignore[attr-defined]
        ThroughputMonitor({}).watch(trainer)
        trainer.fit(job, subject.loader(job))
    return turns
