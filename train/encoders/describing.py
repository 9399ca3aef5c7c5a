"""What is known of an encoder from outside: its description for a checkpoint, its digest, its number of features."""

import hashlib
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from data.errors import InputError
from data.preprocessing import LogMel, Preprocessing
from train.encoders.audio import AudioEncoder
from train.encoders.clip import ClipEncoder
from train.encoders.image import ImageEncoder
from train.encoders.sources import build_backbone
from train.encoders.text import TextEncoder

MediaEncoder = ImageEncoder | ClipEncoder | AudioEncoder
Encoder = MediaEncoder | TextEncoder


def describe(encoder: Encoder) -> dict[str, Any]:
    """What a checkpoint needs to know of an encoder, as JSON values."""
    described = {
        "config": encoder.config,
        "pool": encoder.pool,
        "layers": list(encoder.layers),
        "digest": state_digest(encoder),
    }
    return {**described, "log_mel": asdict(encoder.log_mel)} if isinstance(encoder, AudioEncoder) else described


def build_encoder(name: str, description: dict[str, Any]) -> Encoder:
    """An untrained encoder from what `describe` returned; its weights come from a checkpoint.

    Args:
        name: image, clip, text or audio.
        description: with architecture, pooling and layers.
    """
    parts: dict[str, Any] = {
        "backbone": build_backbone(description["config"]),
        "config": description["config"],
        "pool": description["pool"],
        "layers": tuple(description["layers"]),
    }
    match name:
        case "image" | "clip":
            # The checkpoint holds how pixels are normalised beside the weights.
            kind = ImageEncoder if name == "image" else ClipEncoder
            return kind(**parts, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)).eval()
        case "audio":
            return AudioEncoder(**parts, log_mel=LogMel(**description["log_mel"])).eval()
        case _:
            return TextEncoder(**parts).eval()


def state_digest(module: nn.Module) -> str:
    """Hex SHA-256 over the names, types, shapes and bytes of a module's state, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        held = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {held.dtype} {tuple(held.shape)}\n".encode())
        digest.update(held.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def feature_dim(encoder: Encoder, preprocessing: Preprocessing) -> int:
    """Number of features D, found by encoding one blank input of the size that will be used.

    Raises:
        InputError: the encoder takes no input of this size.
    """
    height, width = preprocessing.height, preprocessing.width
    device = next(encoder.parameters()).device
    frames = torch.zeros(1, 1, 3, height, width, dtype=torch.uint8, device=device)
    ids = torch.zeros(1, preprocessing.max_tokens, dtype=torch.int64, device=device)
    blank: tuple[torch.Tensor, ...]
    match encoder:
        case TextEncoder():
            blank, wanted = (ids, torch.ones_like(ids, dtype=torch.bool)), f"{preprocessing.max_tokens} tokens"
        case AudioEncoder():
            log_mel = torch.zeros(1, encoder.log_mel.num_mels, 1, device=device)
            blank, wanted = (log_mel, frames.new_ones(1, 1, dtype=torch.bool)), "this length of sound"
        case ClipEncoder():
            blank, wanted = (frames, frames.new_ones(1, 1, dtype=torch.bool)), f"{height} x {width} pixels"
        case _:
            blank, wanted = (frames[0],), f"{height} x {width} pixels"
    try:
        # Some backbones would stretch their places over another size, to features that they were never trained for.
        if isinstance(encoder, ClipEncoder) and (height, width) != (encoder.size, encoder.size):
            raise ValueError(f"it was trained on {encoder.size} x {encoder.size}")
        with torch.inference_mode():
            return int(encoder(*blank).shape[-1])
    except (ValueError, RuntimeError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the encoder takes no input of {wanted} ({reason}); change preprocessing to what it was trained on"
        ) from error
