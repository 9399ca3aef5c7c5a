"""Targets of training: labels or the annotators' shares, and what stands in for those that nobody knows.

By default nothing does: unknown is not negative. Where violations are rare and labels rarer still, "negative, but
weakly" is the weak assumption of partial-label learning (WAN in Cole et al. 2021, "Multi-Label Learning from Single
Positive Labels"), here with a prior of violating as the target instead of 0. Validation and the linear fit that
training starts from know nothing of it.

Shapes: N items of a part or of a batch, P policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data.errors import InputError
from train.losses.settings import AnyLoss


@dataclass(frozen=True)
class Targets:
    """What the loss is taken of.

    Attributes:
        values: float32 [N, P], probability of violating; 0 where the label takes no part.
        weights: float32 [N, P], 1 where it is known; 0 where the label takes no part.
    """

    values: Tensor
    weights: Tensor


def masked(labels_NP: Tensor) -> Targets:
    """Known labels, or shares, alone; unknown ones, NaN, take no part."""
    known_NP = ~labels_NP.isnan()
    return Targets(torch.where(known_NP, labels_NP, 0.0), known_NP.float())


def negative_by_prior(labels_NP: Tensor, prior_P: Tensor, weight: float) -> Targets:
    """All labels: of unknown ones, NaN, the prior of violating, at a small weight.

    >>> negative_by_prior(torch.tensor([[1.0, float("nan")]]), torch.tensor([0.5, 0.25]), 0.1).values.tolist()
    [[1.0, 0.25]]
    """
    known_NP = ~labels_NP.isnan()
    return Targets(torch.where(known_NP, labels_NP, prior_P), torch.where(known_NP, 1.0, weight))


def priors_of(settings: AnyLoss, policy_ids: Sequence[str]) -> list[float]:
    """The prior of violating of each policy's unknown labels.

    Raises:
        InputError: priors are given by policy, and not for exactly these policies.
    """
    given = settings.unknown_prior
    if not isinstance(given, dict):
        return [given] * len(policy_ids)
    if set(given) != set(policy_ids):
        raise InputError(
            f"loss.unknown_prior: expected a number, or one for each of {', '.join(policy_ids)}; found "
            f"{', '.join(given) or 'none'}"
        )
    return [given[policy_id] for policy_id in policy_ids]
