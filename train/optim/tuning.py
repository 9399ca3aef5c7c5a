"""What of a network trains, and how its encoders compute while it does: frozen, adapters alone, or all of it."""

from torch import nn

from data.errors import InputError
from train.network.classifier import MultimodalClassifier
from train.optim.layers import layer_depths
from train.optim.lora import ADAPTER, adapter_targets, add_adapters, merge_adapters
from train.settings import ModelSettings


def check_tuning(network: MultimodalClassifier, model: ModelSettings) -> None:
    """Say what `start_tuning` could not do, before anything is computed.

    Raises:
        InputError: an encoder has no layers to tell apart, cannot recompute activations, or lacks the adapters'
            targets.
    """
    for name, settings in model.encoders.items():
        backbone = network.get_submodule(f"{name}_encoder.backbone")
        if settings.layer_decay != 1 or settings.unfreeze_over:
            layer_depths(backbone)
        if settings.tune == "lora":
            adapter_targets(backbone, settings.lora.targets)
        if settings.gradient_checkpointing and not getattr(backbone, "supports_gradient_checkpointing", False):
            raise InputError(
                f"{settings.source!r}: {type(backbone).__name__} has no gradient checkpointing; "
                "set gradient_checkpointing: false"
            )


def start_tuning(network: MultimodalClassifier, model: ModelSettings) -> None:
    """Put a network into training mode but for its frozen encoders and all batch norms of encoders, in place.

    Batches are small and hold many frames of few posts: their statistics would be worse than the pretrained ones.
    """
    network.train()
    add_all_adapters(network, model)
    for name, settings in model.encoders.items():
        encoder = network.get_submodule(f"{name}_encoder")
        if not settings.tuned:
            encoder.eval().requires_grad_(False)
        backbone = encoder.get_submodule("backbone")
        if settings.gradient_checkpointing:
            enable = getattr(backbone, "gradient_checkpointing_enable")  # noqa: B009 (typed as a module)
            enable({"use_reentrant": False})
        if settings.compile:
            # In place: a wrapper around it would change the names of its weights.
            backbone.compile()
        for module in encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def add_all_adapters(network: MultimodalClassifier, model: ModelSettings) -> None:
    """Put adapters on the encoders that are tuned by them, in place."""
    for name, settings in model.encoders.items():
        if settings.tune == "lora":
            backbone, lora = network.get_submodule(f"{name}_encoder.backbone"), settings.lora
            targets = adapter_targets(backbone, lora.targets)
            add_adapters(backbone, targets=targets, rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout)


def merge_all_adapters(network: MultimodalClassifier, model: ModelSettings) -> None:
    """Merge the adapters of all encoders into their weights, in place."""
    for name, settings in model.encoders.items():
        if settings.tune == "lora":
            merge_adapters(network.get_submodule(f"{name}_encoder.backbone"))


def unstored_names(network: MultimodalClassifier, model: ModelSettings) -> frozenset[str]:
    """Names of the weights and buffers that no checkpoint stores, for they come from the encoders' sources.

    Args:
        network: with its adapters.
        model: its settings.
    """
    frozen = tuple(f"{name}_encoder." for name, settings in model.encoders.items() if settings.tune == "frozen")
    adapted = tuple(f"{name}_encoder." for name, settings in model.encoders.items() if settings.tune == "lora")
    return frozenset(
        name
        for name in network.state_dict()
        if name.startswith(frozen) or (name.startswith(adapted) and ADAPTER not in name)
    )
