"""Gradual unfreezing: layers of an encoder begin to train one by one from the top (Howard and Ruder 2018, ULMFiT).

A layer that is still frozen computes gradients like all others; they are dropped before each step. So every process
meets the same parameters in every backward pass, as DDP and FSDP expect, and what is frozen hangs on the number of
steps alone: a resumed run needs to know nothing else. It saves no time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from train.network.classifier import MultimodalClassifier
from train.optim.layers import layer_depths


@dataclass(frozen=True)
class Frozen:
    """Parameters that begin to train when `until`, a share of all steps, is done."""

    until: float
    parameters: list[nn.Parameter]


def frozen_until(network: MultimodalClassifier, unfreeze_over: Mapping[str, float]) -> list[Frozen]:
    """When the layers of encoders begin to train.

    Of n layers, embeddings counted as one, the k-th from the top begins after k / n of the time: at first everything
    but the encoder trains alone.

    Args:
        network: as it trains.
        unfreeze_over: of encoders by name, the share of all steps after which all of it
            trains. Those with 0 are left out.
    """
    frozen: list[Frozen] = []
    for name, share in unfreeze_over.items():
        if not share:
            continue
        backbone = network.get_submodule(f"{name}_encoder.backbone")
        depths = layer_depths(backbone)
        top = max(depths.values())
        by_depth: dict[int, list[nn.Parameter]] = {}
        for parameter_name, parameter in backbone.named_parameters():
            if parameter.requires_grad:
                by_depth.setdefault(depths[parameter_name], []).append(parameter)
        frozen += [
            Frozen(share * (top - depth + 1) / (top + 1), parameters) for depth, parameters in by_depth.items()
        ]
    return frozen


def drop_gradients(frozen: list[Frozen], *, done: float) -> None:
    """Drop the gradients of what is frozen when `done`, a share of all steps, is done.

    None, not zeros: the optimiser passes over them, so that they neither decay nor count as steps.
    """
    for one in frozen:
        if done < one.until:
            for parameter in one.parameters:
                parameter.grad = None
