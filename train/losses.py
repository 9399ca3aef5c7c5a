"""Losses over three-valued labels: what is unknown pulls nothing.

Shapes: B batch, P policies.
"""

import torch
from torch import Tensor
from torch.nn import functional


def masked_bce(logits_BP: Tensor, labels_BP: Tensor) -> Tensor:
    """Binary cross-entropy over the known labels, divided by their number.

    Args:
        logits_BP: float32 [B, P].
        labels_BP: float32 [B, P]: 1 violating, 0 not violating, NaN unknown.

    Returns:
        A scalar; exactly 0, with zero gradient, when no label is known.

    >>> masked_bce(torch.tensor([[0.0, 9.0]]), torch.tensor([[1.0, float("nan")]])).item()
    0.6931471824645996
    """
    known_BP = ~labels_BP.isnan()
    targets_BP = torch.where(known_BP, labels_BP, 0.0)
    loss_BP = functional.binary_cross_entropy_with_logits(logits_BP, targets_BP, reduction="none")
    return torch.where(known_BP, loss_BP, 0.0).sum() / known_BP.sum().clamp(min=1)
