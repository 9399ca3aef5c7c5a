"""Hard negatives: items whose harmless labels the network scored high are drawn more often in the epochs to come.

What counts is the last score that an item got in training, dropout included; none is computed for its own sake.

Shapes: N items of the training part, P policies, B batch.
"""

from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from torch import Tensor

from data.loading import Batch
from train.inputs.order import EpochOrder, Order

KEY = "hard_negatives"  # in checkpoints


def hard_negative_weights(
    logits: npt.NDArray[np.float32], labels: npt.NDArray[np.float32], strength: float
) -> npt.NDArray[np.float64]:
    """How often to draw each item, in proportion.

    1 + strength x the highest probability among the item's harmless labels; 1 without any, or without scores.

    Args:
        logits: [N, P], NaN where an item has none yet.
        labels: [N, P], NaN where unknown.
        strength: from 0, where all items weigh alike.

    >>> hard_negative_weights(np.array([[0, 9], [0, 9]], "f"), np.array([[0, 1], [1, np.nan]], "f"), 4.0).tolist()
    [3.0, 1.0]
    """
    wrong_NP = np.where((labels == 0) & ~np.isnan(logits), expit(logits.astype(np.float64)), 0.0)
    weights: npt.NDArray[np.float64] = 1 + strength * wrong_NP.max(axis=1, initial=0.0)
    return weights


class HardNegatives(lightning.Callback):
    """Keeps the last logits of all training items and hands the order their weights after each epoch.

    Logits and weights are part of checkpoints: an epoch that was cut in two goes on under the weights it began with.
    With several processes each item's logits are those of the last step that saw it, on whatever process; their
    mean, where several did in that step.

    Args:
        order: of the training part.
        labels: [N, P], NaN where unknown.
        strength: of `hard_negative_weights`.
    """

    def __init__(self, order: EpochOrder, labels: npt.NDArray[np.float32], strength: float) -> None:
        self.order, self.labels, self.strength = order, labels, strength
        self.logits = np.full_like(labels, np.nan)
        self._seen: list[tuple[int, Tensor, Tensor]] = []

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Note a batch's logits, still on their device: nothing waits for them."""
        del trainer, pl_module
        self._seen.append((batch_idx, batch.index, outputs["logits"]))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Weigh the items for the next epoch."""
        del pl_module
        self._take_in(trainer)
        self.order.set_weights(hard_negative_weights(self.logits, self.labels, self.strength))

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add logits and weights; all processes take part."""
        del pl_module
        self._take_in(trainer)
        weights = None if self.order.weights is None else torch.from_numpy(self.order.weights)
        checkpoint[KEY] = {"logits": torch.from_numpy(self.logits.copy()), "weights": weights}

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from an earlier state."""
        del trainer, pl_module
        held = checkpoint[KEY]
        self.logits = held["logits"].numpy()
        self.order.set_weights(None if held["weights"] is None else held["weights"].numpy())

    def _take_in(self, trainer: lightning.Trainer) -> None:
        """Move what was seen into `logits`, from all processes."""
        latest_N = np.zeros(len(self.logits), dtype=np.int64)  # 1 + the batch that saw the item last
        fresh_NP = np.zeros_like(self.logits)
        for batch_idx, index_B, logits_BP in self._seen:
            rows = index_B.cpu().numpy()
            latest_N[rows], fresh_NP[rows] = batch_idx + 1, logits_BP.float().cpu().numpy()
        self._seen.clear()
        seen_N = latest_N > 0
        if trainer.world_size > 1:
            last_N = _over_processes(trainer, latest_N, "max")
            mine_N = seen_N & (latest_N == last_N)
            count_N = _over_processes(trainer, mine_N.astype(np.int64), "sum")
            total_NP = _over_processes(trainer, np.where(mine_N[:, None], fresh_NP, 0), "sum")
            seen_N, fresh_NP = last_N > 0, total_NP / np.maximum(count_N, 1)[:, None].astype(np.float32)
        self.logits[seen_N] = fresh_NP[seen_N]


def mine_hard_negatives(
    trainer: lightning.Trainer, order: Order, labels: npt.NDArray[np.float32], *, strength: float
) -> None:
    """Have a trainer mine hard negatives, where `strength` is above 0 and the order draws by weight."""
    if strength and isinstance(order, EpochOrder):
        mining = HardNegatives(order, labels, strength)
        trainer.callbacks.insert(0, mining)  # type: ignore[attr-defined]  # first: others keep what it knows


def _over_processes(trainer: lightning.Trainer, values: npt.NDArray[Any], operation: str) -> npt.NDArray[Any]:
    held = torch.from_numpy(np.ascontiguousarray(values)).to(trainer.strategy.root_device)
    reduced: Tensor = trainer.strategy.reduce(held, reduce_op=operation)
    return reduced.cpu().numpy()
