"""The loss of each label. Masking, weighting and division are in train.losses.criterion.

A target y is the probability of violating: 0 or 1, or in between, where it is the share of annotators who found a
violation. Every loss of such a target is y L(1) + (1 - y) L(0): what its votes would cost on average, each a hard
label. So a soft target pulls as all its votes together would, in all losses alike.

All functions take float32 logits z [B, P] and targets y [B, P] without NaN, return [B, P], and are finite with finite
gradients for logits of any size: sigmoid(z) is never formed where its logarithm is needed.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

LabelLoss = Callable[[Tensor, Tensor], Tensor]


def bce(logits_BP: Tensor, targets_BP: Tensor) -> Tensor:
    """Binary cross-entropy: L(1) = -log p, L(0) = -log(1 - p), p = sigmoid(z). Smallest at p = y."""
    return functional.binary_cross_entropy_with_logits(logits_BP, targets_BP, reduction="none")


def focal(logits_BP: Tensor, targets_BP: Tensor, *, gamma: float, alpha: float | None) -> Tensor:
    """Focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5).

    L(1) = -alpha (1 - p)^gamma log p, L(0) = -(1 - alpha) p^gamma log(1 - p). Unlike binary cross-entropy it draws p
    towards 1/2: scores order items, and probabilities come from calibration.

    Args:
        logits_BP: z.
        targets_BP: y.
        gamma: from 0 on; how little labels count that the network already gets right.
        alpha: weight of violating against 1 - alpha of harmless; None for 1 and 1.
    """
    log_p, log_q = functional.logsigmoid(logits_BP), functional.logsigmoid(-logits_BP)
    violating, harmless = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    # Powers by exponentials: the derivative of p ** gamma is infinite at p = 0 for gamma below 1.
    return -(
        violating * targets_BP * (gamma * log_q).exp() * log_p
        + harmless * (1 - targets_BP) * (gamma * log_p).exp() * log_q
    )


def asymmetric(
    logits_BP: Tensor, targets_BP: Tensor, *, gamma_positive: float, gamma_negative: float, margin: float
) -> Tensor:
    """Asymmetric loss (Ridnik et al. 2021, "Asymmetric Loss for Multi-Label Classification", equation 7).

    L(1) = -(1 - p)^gamma_positive log p, L(0) = -m^gamma_negative log(1 - m) with m = max(p - margin, 0): a harmless
    label below the margin costs nothing, and one that scores high despite all training may be a wrong label.

    Args:
        logits_BP: z.
        targets_BP: y.
        gamma_positive: from 0 on.
        gamma_negative: from 0 on; above gamma_positive, where harmless labels are many.
        margin: from 0 to below 1.
    """
    log_p, log_q = functional.logsigmoid(logits_BP), functional.logsigmoid(-logits_BP)
    violating = (gamma_positive * log_q).exp() * log_p
    if margin == 0:
        harmless = (gamma_negative * log_p).exp() * log_q
    else:
        shifted = logits_BP.sigmoid() - margin
        costs = shifted > 0
        inside = torch.where(costs, shifted, 0.5)  # a place where powers and logarithms have finite derivatives
        harmless = torch.where(costs, inside**gamma_negative * torch.log1p(-inside), 0.0)
    return -(targets_BP * violating + (1 - targets_BP) * harmless)


def class_balanced(logits_BP: Tensor, targets_BP: Tensor, *, weights_2P: Tensor) -> Tensor:
    """Binary cross-entropy with a weight for each policy and label (Cui et al. 2019; see `effective_number_weights`).

    L(1) = -w1 log p, L(0) = -w0 log(1 - p).

    Args:
        logits_BP: z.
        targets_BP: y.
        weights_2P: w0 and w1 of each policy.
    """
    log_p, log_q = functional.logsigmoid(logits_BP), functional.logsigmoid(-logits_BP)
    return -(targets_BP * weights_2P[1] * log_p + (1 - targets_BP) * weights_2P[0] * log_q)


def effective_number_weights(counts_2P: Tensor, *, beta: float) -> Tensor:
    """Weights of harmless and violating labels by their effective number.

    The effective number of n labels is (1 - beta^n) / (1 - beta): further ones say ever less that is new, and beyond
    1 / (1 - beta) next to nothing (Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples"). A
    weight is its inverse; as there, those of a policy are scaled to add up to the number of classes, 2.

    Args:
        counts_2P: labels of each policy in the training part, harmless and violating; none counts as one.
        beta: from 0, where all weights are 1, to below 1; towards 1 they go with 1 / n.

    Returns:
        float32 [2, P].

    >>> effective_number_weights(torch.tensor([[990.0], [10.0]]), beta=0.0).flatten().tolist()
    [1.0, 1.0]
    """
    counts_2P = counts_2P.double().clamp(min=1)
    inverse_2P = 1 / -torch.expm1(counts_2P * (math.log(beta) if beta else -math.inf))
    return (2 * inverse_2P / inverse_2P.sum(0)).float()
