"""How deep each parameter of a backbone lies: what lower rates for lower layers and unfreezing go by."""

from typing import Any

from torch import nn

from data.errors import InputError


def layer_depths(backbone: nn.Module) -> dict[str, int]:
    """The depth of each parameter by name: 0 for embeddings (or the stem), 1 for the first layer, and so on up.

    What comes after the last layer (norms, a pooler) counts as the last layer. timm states the order of its layers
    by itself; elsewhere the layers are the list of modules that holds most of the weights, and what was registered
    before it is an embedding.

    Raises:
        InputError: no layers are found.
    """
    timm_model: Any = getattr(backbone, "timm_model", None)
    if hasattr(timm_model, "group_matcher"):
        return _depths_of_timm(timm_model)
    lists = [(name, module) for name, module in backbone.named_modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise InputError(
            f"{type(backbone).__name__}: no list of layers in it; use layer_decay: 1.0 and unfreeze_over: 0.0"
        )
    prefix, layers = max(lists, key=lambda one: sum(weight.numel() for weight in one[1].parameters()))
    depths: dict[str, int] = {}
    seen = False
    for name, _ in backbone.named_parameters():
        if name.startswith(f"{prefix}."):
            seen = True
            depths[name] = 1 + int(name.removeprefix(f"{prefix}.").split(".", 1)[0])
        else:
            depths[name] = len(layers) if seen else 0
    return depths


def _depths_of_timm(timm_model: Any) -> dict[str, int]:
    from timm.models import group_parameters  # noqa: PLC0415 (seconds to import)

    depths: Any = group_parameters(timm_model, timm_model.group_matcher(coarse=False), reverse=True)
    return {f"timm_model.{name}": depth for name, depth in depths.items()}
