"""Keeping the best and the last state of a run."""

import math
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint

from train.metrics import PolicyMetrics
from train.module import MONITORED, PolicyClassifier


class KeepBestAndLast(Checkpoint):
    """Writes `last.ckpt` after every epoch and `best.ckpt` when the monitored metric rises.

    Unlike Lightning's ModelCheckpoint it keeps no paths in its state: two runs write the same bytes.

    Args:
        folder: for both files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best_score = -math.inf
        self.best_epoch = -1
        self.best_metrics: dict[str, PolicyMetrics] = {}

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
        """Keep the state to go on from."""
        del pl_module
        if not is_rehearsal(trainer):
            trainer.save_checkpoint(self.folder / "last.ckpt")

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
