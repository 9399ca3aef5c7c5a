"""How fast a run trains and what it waits for: measured at each step, logged with its loss, summed up at the end.

Times are of the wall clock: they go to loggers and `throughput.json`, never into metrics.json or a checkpoint. What
they mean is in train.monitoring.throughput.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from data.loading import Batch
from train.job.module import LOSS
from train.monitoring.clocks import GpuClock, WallClock
from train.monitoring.flops import StepFlops, number_format, peak_flops
from train.monitoring.throughput import NOTHING, StarvationWatch, Step, shares_of

SCHEMA = "setpoint/train_throughput/v1"
COUNTED_STEP = 1  # whose FLOPs are counted: not the first, which warms up
SETTLED_STEPS = 10  # measured moments that are added up together: one by one they would cost as much as a layer


class _Moments(NamedTuple):
    """Of one step: the end of the step before, the batch's arrival, the end."""

    before: Any
    arrived: Any
    end: Any
    items: int
    decoding: float
    is_first: bool


class _Arrival(Callback):
    """The moment at which a batch is there; the first of the callbacks."""

    def __init__(self, monitor: "ThroughputMonitor") -> None:
        self.monitor = monitor
        self.moment: Any = None

    def on_train_batch_start(self, *given: Any) -> None:
        """The batch is here."""
        del given
        self.moment = self.monitor.clock.now()


