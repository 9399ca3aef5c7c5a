"""Evidence pooled from encoded frames and text, and the part of the logits that is linear in it.

Shapes: B batch, T frames, P policies, D features of an encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Pooled:
    """Standardised evidence of a batch: zero where there is none.

    Attributes:
        frames: [B, T, D].
        mean: [B, D], over an item's frames.
        motion: [B, D], mean absolute change between consecutive frames of a clip.
        text: [B, D].
        frame_mask: bool [B, T].
        frame_times: [B, T].
        has_visual: bool [B].
        has_text: bool [B].
    """

    frames: Tensor
    mean: Tensor
    motion: Tensor
    text: Tensor
    frame_mask: Tensor
    frame_times: Tensor
    has_visual: Tensor
    has_text: Tensor


class EvidencePool(nn.Module):
    """Mean and motion over frames, standardised by statistics of the training items (`set_statistics`)."""

    visual_center: Tensor
    visual_scale: Tensor
    motion_scale: Tensor
    text_center: Tensor
    text_scale: Tensor

    def __init__(self, visual_dim: int, text_dim: int) -> None:
        super().__init__()
        for name, size in (("visual", visual_dim), ("text", text_dim)):
            self.register_buffer(f"{name}_center", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.register_buffer("motion_scale", torch.ones(visual_dim))

    def forward(
        self, features_BTD: Tensor, mask_BT: Tensor, times_BT: Tensor, text_BD: Tensor, has_text_B: Tensor
    ) -> Pooled:
        """Pool the arguments of `MultimodalClassifier.fuse`."""
        mean_BD, motion_BD = summarise_frames(features_BTD, mask_BT, times_BT)
        weights_BT1 = mask_BT.to(features_BTD.dtype).unsqueeze(-1)
        has_visual_B1 = mask_BT.any(1, keepdim=True).to(features_BTD.dtype)
        return Pooled(
            frames=(features_BTD - self.visual_center) / self.visual_scale * weights_BT1,
            mean=(mean_BD - self.visual_center) / self.visual_scale * has_visual_B1,
            motion=motion_BD / self.motion_scale,
            text=(text_BD - self.text_center) / self.text_scale * has_text_B.to(text_BD.dtype).unsqueeze(-1),
            frame_mask=mask_BT,
            frame_times=times_BT,
            has_visual=mask_BT.any(1),
            has_text=has_text_B,
        )


def summarise_frames(features_BTD: Tensor, mask_BT: Tensor, times_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Mean feature and mean absolute change of items' frames.

    Returns:
        mean [B, D] over real frames, and motion [B, D]: the mean of |feature[t] - feature[t-1]| over pairs of
        real frames between which time passes. Zero where there are none: photos and carousels have no motion.
    """
    weights_BT1 = mask_BT.to(features_BTD.dtype).unsqueeze(-1)
    mean_BD = (features_BTD * weights_BT1).sum(1) / weights_BT1.sum(1).clamp(min=1.0)
    # An index instead of slices: with a single frame no tensor is empty. Frame 0 precedes itself.
    previous_T = (torch.arange(features_BTD.shape[1], device=features_BTD.device) - 1).clamp(min=0)
    passes_BT = mask_BT & mask_BT[:, previous_T] & (times_BT > times_BT[:, previous_T])
    passes_BT1 = passes_BT.to(features_BTD.dtype).unsqueeze(-1)
    change_BTD = (features_BTD - features_BTD[:, previous_T]).abs()
    motion_BD = (change_BTD * passes_BT1).sum(1) / passes_BT1.sum(1).clamp(min=1.0)
    return mean_BD, motion_BD


class LinearEvidence(nn.Module):
    """Logits linear in [mean, motion, text, has visual, has text]; weights on undeclared evidence are masked."""

    allowed: Tensor

    def __init__(self, visual_dim: int, text_dim: int, usable: Sequence[tuple[str, ...]]) -> None:
        super().__init__()
        blocks = ["visual"] * (2 * visual_dim) + ["text"] * text_dim + ["visual", "text"]
        allowed = torch.tensor([[float(block in sets) for block in blocks] for sets in usable])
        self.register_buffer("allowed", allowed)
        self.weight = nn.Parameter(torch.zeros(len(usable), len(blocks)))
        self.bias = nn.Parameter(torch.zeros(len(usable)))

    def forward(self, pooled: Pooled) -> Tensor:
        """Logits [B, P]."""
        return nn.functional.linear(linear_inputs(pooled), self.weight * self.allowed, self.bias)


def linear_inputs(pooled: Pooled) -> Tensor:
    """What the linear part sees: [B, 2 D visual + D text + 2]."""
    present_B2 = torch.stack([pooled.has_visual, pooled.has_text], 1).to(pooled.mean.dtype)
    return torch.cat([pooled.mean, pooled.motion, pooled.text, present_B2], 1)
