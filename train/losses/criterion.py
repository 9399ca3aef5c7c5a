"""From logits and labels to the loss of a batch: which labels take part, their sum, and what it is divided by.

Shapes: N items of the training part, B batch, P policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from train.losses.functions import LabelLoss, asymmetric, bce, class_balanced, effective_number_weights, focal
from train.losses.settings import AnyLoss, Asymmetric, ClassBalanced, Focal
from train.losses.unknowns import Targets, masked, negative_by_prior
from train.network.precision import without_autocast


@dataclass(frozen=True)
class LossSum:
    """The loss of a batch before it is divided.

    Attributes:
        total: scalar, the weighted sum.
        num_labels: scalar, float32: how many labels take part, whatever their weight.
    """

    total: Tensor
    num_labels: Tensor

    def mean(self, *, num_labels: Tensor, world_size: int) -> Tensor:
        """The loss a label; exactly 0, with zero gradient, where no label takes part.

        Processes average their gradients. For the average to be the gradient of the mean over the labels of all
        processes, each divides by the number of all of these, not of its own, and takes the result `world_size`
        times. Across the accumulated batches of a step, `train.optim.accumulation` does the like.

        Args:
            num_labels: of all processes together.
            world_size: number of processes.
        """
        return self.total * (world_size / num_labels.clamp(min=1))


def loss_sum(loss: LabelLoss, logits_BP: Tensor, targets: Targets) -> LossSum:
    """Sum a loss over the labels that take part, in float32 whatever autocast says.

    Logits without a part are replaced before the loss: whatever they are, their gradient is +0.
    """
    parts_BP = targets.weights > 0
    with without_autocast(logits_BP.device.type):
        loss_BP = loss(torch.where(parts_BP, logits_BP.float(), 0.0), targets.values)
        total = torch.where(parts_BP, targets.weights * loss_BP, 0.0).sum()
    return LossSum(total, parts_BP.sum().float())


class Criterion(nn.Module):
    """The loss that settings describe. It has constants and no weights, and no checkpoint holds it.

    Args:
        settings: the loss, its parameters, and what becomes of soft and of unknown labels.
        priors: of violating, of each policy's unknown labels, as `priors_of` gives them.
        labels: float32 [N, P], NaN where unknown: what the class-balanced loss counts.
        p_violating: float32 [N, P]: counted instead where targets are soft.
    """

    priors: Tensor
    class_weights: Tensor

    def __init__(
        self,
        settings: AnyLoss,
        priors: Sequence[float],
        labels: npt.NDArray[np.float32],
        p_violating: npt.NDArray[np.float32],
    ) -> None:
        super().__init__()
        self.settings = settings
        known = p_violating if settings.soft_targets else labels
        self.num_unknown = int(np.isnan(known).sum())
        self.register_buffer("priors", torch.tensor(priors), persistent=False)
        if isinstance(settings, ClassBalanced):
            counts_2P = torch.from_numpy(np.stack([np.nansum(1 - known, axis=0), np.nansum(known, axis=0)]))
            weights_2P = effective_number_weights(counts_2P, beta=settings.beta)
            self.register_buffer("class_weights", weights_2P, persistent=False)

    def forward(self, logits_BP: Tensor, labels_BP: Tensor, p_violating_BP: Tensor) -> LossSum:
        """The loss of a batch, not divided yet."""
        known_BP = p_violating_BP if self.settings.soft_targets else labels_BP
        if self.settings.unknown == "masked":
            targets = masked(known_BP)
        else:
            targets = negative_by_prior(known_BP, self.priors, self.settings.unknown_weight)
        return loss_sum(self.label_loss, logits_BP, targets)

    def label_loss(self, logits_BP: Tensor, targets_BP: Tensor) -> Tensor:
        """The loss [B, P] of each label."""
        match self.settings:
            case Focal(gamma=gamma, alpha=alpha):
                return focal(logits_BP, targets_BP, gamma=gamma, alpha=alpha)
            case Asymmetric(gamma_positive=positive, gamma_negative=negative, margin=margin):
                return asymmetric(
                    logits_BP, targets_BP, gamma_positive=positive, gamma_negative=negative, margin=margin
                )
            case ClassBalanced():
                return class_balanced(logits_BP, targets_BP, weights_2P=self.class_weights)
        return bce(logits_BP, targets_BP)

    def summary(self) -> list[str]:
        """What was assumed of unknown labels, in a line; nothing where they are masked."""
        if self.settings.unknown == "masked":
            return []
        priors = ", ".join(f"{prior:g}" for prior in sorted(set(self.priors.tolist())))
        return [
            f"assumed: {self.num_unknown:,} unknown labels of the train part, violating at a prior of {priors}, each "
            f"of weight {self.settings.unknown_weight:g} (loss.unknown=negative_by_prior); none in validation"
        ]
