"""Which hidden states of a backbone become features, and how they are pooled: the same for every modality.

Shapes: L tokens or places, D features.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

PoolBy = Literal["pooler", "mean", "cls"]
LAST = (-1,)


def without_unused(backbone: nn.Module, pool: PoolBy) -> nn.Module:
    """The backbone without its pooler where features do not come from it, in place."""
    # A pooler that nothing reads would be weights without gradient in a tuned encoder.
    if pool != "pooler" and isinstance(getattr(backbone, "pooler", None), nn.Module):
        setattr(backbone, "pooler", None)  # noqa: B010 (typed as a module)
    return backbone


def wanted(layers: tuple[int, ...]) -> dict[str, bool]:
    """Arguments of a backbone that make it give these hidden states."""
    return {} if layers == LAST else {"output_hidden_states": True}


def join_layers(output: Any, layers: tuple[int, ...], pool: PoolBy, pooled: Callable[[Tensor], Tensor]) -> Tensor:
    """Features [N, D] of a backbone's output: those of each layer side by side, by its pooler or by `pooled`."""
    parts = []
    for layer in layers:
        if layer == -1:
            parts.append(output.pooler_output.flatten(1) if pool == "pooler" else pooled(output.last_hidden_state))
        else:
            parts.append(pooled(output.hidden_states[layer]))
    return torch.cat(parts, -1)
