"""Evidence of items as encoders give it, pooled and standardised, and the part of the logits that is linear in it.

An item is a sequence of frame features and a set of vectors (`VECTORS`), each with a mask that says whether it is
there.

Shapes: B batch, T frames, P policies, D features of an encoder (of each another number), K inputs of the linear part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

MODALITIES = ("visual", "text", "audio")  # what a policy declares as its evidence
VECTORS = {"clip": "visual", "text": "text", "audio": "audio"}  # one vector an item, and the modality it belongs to
ENCODERS = ("image", *VECTORS)
MODALITY_OF = {"image": "visual", **VECTORS}


@dataclass(frozen=True)
class Evidence:
    """What the encoders of a network make of a batch.

    Attributes:
        frames: [B, T, D]; D is 0 without an image encoder.
        frame_mask: bool [B, T], True where a frame is real.
        frame_times: [B, T], seconds.
        vectors: [B, D] by name, of the encoders in VECTORS that the network has.
        present: bool [B] by the same names.
    """

    frames: Tensor
    frame_mask: Tensor
    frame_times: Tensor
    vectors: Mapping[str, Tensor]
    present: Mapping[str, Tensor]

    def kept(self, keep_B: Mapping[str, Tensor]) -> "Evidence":
        """The evidence less the modalities of items where `keep_B`, bool by modality, is False."""
        frame_mask = self.frame_mask & keep_B["visual"].unsqueeze(1) if "visual" in keep_B else self.frame_mask
        present = {name: present_B & keep_B[VECTORS[name]] for name, present_B in self.present.items()}
        return Evidence(self.frames, frame_mask, self.frame_times, self.vectors, present)


@dataclass(frozen=True)
class Pooled:
    """Standardised evidence of a batch: zero where there is none.

    Attributes:
        frames: [B, T, D].
        mean: [B, D], over an item's frames.
        motion: [B, D], mean absolute change between consecutive frames of a clip.
        frame_mask: bool [B, T].
        frame_times: [B, T].
        vectors: [B, D] by name.
        present: bool [B] by name, of all encoders that the network has.
    """

    frames: Tensor
    mean: Tensor
    motion: Tensor
    frame_mask: Tensor
    frame_times: Tensor
    vectors: dict[str, Tensor]
    present: dict[str, Tensor]


class EvidencePool(nn.Module):
    """Mean and motion over frames, and vectors, standardised by statistics of the training items (see `probe`).

    Args:
        dims: features of each encoder that the network has, by its name in ENCODERS.
    """

    visual_center: Tensor
    visual_scale: Tensor
    motion_scale: Tensor

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.vectors = [name for name in VECTORS if name in dims]
        self.reads_frames = "image" in dims
        image_dim = dims.get("image", 0)
        for name, dim in [("visual", image_dim), *((name, dims[name]) for name in self.vectors)]:
            self.register_buffer(f"{name}_center", torch.zeros(dim))
            self.register_buffer(f"{name}_scale", torch.ones(dim))
        self.register_buffer("motion_scale", torch.ones(image_dim))

    def forward(self, evidence: Evidence) -> Pooled:
        """Pool what was encoded."""
        mask_BT = evidence.frame_mask
        mean_BD, motion_BD = summarise_frames(evidence.frames, mask_BT, evidence.frame_times)
        has_frames_B = mask_BT.any(1)
        present = {"image": has_frames_B} if self.reads_frames else {}
        return Pooled(
            frames=_standardised(evidence.frames, self.visual_center, self.visual_scale, mask_BT),
            mean=_standardised(mean_BD, self.visual_center, self.visual_scale, has_frames_B),
            motion=motion_BD / self.motion_scale,
            frame_mask=mask_BT,
            frame_times=evidence.frame_times,
            vectors={
                name: _standardised(
                    evidence.vectors[name],
                    self.get_buffer(f"{name}_center"),
                    self.get_buffer(f"{name}_scale"),
                    evidence.present[name],
                )
                for name in self.vectors
            },
            present={**present, **{name: evidence.present[name] for name in self.vectors}},
        )


def _standardised(features: Tensor, center_D: Tensor, scale_D: Tensor, mask: Tensor) -> Tensor:
    return (features - center_D) / scale_D * mask.to(features.dtype).unsqueeze(-1)


def summarise_frames(features_BTD: Tensor, mask_BT: Tensor, times_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Mean feature and mean absolute change of items' frames.

    Returns:
        mean [B, D] over real frames, and motion [B, D]: the mean of |feature[t] - feature[t-1]| over pairs of
        real frames between which time passes. Zero where there are none: photos and carousels have no motion.
    """
    weights_BT1 = mask_BT.to(features_BTD.dtype).unsqueeze(-1)
    mean_BD = (features_BTD * weights_BT1).sum(1) / weights_BT1.sum(1).clamp(min=1.0)
    passes_BT1 = time_passes(mask_BT, times_BT).to(features_BTD.dtype).unsqueeze(-1)
    change_BTD = (features_BTD - features_BTD[:, _previous(mask_BT)]).abs()
    motion_BD = (change_BTD * passes_BT1).sum(1) / passes_BT1.sum(1).clamp(min=1.0)
    return mean_BD, motion_BD


def time_passes(mask_BT: Tensor, times_BT: Tensor) -> Tensor:
    """Bool [B, T]: whether a frame and the one before it are real and time passes between them."""
    previous_T = _previous(mask_BT)
    return mask_BT & mask_BT[:, previous_T] & (times_BT > times_BT[:, previous_T])


def _previous(mask_BT: Tensor) -> Tensor:
    # An index instead of slices: with a single frame no tensor is empty. Frame 0 precedes itself.
    return (torch.arange(mask_BT.shape[1], device=mask_BT.device) - 1).clamp(min=0)


class LinearEvidence(nn.Module):
    """Logits linear in [mean, motion, vectors…, which of them are present]; undeclared evidence is masked.

    Args:
        dims: as of `EvidencePool`.
        usable: of P policies, the modalities that each may use.
    """

    allowed: Tensor

    def __init__(self, dims: Mapping[str, int], usable: Sequence[tuple[str, ...]]) -> None:
        super().__init__()
        inputs = ["visual"] * (2 * dims.get("image", 0))
        for name, modality in VECTORS.items():
            inputs += [modality] * dims.get(name, 0)
        inputs += [MODALITY_OF[name] for name in ENCODERS if name in dims]
        allowed = torch.tensor([[float(modality in sets) for modality in inputs] for sets in usable])
        self.register_buffer("allowed", allowed)
        self.weight = nn.Parameter(torch.zeros(len(usable), len(inputs)))
        self.bias = nn.Parameter(torch.zeros(len(usable)))

    def forward(self, pooled: Pooled) -> Tensor:
        """Logits [B, P]."""
        return nn.functional.linear(linear_inputs(pooled), self.weight * self.allowed, self.bias)


def linear_inputs(pooled: Pooled) -> Tensor:
    """What the linear part sees, [B, K]."""
    present = torch.stack(list(pooled.present.values()), 1).to(pooled.mean.dtype)
    return torch.cat([pooled.mean, pooled.motion, *pooled.vectors.values(), present], 1)
