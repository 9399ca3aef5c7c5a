"""Clips to one vector each: VideoMAE, TimeSformer and V-JEPA 2 over a few of an item's frames.

Shapes: B batch, T frames of an item, F frames that the backbone takes, H height, W width, D features.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.errors import InputError
from train.encoders.image import pixel_statistics
from train.encoders.pooling import LAST, PoolBy, join_layers, wanted
from train.encoders.sources import load_clip_backbone
from train.settings import Pool


@dataclass(frozen=True)
class _Family:
    """What differs between backbones of clips.

    Attributes:
        num_frames: the key of its configuration that says how many frames it takes.
        size: the key for their height and width.
        pool: what "auto" means.
    """

    num_frames: str
    size: str
    pool: PoolBy


FAMILIES = {
    "videomae": _Family("num_frames", "image_size", "mean"),
    "timesformer": _Family("num_frames", "image_size", "cls"),
    "vjepa2": _Family("frames_per_clip", "crop_size", "mean"),
}


class ClipEncoder(nn.Module):
    """Frames of an item to one vector.

    The backbone gets as many frames as it was trained on, spread evenly over those that are real; where there are
    fewer, some of them again.

    Args:
        backbone: a Transformers model of one of FAMILIES; of V-JEPA 2 the encoder alone is kept.
        config: its configuration, kept for checkpoints.
        mean: pixel means of RGB on a scale of 0 to 1.
        std: pixel standard deviations, likewise.
        pool: "cls" (first token) or "mean" (over places).
        layers: hidden states whose pooled features are joined, counted from the last, -1.
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
        family = FAMILIES[config["model_type"]]
        if config["model_type"] == "vjepa2":
            setattr(backbone, "predictor", None)  # noqa: B010 (typed as a module)
        self.backbone, self.config, self.pool, self.layers = backbone, config, pool, layers
        self.num_frames, self.size = int(config[family.num_frames]), int(config[family.size])
        self.register_buffer("mean", torch.tensor(mean).view(1, 1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 1, 3, 1, 1))

    def forward(self, frames_BT3HW: Tensor, mask_BT: Tensor) -> Tensor:
        """Encode uint8 frames [B, T, 3, H, W] to features [B, D]; finite also in rows without a real frame."""
        B, T = mask_BT.shape
        places_BF = spread_over(mask_BT, self.num_frames)
        rows_BF = places_BF + T * torch.arange(B, device=mask_BT.device).unsqueeze(1)
        # Cast before anything else: some engines know no uint8 arithmetic.
        frames_NCHW = frames_BT3HW.to(self.mean.dtype).flatten(0, 1).index_select(0, rows_BF.flatten())
        frames_BF3HW = frames_NCHW.reshape(B, self.num_frames, *frames_BT3HW.shape[2:])
        pixels_BF3HW = (frames_BF3HW / 255.0 - self.mean) / self.std
        if self.config["model_type"] == "vjepa2":
            output = self.backbone(pixel_values_videos=pixels_BF3HW, skip_predictor=True, **wanted(self.layers))
        else:
            output = self.backbone(pixel_values=pixels_BF3HW, **wanted(self.layers))
        return join_layers(output, self.layers, self.pool, self._pooled)

    def _pooled(self, hidden_BLD: Tensor) -> Tensor:
        return hidden_BLD[:, 0] if self.pool == "cls" else hidden_BLD.mean(1)


def spread_over(mask_BT: Tensor, count: int) -> Tensor:
    """Places, int64 [B, count], of the real frames in the middle of `count` equal parts of them; else 0.

    >>> spread_over(torch.tensor([[True, False, True, True], [True, False, False, False]]), 2).tolist()
    [[0, 3], [0, 0]]
    """
    number_BT = mask_BT.to(torch.int64).cumsum(1)  # 1 for the first real frame
    total_B1 = number_BT[:, -1:]
    parts_C = torch.arange(count, device=mask_BT.device)
    chosen_BC = ((2 * parts_C + 1) * total_B1) // (2 * count) + 1
    is_chosen_BCT = mask_BT.unsqueeze(1) & (number_BT.unsqueeze(1) == chosen_BC.unsqueeze(2))
    return (is_chosen_BCT * torch.arange(mask_BT.shape[1], device=mask_BT.device)).sum(2)


def load_clip_encoder(
    source: str,
    *,
    pool: Pool = "auto",
    layers: tuple[int, ...] = LAST,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> ClipEncoder:
    """Load an encoder of clips in evaluation mode; "auto" is the first token for TimeSformer, else the mean.

    Raises:
        InputError: the source cannot be loaded, is of no family of FAMILIES, states no mean and std and none are
            given, or the pooling does not suit it.
    """
    backbone = load_clip_backbone(source)
    family = FAMILIES.get(backbone.config.get("model_type", ""))
    if family is None:
        raise InputError(
            f"model.clip.source = {source!r} is a {backbone.config.get('model_type')!r} model; expected one of "
            f"{', '.join(FAMILIES)}"
        )
    mean, std = pixel_statistics(backbone, "clip", source, mean, std)
    chosen = family.pool if pool == "auto" else pool
    if chosen == "pooler" or (chosen == "cls" and family.pool != "cls"):
        raise InputError(f"model.clip.pool = {pool!r} does not suit {source!r}; use {family.pool} or auto")
    return ClipEncoder(
        backbone=backbone.model, config=backbone.config, mean=mean, std=std, pool=chosen, layers=layers
    ).eval()
