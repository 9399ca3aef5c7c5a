"""Keeping the best and the last state of a run, the last one often enough that little is lost."""

import math
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint

from data.loading import Batch
from train.job.module import MONITORED, PolicyClassifier
from train.job.preemption import StopSignals
from train.job.processes import largest
from train.job.replacing import forget
from train.monitoring.metrics import PolicyMetrics


class KeepBestAndLast(Checkpoint):
    """Writes `best.ckpt` when the monitored metric rises, and `last.ckpt`, to go on from:

    after every epoch, after every so many optimiser steps or minutes, and when a signal asks to stop. Always between
    steps, when all that follows a step (its validation too) is done: a run that goes on from there computes the same
    bits as one that never stopped.

    Unlike Lightning's ModelCheckpoint it keeps no paths in its state: two runs write the same bytes.

    Args:
        folder: for both files; a run that this one replaces is deleted beside it when last.ckpt is there.
        signals: those that ask to stop.
        every_n_steps: optimiser steps; None for no such rule.
        every_n_minutes: likewise.
    """

    def __init__(
        self,
        folder: Path,
        signals: StopSignals,
        *,
        every_n_steps: int | None = None,
        every_n_minutes: float | None = None,
    ) -> None:
        self.folder, self.signals = folder, signals
        self.every_n_steps, self.every_n_minutes = every_n_steps, every_n_minutes
        self.best_score = -math.inf
        self.best_epoch = -1
        self.best_metrics: dict[str, PolicyMetrics] = {}
        self._step = self._kept_step = 0
        self._kept_at = 0.0
        self._between_batches = False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start counting; take the signals over from Lightning, which has just registered its handlers."""
        del pl_module
        self._step = self._kept_step = trainer.global_step
        self._kept_at = time.monotonic()
        self.signals.take_over()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Keep the state after the step before this batch, if it is time; leave, if asked to."""
        del pl_module, batch, batch_idx
        if trainer.global_step == self._step:
            return  # gradients are still accumulating
        self._step = trainer.global_step
        signum = self.signals.agreed(trainer)
        if (signum or self._is_due(trainer)) and self._step != self._kept_step and not is_rehearsal(trainer):
            self._between_batches = True
            self._keep_last(trainer)
            self._between_batches = False
        if signum:
            self.signals.leave(signum, trainer)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the state if it is the best so far; of equals the first. Without any metric, the latest."""
        if trainer.sanity_checking or is_rehearsal(trainer):
            return
        assert isinstance(pl_module, PolicyClassifier)
        score = float(trainer.callback_metrics[MONITORED])
        if score > self.best_score or (math.isnan(score) and self.best_score == -math.inf):
            self.best_score = -math.inf if math.isnan(score) else score
            self.best_epoch = trainer.current_epoch
            self.best_metrics = pl_module.validation_metrics
            trainer.save_checkpoint(self.folder / "best.ckpt")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the state to go on from; leave, if asked to."""
        del pl_module
        if not is_rehearsal(trainer):
            self._keep_last(trainer)
        if signum := self.signals.agreed(trainer):
            self.signals.leave(signum, trainer)

    def _is_due(self, trainer: lightning.Trainer) -> bool:
        if self.every_n_steps is not None and self._step % self.every_n_steps == 0:
            return True
        if self.every_n_minutes is None:
            return False
        # Clocks differ from process to process; checkpoints are written together.
        return bool(largest(trainer, int(time.monotonic() - self._kept_at >= 60 * self.every_n_minutes)))

    def _keep_last(self, trainer: lightning.Trainer) -> None:
        trainer.save_checkpoint(self.folder / "last.ckpt")
        if trainer.is_global_zero:
            forget(self.folder.parent)
        self._kept_step, self._kept_at = trainer.global_step, time.monotonic()

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Have Lightning's progress say that the last batch has just ended, which is what it knows how to go on from.

        At that point of its loop the validation that follows a batch is still to come; Lightning takes it as done.
        Saved there, a run would lose it. Saved here, at the start of the next batch, it is done indeed.
        """
        del trainer, pl_module
        if not self._between_batches:
            return
        loop = checkpoint["loops"]["fit_loop"]
        progress = loop["epoch_loop.batch_progress"]
        for count in (progress["total"], progress["current"]):
            count["ready"] -= 1
            count["completed"] -= 1
        progress["is_last_batch"] = False
        loop["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to know."""
        return {
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "best_metrics": {name: one.model_dump() for name, one in self.best_metrics.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier state."""
        self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]
        self.best_metrics = {
            name: PolicyMetrics.model_validate(one) for name, one in state_dict["best_metrics"].items()
        }


def is_rehearsal(trainer: lightning.Trainer) -> bool:
    """Whether a run was asked for that keeps nothing (`fast_dev_run`)."""
    return bool(getattr(trainer, "fast_dev_run", False))


def writes_files(trainer: lightning.Trainer) -> bool:
    """Whether this process writes the run's files: the first one of a run that keeps something."""
    return bool(trainer.is_global_zero) and not is_rehearsal(trainer)
