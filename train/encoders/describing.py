"""What is known of an encoder from outside: its description for a checkpoint, its digest, its number of features."""

import hashlib
from typing import Any

import torch
from torch import nn

from data.errors import InputError
from train.encoders.image import ImageEncoder
from train.encoders.text import TextEncoder


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
