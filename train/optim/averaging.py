"""A moving average of the weights, which is what is validated, kept as best and exported."""

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from data.errors import InputError

TRAINED = "setpoint/trained_weights"  # in a checkpoint, the weights that the optimiser moves, by name


class WeightAverage(Callback):
    """Averages the weights that train: after each step, average = d average + (1 - d) weight.

    Which weights are used for what: validation, and with it the choice of `best.ckpt`, sees the average; `state_dict`
    in every checkpoint is the average, so what is exported is what was validated. The weights as trained lie beside
    it, and a run that goes on does so from both: it ends like one that was never stopped, to the bit.

    Weights that do not train are not averaged. Neither are buffers: none changes in training, for batch norms of
    encoders keep their statistics. Under DDP every process averages the same weights, under FSDP2 its own shards.

    Lightning's EMAWeightAveraging is not used: it copies and stores frozen encoders too, and its checkpoints cannot
    leave them out.

    Args:
        decay: d. In the first steps it is lower, (1 + n) / (10 + n) after n steps, so that short runs forget their
            start too.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.averages: dict[str, Tensor] = {}
        self._step = 0
        self._swapped = False

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Refuse strategies that keep parameters in forms of their own."""
        del pl_module, stage
        if isinstance(trainer.strategy, FSDPStrategy | DeepSpeedStrategy):
            raise InputError(
                f"optim.ema_decay: {type(trainer.strategy).__name__} flattens the weights; use DDP or FSDP2 "
                "(lightning.pytorch.strategies.ModelParallelStrategy)"
            )

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start from the weights as they are, unless a checkpoint brought an average."""
        self._step = trainer.global_step
        if not self.averages:
            self.averages = {name: weight.detach().clone() for name, weight in _trained(pl_module).items()}

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *unused: Any, **unused_too: Any
    ) -> None:
        """Average after each step of the optimiser."""
        del unused, unused_too
        if trainer.global_step == self._step:
            return  # gradients are still accumulating
        self._step = trainer.global_step
        decay = min(self.decay, (1 + self._step) / (10 + self._step))
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(list(self.averages.values()), list(_trained(pl_module).values()), self._step)

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Validate the average."""
        del trainer
        self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Go on with the weights as trained."""
        del trainer
        self._swap(pl_module)

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The average as the state, the weights as trained beside it."""
        del trainer, pl_module
        assert not self._swapped, "between validation's epochs the weights are in their places"
        trained = {}
        for name, average in self.averages.items():
            whole = average.full_tensor() if isinstance(average, DTensor) else average  # all processes take part
            if name in checkpoint["state_dict"]:  # which may be empty on all but the first
                held = checkpoint["state_dict"][name]
                trained[name], checkpoint["state_dict"][name] = held, whole.to(held.device)
        checkpoint[TRAINED] = trained

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning has just loaded the average into the network."""
        del trainer
        self.averages = {name: weight.detach().clone() for name, weight in _trained(pl_module).items()}
        with torch.no_grad():
            for name, weight in _trained(pl_module).items():
                held = checkpoint[TRAINED][name]
                if isinstance(weight, DTensor):
                    held = distribute_tensor(held.to(weight.device), weight.device_mesh, weight.placements)
                weight.copy_(held)

    @torch.no_grad()
    def _swap(self, pl_module: lightning.LightningModule) -> None:
        if not self.averages:
            return  # validation before training has started
        for name, weight in _trained(pl_module).items():
            held = weight.clone()
            weight.copy_(self.averages[name])
            self.averages[name].copy_(held)
        self._swapped = not self._swapped


def _trained(module: lightning.LightningModule) -> dict[str, torch.nn.Parameter]:
    """By name the weights that train; where they are split, the shards."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()  # after a pass without gradients the outermost stay whole
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
