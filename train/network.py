"""The classifier: encoders, pooled evidence, a small fusion transformer, one logit a policy. Pure torch, exportable.

Nothing here depends on the values of the data: no branch, no shape. Rows without any evidence are finite.

Shapes: B batch, T frames, L tokens, P policies, N images, D features of an encoder.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from train.encoders.image import ImageEncoder
from train.encoders.text import TextEncoder
from train.evidence import EvidencePool, LinearEvidence
from train.fusion import Fusion

MODALITIES = ("visual", "text")


class MultimodalClassifier(nn.Module):
    """One logit a policy from frames and text, each of which may be missing.

    The logit is a sum of a linear part, on the standardised pooled features, and a fusion part that starts at
    zero. A policy's logit depends on the evidence that the policy declares and on nothing else: fusion runs
    once for each distinct set of evidence, with the tokens of other modalities masked.

    Args:
        image_encoder: None for a model without frames.
        text_encoder: None for a model without text.
        visual_dim: features of the image encoder; 0 without one.
        text_dim: features of the text encoder; 0 without one.
        evidence: P sets of modalities, those that each policy may use; others than `MODALITIES` are ignored.
        width: of the fusion transformer.
        num_layers: of the fusion transformer; 0 leaves the linear part alone.
        num_heads: of its attention.
        dropout: in the fusion transformer.
        modality_dropout: chance, in training, that an item's frames, or its text, count as missing.
    """

    def __init__(
        self,
        *,
        image_encoder: ImageEncoder | None,
        text_encoder: TextEncoder | None,
        visual_dim: int,
        text_dim: int,
        evidence: Sequence[frozenset[str]],
        width: int = 64,
        num_layers: int = 1,
        num_heads: int = 4,
        dropout: float = 0.3,
        modality_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.visual_dim, self.text_dim = visual_dim, text_dim
        self.modality_dropout = modality_dropout
        usable = [tuple(name for name in MODALITIES if name in allowed) for allowed in evidence]
        self.pool = EvidencePool(visual_dim, text_dim)
        self.linear = LinearEvidence(visual_dim, text_dim, usable)
        self.fusion = (
            Fusion(visual_dim, text_dim, usable, width, num_layers, num_heads, dropout) if num_layers else None
        )

    def forward(
        self,
        frames: Tensor,
        frame_mask: Tensor,
        frame_times: Tensor,
        token_ids: Tensor,
        token_mask: Tensor,
    ) -> Tensor:
        """Logits [B, P] in float32.

        Args:
            frames: uint8 [B, T, 3, H, W].
            frame_mask: bool [B, T], True where a frame is real.
            frame_times: float32 [B, T], seconds since the first frame, 0 for photos.
            token_ids: int64 [B, L].
            token_mask: bool [B, L], True where a token is real.
        """
        frame_features_BTD = self.encode_frames(frames)
        text_features_BD = self.encode_text(token_ids, token_mask)
        return self.fuse(frame_features_BTD, frame_mask, frame_times, text_features_BD, token_mask.any(1))

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Features [B, T, D] of uint8 frames [B, T, 3, H, W]; D is 0 without an image encoder."""
        B, T = frames.shape[:2]
        if self.image_encoder is None:
            return frames.new_zeros(B, T, 0, dtype=torch.float32)
        # Cast before the reshape: some engines know no uint8 Reshape.
        features_ND: Tensor = self.image_encoder(frames.to(torch.float32).flatten(0, 1))
        return features_ND.float().reshape(B, T, features_ND.shape[-1])

    def encode_text(self, token_ids: Tensor, token_mask: Tensor) -> Tensor:
        """Features [B, D] of token ids [B, L] and their mask; D is 0 without a text encoder."""
        if self.text_encoder is None:
            return token_ids.new_zeros(token_ids.shape[0], 0, dtype=torch.float32)
        features_BD: Tensor = self.text_encoder(token_ids, token_mask)
        return features_BD.float()

    def fuse(
        self,
        frame_features: Tensor,
        frame_mask: Tensor,
        frame_times: Tensor,
        text_features: Tensor,
        has_text: Tensor,
    ) -> Tensor:
        """Logits [B, P] in float32 of encoded evidence.

        Args:
            frame_features: float32 [B, T, D].
            frame_mask: bool [B, T].
            frame_times: float32 [B, T].
            text_features: float32 [B, D].
            has_text: bool [B].
        """
        if self.training and self.modality_dropout > 0:
            keep_2B = torch.rand(2, len(has_text), device=has_text.device) >= self.modality_dropout
            frame_mask = frame_mask & keep_2B[0].unsqueeze(1)
            has_text = has_text & keep_2B[1]
        pooled = self.pool(frame_features, frame_mask, frame_times, text_features, has_text)
        logits_BP: Tensor = self.linear(pooled)
        if self.fusion is not None:
            logits_BP = logits_BP + self.fusion(pooled)
        return logits_BP