class ThroughputMonitor(Callback):
    """Measures training steps. `watch` puts it around the other callbacks: what they do counts as computing.

    A step begins where the one before it ended. Validation, checkpoints between epochs and the first step of a
    process, in which libraries warm up, are left out.

    Args:
        counts: further figures to log once, by name.
    """

    def __init__(self, counts: dict[str, float]) -> None:
        self.counts = counts
        self.total, self.since_log = NOTHING, NOTHING
        self.clock = WallClock()
        self.first_step = self.num_workers = 0
        self.peak: float | None = None
        self.flops_per_item: float | None = None
        self._arrival = _Arrival(self)
        self._pending: deque[_Moments] = deque()
        self._counter: StepFlops | None = None
        self._mark: Any = None
        self._is_first, self._seen, self._logged_step = True, 0, 0

    def watch(self, trainer: lightning.Trainer) -> None:
        """Join a trainer, whose own order of callbacks knows no first and last."""
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks.insert(0, self._arrival)
        callbacks.append(self)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the counts, look at the loader and the device."""
        loader: Any = trainer.train_dataloader
        self.num_workers = int(getattr(loader, "num_workers", 0))
        self.starvation = StarvationWatch(num_workers=self.num_workers, num_cores=_num_cores())
        self.peak = None
        if pl_module.device.type == "cuda":
            self.clock = GpuClock()
            device_name = torch.cuda.get_device_name(pl_module.device)
            self.peak = peak_flops(device_name, number_format(str(trainer.precision)))
        self.first_step = self._logged_step = trainer.global_step
        self._began, self._batches_before = time.perf_counter(), trainer.fit_loop.total_batch_idx + 1
        _log(trainer, self.counts)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Time starts."""
        del trainer, pl_module
        self._restart()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Time starts again, where validation comes in the middle of an epoch."""
        del trainer, pl_module
        self._restart()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Count the FLOPs of one step."""
        del trainer, pl_module, batch, batch_idx
        if self.peak is not None and self._seen == COUNTED_STEP:
            self._counter = StepFlops()
            self._counter.start()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """The step is over: note when, and add up now and then."""
        del pl_module, batch_idx
        items = len(batch.labels)
        end = self.clock.now()
        if self._counter is not None:
            self.flops_per_item = self._counter.stop() / items
            self._counter = None
        elif self._seen:
            moments = _Moments(self._mark, self._arrival.moment, end, items, batch.decode_seconds, self._is_first)
            self._pending.append(moments)
        self._seen += 1
        self._mark, self._is_first = end, False
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        step = trainer.global_step
        is_logged = bool(every) and step % every == 0 and step != self._logged_step
        if is_logged or len(self._pending) >= SETTLED_STEPS:
            self._settle()
        if is_logged or trainer.is_last_batch:
            trainer.callback_metrics[LOSS] = outputs[LOSS]  # for callbacks that monitor it
        if is_logged:
            figures = self._figures(trainer) if self.since_log.steps else {}
            throughput = {f"throughput/{name}": value for name, value in figures.items()}
            _log(trainer, {LOSS: float(outputs[LOSS]), **throughput})
            self.since_log, self._logged_step = NOTHING, step

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Count what the GPU had still to do."""
        del trainer
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        self._settle()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Leave no mode of torch behind."""
        del trainer, pl_module, exception
        if self._counter is not None:
            self._counter.stop()
            self._counter = None

    def _restart(self) -> None:
        self._mark, self._is_first = self.clock.now(), True

    def _settle(self) -> None:
        """Take the measurements whose moments have passed."""
        passed = []
        while self._pending and self.clock.passed(self._pending[0].end):
            passed.append(self._pending.popleft())
        steps = self._sum_of(passed)
        self.total, self.since_log = self.total + steps, self.since_log + steps
        # At the start of an epoch workers fill their queues: no more of them would change that.
        warning = self.starvation.add(self._sum_of([one for one in passed if not one.is_first]))
        if warning is not None:
            _say(warning)

    def _sum_of(self, moments: Sequence[_Moments]) -> Step:
        seconds = self.clock.seconds
        return Step(
            sum(one.items for one in moments),
            sum(seconds(one.before, one.end) for one in moments),
            sum(seconds(one.before, one.arrived) for one in moments),
            sum(one.decoding for one in moments),
            len(moments),
        )

    def _figures(self, trainer: lightning.Trainer) -> dict[str, float]:
        left = self.seconds_left(trainer)
        figures = _rates(self.since_log, self.num_workers, trainer.world_size)
        utilisation = self._utilisation(self.since_log)
        figures |= {} if utilisation is None else {"model_flops_utilisation": utilisation}
        return figures | ({} if left is None else {"seconds_left": left})

    def _utilisation(self, step: Step) -> float | None:
        """Share of the GPU's peak FLOP/s that the model's own work comes to."""
        if self.peak is None or self.flops_per_item is None or not step.seconds:
            return None
        return self.flops_per_item * step.items / step.seconds / self.peak

    def seconds_left(self, trainer: lightning.Trainer) -> float | None:
        """Until the last epoch ends, at this process's pace, validation included; None where no end is set."""
        batches = trainer.num_training_batches * (trainer.max_epochs or -1)
        if trainer.max_steps > 0:
            most = trainer.max_steps * trainer.accumulate_grad_batches
            batches = most if batches < 0 else min(batches, most)
        done = trainer.fit_loop.total_batch_idx + 1
        if not 0 < batches < float("inf") or done <= self._batches_before:
            return None
        return (batches - done) * (time.perf_counter() - self._began) / (done - self._batches_before)

    def report(self, trainer: lightning.Trainer) -> dict[str, Any]:
        """The content of `throughput.json`: all steps of this process but the first."""
        total = self.total
        return {
            "schema": SCHEMA,
            "first_step": self.first_step,
            "steps": total.steps,
            "items": total.items,
            "world_size": trainer.world_size,
            "num_workers": self.num_workers,
            **(_rates(total, self.num_workers, trainer.world_size) if total.steps else {}),
            "model_flops_utilisation": self._utilisation(total),
        }

    def line(self, trainer: lightning.Trainer) -> list[str]:
        """The same for people, in a line; none where fewer than two steps were taken."""
        if not self.total.steps:
            return []
        rates = _rates(self.total, self.num_workers, trainer.world_size)
        utilisation = self._utilisation(self.total)
        used = "" if utilisation is None else f", {utilisation:.0%} of the GPU's peak FLOP/s"
        return [
            f"throughput: {rates['items_per_second']:,.0f} items/s, {1 / rates['steps_per_second']:.3g} s a step: "
            f"{rates['share_compute']:.0%} computing, {rates['share_decode']:.0%} waiting for decoding, "
            f"{rates['share_wait']:.0%} for other loading{used}"
        ]


def _rates(step: Step, num_workers: int, world_size: int) -> dict[str, float]:
    """Figures of the steps of one process; items a second are of all processes together."""
    busy = {"worker_busy": step.decoding / step.seconds / num_workers} if num_workers else {}
    return {
        "items_per_second": step.items / step.seconds * world_size,
        "steps_per_second": step.steps / step.seconds,
        **{f"share_{name}": share for name, share in asdict(shares_of(step, num_workers)).items()},
        **busy,
    }


def _num_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@rank_zero_only
def _say(warning: str) -> None:
    print(warning, file=sys.stderr)


def _log(trainer: lightning.Trainer, figures: dict[str, float]) -> None:
    """To the loggers themselves: `self.log` would keep the figures at each step."""
    for logger in trainer.loggers if figures else ():
        logger.log_metrics(figures, step=max(0, trainer.global_step - 1))
