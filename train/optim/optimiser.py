"""Optimiser, schedule and parameter groups."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from train.network.classifier import MultimodalClassifier
from train.optim.layers import layer_depths
from train.settings import ModelSettings, OptimSettings


@dataclass(frozen=True)
class Optimisation:
    """How weights move.

    Attributes:
        learning_rate: peak, of fusion and linear part.
        encoder_learning_rate: peak, of encoders that are tuned.
        weight_decay: of weights; biases, norms and single tokens have none.
        warmup_fraction: of all steps, in which the rate rises from 0; it falls by a cosine after.
        min_lr_fraction: of the peak, where the cosine ends.
        layer_decay: of encoders by name: the rate of a layer as a share of the one above's (Howard and Ruder 2018,
            Bao et al. 2022, BEiT); the last layer has encoder_learning_rate.
        unfreeze_over: of encoders by name, see `train.optim.unfreezing`.
    """

    learning_rate: float
    encoder_learning_rate: float
    weight_decay: float
    warmup_fraction: float
    min_lr_fraction: float = 0.0
    layer_decay: Mapping[str, float] = field(default_factory=dict)
    unfreeze_over: Mapping[str, float] = field(default_factory=dict)


def optimisation_of(optim: OptimSettings, model: ModelSettings) -> Optimisation:
    """What the settings of a run say."""
    return Optimisation(
        learning_rate=optim.learning_rate,
        encoder_learning_rate=optim.encoder_learning_rate,
        weight_decay=optim.weight_decay,
        warmup_fraction=optim.warmup_fraction,
        min_lr_fraction=optim.min_lr_fraction,
        layer_decay={name: settings.layer_decay for name, settings in model.encoders.items()},
        unfreeze_over={name: settings.unfreeze_over for name, settings in model.encoders.items()},
    )


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a rate and a decay; `name` is what a monitor of learning rates shows."""

    name: str
    learning_rate: float
    weight_decay: float
    parameters: list[nn.Parameter]


def adamw(groups: list[ParameterGroup]) -> torch.optim.AdamW:
    """AdamW over parameter groups."""
    return torch.optim.AdamW(
        [
            {"params": group.parameters, "lr": group.learning_rate, "weight_decay": group.weight_decay}
            | {"name": group.name}
            for group in groups
        ],
        fused=True,
    )


def with_empty_state(optimizer: torch.optim.AdamW) -> None:
    """Give each parameter the state that it would have before its first step, in place.

    AdamW does so at the first step of each; FSDP2 refuses a checkpoint in which some have a state and some have none,
    as while layers are frozen.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }


def parameter_groups(network: MultimodalClassifier, settings: Optimisation) -> list[ParameterGroup]:
    """Parameters that train, by rate and by whether they decay; empty groups are left out."""
    places = _places(network, settings.layer_decay)
    groups: dict[str, ParameterGroup] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        place, share = places.get(name, ("head", 1.0))
        decays = decayed(parameter)
        title = f"{place}{'' if decays else '/no_decay'}"
        peak = settings.learning_rate if place == "head" else settings.encoder_learning_rate
        group = ParameterGroup(title, peak * share, settings.weight_decay if decays else 0.0, [])
        groups.setdefault(title, group).parameters.append(parameter)
    return [groups[title] for title in sorted(groups)]


def _places(network: MultimodalClassifier, layer_decay: Mapping[str, float]) -> dict[str, tuple[str, float]]:
    """For each parameter of an encoder: the name of its place, and its rate as a share of the encoder's."""
    places: dict[str, tuple[str, float]] = {}
    for prefix, encoder in network.named_children():
        if not prefix.endswith("_encoder"):
            continue
        places.update({f"{prefix}.{name}": (prefix, 1.0) for name, _ in encoder.named_parameters()})
        decay = layer_decay.get(prefix.removesuffix("_encoder"), 1.0)
        if decay != 1:
            depths = layer_depths(encoder.get_submodule("backbone"))
            top = max(depths.values())
            places.update(
                {
                    f"{prefix}.backbone.{name}": (f"{prefix}/layer{depth:03d}", decay ** (top - depth))
                    for name, depth in depths.items()
                }
            )
    return places


def decayed(parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: to matrices and kernels; not to biases, norms and single tokens [1, 1, D].

    >>> [decayed(nn.Parameter(torch.zeros(shape))) for shape in [(4,), (2, 4), (1, 4), (1, 1, 4), (1, 9, 4)]]
    [False, True, True, False, True]
    """
    is_token = parameter.ndim > 2 and parameter.numel() == parameter.shape[-1]
    return parameter.ndim > 1 and not is_token


def warmup_and_cosine(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: float,
    warmup_fraction: float,
    min_lr_fraction: float = 0.0,
) -> LambdaLR:
    """A rate that rises linearly and falls by a cosine, a factor a step (Loshchilov and Hutter 2017, SGDR).

    Args:
        optimizer: whose groups hold the peak rates.
        total_steps: of the optimiser; infinite keeps the peak rate.
        warmup_fraction: of all steps.
        min_lr_fraction: of the peak rates, at the last step.
    """
    warmup = warmup_fraction * total_steps if math.isfinite(total_steps) else 0

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if not math.isfinite(total_steps):
            return 1.0
        done = min(1.0, (step - warmup) / max(1.0, total_steps - warmup))
        return min_lr_fraction + (1 - min_lr_fraction) * 0.5 * (1 + math.cos(math.pi * done))

    return LambdaLR(optimizer, factor)
