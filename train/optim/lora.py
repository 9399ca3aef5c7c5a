"""Low-rank adapters on the linear layers of an encoder (Hu et al. 2022, LoRA), through peft.

Adapters train, the weights under them do not. For export they are merged into the weights and are gone.
"""

from typing import Any, Literal

from torch import nn

from data.errors import InputError

# Queries and values, or all three in one, as the families that are named in the README call them.
ATTENTION = ("query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "qkv", "Wqkv")
ADAPTER = ".lora_"  # in the names of all parameters that peft adds


def adapter_targets(backbone: nn.Module, wanted: Literal["auto"] | tuple[str, ...]) -> list[str]:
    """Full names of the modules that get adapters.

    Args:
        backbone: without adapters.
        wanted: ends of module names; "auto" for the queries and values of attention.

    Raises:
        InputError: a wanted name is that of no linear layer or pointwise convolution.
    """
    able = [name for name, module in backbone.named_modules() if _takes_adapter(module)]
    kind = type(getattr(backbone, "timm_model", backbone)).__name__
    candidates = sorted({last for name in able if not (last := name.rsplit(".", 1)[-1]).isdigit()})
    hint = f"candidates: {', '.join(candidates) or 'none; use tune: full or frozen'}"
    if wanted == "auto":
        chosen = [name for name in able if name.rsplit(".", 1)[-1] in ATTENTION]
        if not chosen:
            raise InputError(f"lora.targets = auto: {kind} has no attention projections; name its layers, {hint}")
        return chosen
    for target in wanted:
        if not any(_ends_with(name, target) for name in able):
            raise InputError(
                f"lora.targets: {kind} has no linear layer or pointwise convolution called {target!r}; {hint}"
            )
    return [name for name in able if any(_ends_with(name, target) for target in wanted)]


def add_adapters(backbone: nn.Module, *, targets: list[str], rank: int, alpha: int, dropout: float) -> None:
    """Put adapters on modules, in place; they alone keep their gradients. They start as no change.

    Args:
        backbone: an encoder's.
        targets: as `adapter_targets` gives them.
        rank: of the change of each weight.
        alpha: the change is scaled by alpha / rank.
        dropout: on the adapters' input, in training.
    """
    from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415 (seconds to import)

    settings: Any = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets)
    inject_adapter_in_model(settings, backbone)


def merge_adapters(backbone: nn.Module) -> None:
    """Add the adapters to the weights under them and remove them, in place.

    Added up in float64: sums in float32 differ in their last bit from one kind of processor to the next, and with
    them would the digest of the weights.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer  # noqa: PLC0415

    backbone.double()
    for name, module in list(backbone.named_modules()):
        if isinstance(module, BaseTunerLayer):
            merging: Any = module
            merging.merge()
            backbone.set_submodule(name, merging.get_base_layer())
    backbone.float()


def _takes_adapter(module: nn.Module) -> bool:
    if isinstance(module, nn.Linear):
        # The output projection of nn.MultiheadAttention is read, not called: an adapter on it would do nothing.
        return not isinstance(module, nn.modules.linear.NonDynamicallyQuantizableLinear)
    # peft cannot merge grouped convolutions, and larger kernels may pad in ways of their own (timm's Conv2dSame).
    return isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1


def _ends_with(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")
