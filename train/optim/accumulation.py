"""Steps over several batches (`trainer.accumulate_grad_batches`) that count every label alike."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class AccumulatedLabels:
    """Makes the gradient of a step over several batches that of the mean over all their labels, as of one batch.

    Lightning takes the mean of the batches' losses, each of which is a mean over that batch's known labels: a label
    among few would weigh more than one among many. Here each batch weighs as many labels as it has. How many the
    step has is known at its end; until then gradients are in units of the first batch's labels.

    Equal to one batch up to the order of float32 sums.
    """

    def __init__(self) -> None:
        self._counts: list[Tensor] = []

    def weigh(self, loss: Tensor, num_labels: Tensor) -> Tensor:
        """The loss of a batch, a mean over `num_labels` labels (of all processes), in the step's units."""
        self._counts.append(num_labels)
        return loss * (num_labels / self._counts[0].clamp(min=1))

    def rescale(self, parameters: Iterable[nn.Parameter], *, num_batches: int) -> None:
        """Divide the gradients by the labels of the step, before they are clipped.

        Args:
            parameters: with the gradients of all batches of the step.
            num_batches: what Lightning has divided by, in the last step of an epoch more than there were.
        """
        if not self._counts:
            return
        counts = torch.stack(self._counts)
        factor = num_batches * counts[0].clamp(min=1) / counts.sum().clamp(min=1)
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)
        self._counts.clear()
