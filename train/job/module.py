"""The Lightning job: loss and metrics around the network. What it computes is in train.network, how its weights move
in train.optim.

Shapes: B batch, T frames, P policies, D features.
"""

import inspect
import math
from functools import lru_cache
from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor

from data.errors import InputError
from data.loading import Batch
from train.job.checkpoint import KEY, NETWORK
from train.job.idle_hooks import leave_out_idle_hooks
from train.job.processes import gathered
from train.losses.criterion import Criterion
from train.monitoring.metrics import PolicyMetrics, mean_average_precision, policy_metrics
from train.network.classifier import MultimodalClassifier
from train.network.forward import evidence_of
from train.network.precision import without_autocast
from train.optim.accumulation import AccumulatedLabels
from train.optim.optimiser import Optimisation, adamw, parameter_groups, warmup_and_cosine, with_empty_state
from train.optim.sharding import shard
from train.optim.unfreezing import Frozen, drop_gradients, frozen_until

LOSS, MONITORED = "train/loss", "val/mean_average_precision"


class PolicyClassifier(lightning.LightningModule):
    """Trains a MultimodalClassifier.

    Args:
        network: prepared by `train.network.probe.prepare` and `train.optim.tuning.start_tuning`.
        criterion: the loss.
        targets: the policies in the order of the logits, with their target precisions.
        optimisation: rates, decay and schedule.
        seed: of the run.
        record: goes into checkpoints under "setpoint".
        unstored: names of the network's weights that checkpoints leave out.
    """

    def __init__(
        self,
        network: MultimodalClassifier,
        *,
        criterion: Criterion,
        targets: dict[str, float | None],
        optimisation: Optimisation,
        seed: int,
        record: dict[str, Any],
        unstored: frozenset[str],
    ) -> None:
        super().__init__()
        self.network, self.criterion = network, criterion
        self.targets = targets
        self.optimisation, self.seed, self.record = optimisation, seed, record
        self.unstored = frozenset(NETWORK + name for name in unstored)
        self.strict_loading = False  # frozen weights are absent; train.job.resume knows that all others are there
        self.frozen: list[Frozen] = []
        self.accumulated = AccumulatedLabels()
        self.total_steps = math.inf
        self.validation_metrics: dict[str, PolicyMetrics] = {}
        self.validation_scores = np.empty((0, len(targets))), np.empty((0, len(targets)))  # logits, labels [N, P]
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def logits(self, batch: Batch) -> Tensor:
        """Logits [B, P]: encoders in the trainer's precision, the rest in float32."""
        evidence = evidence_of(batch, self.network)
        with without_autocast(self.device.type):
            return self.network.fuse(evidence)

    def on_train_start(self) -> None:
        """All callbacks are there."""
        leave_out_idle_hooks(self.trainer, self)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout of a batch hangs on its place alone: a resumed run goes on as if it had not been killed."""
        del batch
        num_batches = int(self.trainer.num_training_batches)
        seeds = batch_seeds(self.seed, self.current_epoch, self.global_rank, num_batches)
        seed_device(self.device, int(seeds[batch_idx]))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Loss of a batch, over the labels that all processes know; and its logits, for who keeps them.

        The monitor logs the loss: through Lightning's `log` it would cost as much as a tenth of a step.
        """
        logits_BP = self.logits(batch)
        summed = self.criterion(logits_BP, batch.labels, batch.p_violating)
        num_labels = summed.num_labels
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(num_labels)  # a sum; Lightning's would make all processes wait first
        loss = summed.mean(num_labels=num_labels, world_size=self.trainer.world_size)
        if self.trainer.progress_bar_callback is not None:
            self.log(LOSS, loss, prog_bar=True, logger=False, batch_size=len(batch.labels))
        mean = loss.detach()
        if self.trainer.accumulate_grad_batches > 1:
            loss = self.accumulated.weigh(loss, num_labels)
        return {"loss": loss, LOSS: mean, "logits": logits_BP.detach()}

    def validation_step(self, batch: Batch) -> None:
        """Keep logits and labels for the end of the epoch."""
        self._seen.append((self.logits(batch).float(), batch.labels, batch.index))

    def on_validation_epoch_end(self) -> None:
        """Metrics of each policy, and their mean average precision, which is monitored."""
        logits_NP, labels_NP, index_N = (
            gathered(torch.cat(kept)).cpu().numpy() for kept in zip(*self._seen, strict=True)
        )
        self._seen.clear()
        # As one process would have seen them: the same metrics to the last bit.
        order = np.argsort(index_N)
        logits_NP, labels_NP = logits_NP[order], labels_NP[order]
        self.validation_scores = logits_NP, labels_NP
        self.validation_metrics = {
            policy_id: policy_metrics(logits_NP[:, column], labels_NP[:, column], target)
            for column, (policy_id, target) in enumerate(self.targets.items())
        }
        for policy_id, metrics in self.validation_metrics.items():
            for name in ("average_precision", "auc", "recall_at_target"):
                value = getattr(metrics, name)
                if value is not None:
                    self.log(f"val/{policy_id}/{name}", value, rank_zero_only=True)
        # NaN where no policy has both labels: logged nevertheless, for callbacks that monitor it.
        mean = mean_average_precision(self.validation_metrics)
        self.log(MONITORED, math.nan if mean is None else mean, prog_bar=True)

    def configure_model(self) -> None:
        """Split the weights where the strategy leaves it to the model."""
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            shard(self.network, self.trainer.strategy.root_device)

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip. Lightning forbids it to fused optimisers in mixed precision, since these unscale gradients later.

        bfloat16 scales none.
        """
        if gradient_clip_val is None:
            return
        plugin = self.trainer.precision_plugin
        if not isinstance(plugin, MixedPrecision) or plugin.scaler is not None:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val, algorithm)

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine; and what is frozen for how long.

        Raises:
            InputError: layers are to unfreeze over a share of a run that has no end.
        """
        self.total_steps = self.trainer.estimated_stepping_batches
        self.frozen = frozen_until(self.network, self.optimisation.unfreeze_over)
        if self.frozen and not math.isfinite(self.total_steps):
            raise InputError("unfreeze_over is a share of all steps; set trainer.max_epochs or trainer.max_steps")
        optimizer = adamw(parameter_groups(self.network, self.optimisation))
        if self.frozen:
            with_empty_state(optimizer)
        schedule = warmup_and_cosine(
            optimizer,
            total_steps=self.total_steps,
            warmup_fraction=self.optimisation.warmup_fraction,
            min_lr_fraction=self.optimisation.min_lr_fraction,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave what is still frozen out of clipping and step; count labels alike over accumulated batches."""
        del optimizer
        if self.trainer.accumulate_grad_batches > 1:
            self.accumulated.rescale(self.parameters(), num_batches=self.trainer.accumulate_grad_batches)
        if self.frozen:
            drop_gradients(self.frozen, done=self.global_step / self.total_steps)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch; it is made on the CPU."""
        del dataloader_idx
        return batch if device.type == "cpu" else batch.to(device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the record, leave out the weights that come from the encoders' sources."""
        checkpoint["state_dict"] = {
            name: held for name, held in checkpoint["state_dict"].items() if name not in self.unstored
        }
        checkpoint[KEY] = self.record

    def stored_names(self) -> frozenset[str]:
        """Names of the weights that a checkpoint of this job holds."""
        return frozenset(self.state_dict()) - self.unstored

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Forty times a step it is the name of the hook that runs, and nn.Module's way is long."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)


# Lightning asks for it at each step, and Python would work it out each time.
PolicyClassifier.training_step.__signature__ = inspect.signature(PolicyClassifier.training_step)  # type: ignore[attr-defined]


@lru_cache(maxsize=1)
def batch_seeds(seed: int, epoch: int, rank: int, num_batches: int) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Seeds of an epoch's batches on a process. The first ones do not hang on how many there are.

    They are drawn together: a `SeedSequence` for each would cost as much as one for all.
    """
    return np.random.SeedSequence([seed, epoch, rank]).generate_state(num_batches)


def seed_device(device: torch.device, seed: int) -> None:
    """Seed what draws on a device. `torch.manual_seed` seeds every kind of accelerator, at .2 ms for each absent."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
