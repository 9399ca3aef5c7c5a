"""Images to one vector each.

Shapes: N images, H height, W width, D features.
"""

from typing import Any

import torch
from torch import Tensor, nn

from data.errors import InputError
from train.encoders.pooling import LAST, PoolBy, join_layers, wanted, without_unused
from train.encoders.sources import Backbone, load_image_backbone
from train.settings import Pool


class ImageEncoder(nn.Module):
    """Pixels to one vector an image.

    Args:
        backbone: a Transformers image model.
        config: its configuration, kept for checkpoints.
        mean: pixel means of RGB on a scale of 0 to 1.
        std: pixel standard deviations, likewise.
        pool: "pooler" (the backbone's own), "cls" (first token) or "mean" (over places).
        layers: hidden states whose pooled features are joined, counted from the last, -1; those before it are
            pooled by their mean where `pool` is "pooler".
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        backbone: nn.Module,
        config: dict[str, Any],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        pool: PoolBy,
        layers: tuple[int, ...] = LAST,
    ) -> None:
        super().__init__()
        self.backbone, self.config, self.pool, self.layers = without_unused(backbone, pool), config, pool, layers
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, frames_N3HW: Tensor) -> Tensor:
        """Encode uint8 images [N, 3, H, W] to features [N, D]."""
        # Cast before anything else: some engines know no uint8 arithmetic.
        pixels_N3HW = (frames_N3HW.to(self.mean.dtype) / 255.0 - self.mean) / self.std
        output = self.backbone(pixel_values=pixels_N3HW, **wanted(self.layers))
        return join_layers(output, self.layers, self.pool, self._pooled)

    def _pooled(self, hidden: Tensor) -> Tensor:
        if hidden.ndim == 4:
            return hidden.mean((2, 3))
        return hidden[:, 0] if self.pool == "cls" else hidden.mean(1)


def load_image_encoder(
    source: str,
    *,
    pool: Pool = "auto",
    layers: tuple[int, ...] = LAST,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> ImageEncoder:
    """Load an image encoder in evaluation mode.

    Args:
        source: Hugging Face name, folder, or `package:NAME`.
        pool: "auto" takes the backbone's pooler if it was trained, else the first token.
        mean: pixel means; default: those of the source's image processor.
        std: pixel standard deviations, likewise.
        layers: see `ImageEncoder`.

    Raises:
        InputError: the source cannot be loaded, or states no mean and std and none are given.
    """
    backbone = load_image_backbone(source)
    mean, std = pixel_statistics(backbone, "image", source, mean, std)
    chosen = pool
    if chosen == "auto":
        pooled = _has_pooler(backbone.model) and not backbone.untrained_pooler
        chosen = "pooler" if pooled else "cls"
    elif chosen == "pooler" and (backbone.untrained_pooler or not _has_pooler(backbone.model)):
        raise InputError(f"model.image.pool = 'pooler': {source!r} has no trained pooler; use mean, cls or auto")
    return ImageEncoder(
        backbone=backbone.model, config=backbone.config, mean=mean, std=std, pool=chosen, layers=layers
    ).eval()


def pixel_statistics(
    backbone: Backbone, name: str, source: str, mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and standard deviations of pixels: those of the settings, else of the source.

    Raises:
        InputError: neither says them.
    """
    mean, std = mean or backbone.mean, std or backbone.std
    if mean is None or std is None:
        raise InputError(
            f"model.{name}.source = {source!r} does not say how pixels are normalised; give model.{name}.mean and "
            f"model.{name}.std, e.g. [0.5,0.5,0.5] each"
        )
    return mean, std


def _has_pooler(model: Any) -> bool:
    if type(model).__name__ == "TimmWrapperModel":
        return bool(model.config.do_pooling)
    if hasattr(model, "use_head"):  # SigLIP
        return bool(model.use_head)
    return any(getattr(model, name, None) is not None for name in ("pooler", "post_layernorm", "layernorm")) and (
        getattr(model, "pooler", True) is not None
    )
