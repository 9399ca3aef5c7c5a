"""Image and text encoders: a pretrained backbone with its normalisation and pooling inside, so that pixels and
token ids go in and one feature vector comes out. Loading weights is in train.sources.

Shapes: N images, B batch, L tokens, H height, W width, D features.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from data.errors import InputError
from train.sources import build_backbone, load_image_backbone, load_text_backbone

PoolBy = Literal["pooler", "mean", "cls"]
Pool = Literal["auto", "pooler", "mean", "cls"]
LAST = (-1,)
# These poolers read one place of a padded row: what an item's text gives would depend on its batch.
NO_TEXT_POOLER = ("siglip_text_model", "siglip2_text_model")


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
        self.backbone, self.config, self.pool, self.layers = _without_unused(backbone, pool), config, pool, layers
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, frames_N3HW: Tensor) -> Tensor:
        """Encode uint8 images [N, 3, H, W] to features [N, D]."""
        # Cast before anything else: some engines know no uint8 arithmetic.
        pixels_N3HW = (frames_N3HW.to(self.mean.dtype) / 255.0 - self.mean) / self.std
        output = self.backbone(pixel_values=pixels_N3HW, **_wanted(self.layers))
        return _join(output, self.layers, self.pool, self._pooled)

    def _pooled(self, hidden: Tensor) -> Tensor:
        if hidden.ndim == 4:
            return hidden.mean((2, 3))
        return hidden[:, 0] if self.pool == "cls" else hidden.mean(1)


class TextEncoder(nn.Module):
    """Token ids to one vector a text.

    Args:
        backbone: a Transformers text model.
        config: its configuration, kept for checkpoints.
        pool: "pooler" (the backbone's own), "cls" (first token) or "mean" (over real tokens).
        layers: as of `ImageEncoder`.
    """

    def __init__(
        self, *, backbone: nn.Module, config: dict[str, Any], pool: PoolBy, layers: tuple[int, ...] = LAST
    ) -> None:
        super().__init__()
        self.backbone, self.config, self.pool, self.layers = _without_unused(backbone, pool), config, pool, layers

    def forward(self, token_ids_BL: Tensor, token_mask_BL: Tensor) -> Tensor:
        """Encode token ids [B, L] to features [B, D]; finite also where a row of the mask is all False."""
        # The first token is real in every text. Attending to it in rows without text keeps the softmax finite.
        first_L = torch.arange(token_ids_BL.shape[1], device=token_ids_BL.device) == 0
        mask_BL = token_mask_BL | first_L
        output = self.backbone(input_ids=token_ids_BL, attention_mask=mask_BL.to(torch.int64), **_wanted(self.layers))
        weights_BL1 = mask_BL.unsqueeze(-1).to(output.last_hidden_state.dtype)

        def pooled(hidden_BLD: Tensor) -> Tensor:
            if self.pool == "cls":
                return hidden_BLD[:, 0]
            return (hidden_BLD * weights_BL1).sum(1) / weights_BL1.sum(1)

        return _join(output, self.layers, self.pool, pooled)


def _without_unused(backbone: nn.Module, pool: PoolBy) -> nn.Module:
    # A pooler that nothing reads would be weights without gradient in a tuned encoder.
    if pool != "pooler" and isinstance(getattr(backbone, "pooler", None), nn.Module):
        setattr(backbone, "pooler", None)  # noqa: B010 (typed as a module)
    return backbone


def _wanted(layers: tuple[int, ...]) -> dict[str, bool]:
    return {} if layers == LAST else {"output_hidden_states": True}


def _join(output: Any, layers: tuple[int, ...], pool: PoolBy, pooled: Callable[[Tensor], Tensor]) -> Tensor:
    parts = []
    for layer in layers:
        if layer == -1:
            parts.append(output.pooler_output.flatten(1) if pool == "pooler" else pooled(output.last_hidden_state))
        else:
            parts.append(pooled(output.hidden_states[layer]))
    return torch.cat(parts, -1)


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
    mean, std = mean or backbone.mean, std or backbone.std
    if mean is None or std is None:
        raise InputError(
            f"model.image.source = {source!r} does not say how pixels are normalised; give model.image.mean and "
            "model.image.std, e.g. [0.5,0.5,0.5] each"
        )
    chosen = pool
    if chosen == "auto":
        pooled = _has_pooler(backbone.model) and not backbone.untrained_pooler
        chosen = "pooler" if pooled else "cls"
    elif chosen == "pooler" and (backbone.untrained_pooler or not _has_pooler(backbone.model)):
        raise InputError(f"model.image.pool = 'pooler': {source!r} has no trained pooler; use mean, cls or auto")
    return ImageEncoder(
        backbone=backbone.model, config=backbone.config, mean=mean, std=std, pool=chosen, layers=layers
    ).eval()


def load_text_encoder(source: str, *, pool: Pool = "auto", layers: tuple[int, ...] = LAST) -> TextEncoder:
    """Load a text encoder in evaluation mode; "auto" is CLIP's pooler for CLIP and the mean for all others.

    Raises:
        InputError: the source cannot be loaded, or the pooling does not suit it.
    """
    backbone = load_text_backbone(source)
    model_type = backbone.config.get("model_type")
    chosen = pool
    if chosen == "auto":
        chosen = "pooler" if model_type == "clip_text_model" else "mean"
    elif chosen == "pooler" and (backbone.untrained_pooler or model_type in NO_TEXT_POOLER):
        raise InputError(f"model.text.pool = 'pooler' does not suit {source!r}; use mean, cls or auto")
    return TextEncoder(backbone=backbone.model, config=backbone.config, pool=chosen, layers=layers).eval()


def build_image_encoder(description: dict[str, Any]) -> ImageEncoder:
    """An untrained image encoder from what `describe` returned; its weights come from a checkpoint."""
    return ImageEncoder(
        backbone=build_backbone(description["config"]),
        config=description["config"],
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        pool=description["pool"],
        layers=tuple(description["layers"]),
    ).eval()


def build_text_encoder(description: dict[str, Any]) -> TextEncoder:
    """An untrained text encoder from what `describe` returned; its weights come from a checkpoint."""
    return TextEncoder(
        backbone=build_backbone(description["config"]),
        config=description["config"],
        pool=description["pool"],
        layers=tuple(description["layers"]),
    ).eval()


def describe(encoder: ImageEncoder | TextEncoder) -> dict[str, Any]:
    """What a checkpoint needs to know of an encoder, as JSON values."""
    return {
        "config": encoder.config,
        "pool": encoder.pool,
        "layers": list(encoder.layers),
        "digest": state_digest(encoder),
    }


def state_digest(module: nn.Module) -> str:
    """Hex SHA-256 over the names, types, shapes and bytes of a module's state, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        held = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {held.dtype} {tuple(held.shape)}\n".encode())
        digest.update(held.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def feature_dim(encoder: ImageEncoder | TextEncoder, *, height: int = 0, width: int = 0, tokens: int = 2) -> int:
    """Number of features D, found by encoding one blank input of the size that will be used.

    Raises:
        InputError: the encoder takes no input of this size.
    """
    device = next(encoder.parameters()).device
    try:
        with torch.inference_mode():
            if isinstance(encoder, ImageEncoder):
                blank = torch.zeros(1, 3, height, width, dtype=torch.uint8, device=device)
                return int(encoder(blank).shape[-1])
            ids = torch.zeros(1, tokens, dtype=torch.int64, device=device)
            return int(encoder(ids, torch.ones_like(ids, dtype=torch.bool)).shape[-1])
    except (ValueError, RuntimeError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        wanted = f"{height} x {width} pixels" if isinstance(encoder, ImageEncoder) else f"{tokens} tokens"
        raise InputError(
            f"the encoder takes no input of {wanted} ({reason}); change preprocessing to what it was trained on"
        ) from error


def _has_pooler(model: Any) -> bool:
    if type(model).__name__ == "TimmWrapperModel":
        return bool(model.config.do_pooling)
    if hasattr(model, "use_head"):  # SigLIP
        return bool(model.use_head)
    return any(getattr(model, name, None) is not None for name in ("pooler", "post_layernorm", "layernorm")) and (
        getattr(model, "pooler", True) is not None
    )
