"""The classifier: encoders, pooled evidence, a small fusion transformer, one logit a policy. Pure torch, exportable.

Nothing here depends on the values of the data: no branch, no shape. Rows without any evidence are finite.

Shapes: B batch, T frames, L tokens, M mels, K places of a spectrogram, P policies, N images, D features.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from train.network.evidence import (
    ENCODERS,
    MODALITIES,
    MODALITY_OF,
    Evidence,
    EvidencePool,
    LinearEvidence,
    time_passes,
)
from train.network.fusion import Fusion


class MultimodalClassifier(nn.Module):
    """One logit a policy from frames, clips, text and sound, each of which may be missing.

    The logit is a sum of a linear part, on the standardised pooled features, and a fusion part that starts at
    zero. A policy's logit depends on the evidence that the policy declares and on nothing else: fusion runs
    once for each distinct set of evidence, with the tokens of other modalities masked.

    Args:
        encoders: by their name in `train.network.evidence.ENCODERS`; those left out are not read.
        dims: features of each, by the same names. Dimensions without an encoder are of evidence that comes encoded.
        evidence: P sets of modalities, those that each policy may use; others than `MODALITIES` are ignored.
        width: of the fusion transformer.
        num_layers: of the fusion transformer; 0 leaves the linear part alone.
        num_heads: of its attention.
        dropout: in the fusion transformer.
        modality_dropout: chance, in training, that a modality of an item counts as missing.
    """

    image_encoder: nn.Module | None
    clip_encoder: nn.Module | None
    text_encoder: nn.Module | None
    audio_encoder: nn.Module | None

    def __init__(
        self,
        *,
        encoders: Mapping[str, nn.Module],
        dims: Mapping[str, int],
        evidence: Sequence[frozenset[str]],
        width: int = 64,
        num_layers: int = 1,
        num_heads: int = 4,
        dropout: float = 0.3,
        modality_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        for name in ENCODERS:
            self.add_module(f"{name}_encoder", encoders.get(name))
        self.dims = {name: dims[name] for name in ENCODERS if name in dims}
        self.modality_dropout = modality_dropout
        self.modalities = [name for name in MODALITIES if name in {MODALITY_OF[read] for read in self.dims}]
        usable = [tuple(name for name in MODALITIES if name in allowed) for allowed in evidence]
        self.pool = EvidencePool(self.dims)
        self.linear = LinearEvidence(self.dims, usable)
        self.fusion = Fusion(self.dims, usable, width, num_layers, num_heads, dropout) if num_layers else None

    @property
    def encoders(self) -> dict[str, nn.Module]:
        """The encoders that the network has, by name."""
        found = {name: getattr(self, f"{name}_encoder") for name in ENCODERS}
        return {name: encoder for name, encoder in found.items() if encoder is not None}

    def forward(
        self,
        frames: Tensor,
        frame_mask: Tensor,
        frame_times: Tensor,
        token_ids: Tensor,
        token_mask: Tensor,
        log_mel: Tensor | None = None,
        audio_mask: Tensor | None = None,
    ) -> Tensor:
        """Logits [B, P] in float32.

        Args:
            frames: uint8 [B, T, 3, H, W].
            frame_mask: bool [B, T], True where a frame is real.
            frame_times: float32 [B, T], seconds since the first frame, 0 for photos.
            token_ids: int64 [B, L].
            token_mask: bool [B, L], True where a token is real.
            log_mel: float32 [B, M, K]; None for a network without audio encoder.
            audio_mask: bool [B, K], True where there is sound.
        """
        vectors, present = {}, {}
        if self.clip_encoder is not None:
            vectors["clip"] = self.clip_encoder(frames, frame_mask).float()
            present["clip"] = time_passes(frame_mask, frame_times).any(1)
        if self.text_encoder is not None:
            vectors["text"] = self.text_encoder(token_ids, token_mask).float()
            present["text"] = token_mask.any(1)
        if self.audio_encoder is not None:
            assert log_mel is not None
            assert audio_mask is not None
            vectors["audio"] = self.audio_encoder(log_mel, audio_mask).float()
            present["audio"] = audio_mask.any(1)
        return self.fuse(Evidence(self._encode_frames(frames), frame_mask, frame_times, vectors, present))

    def _encode_frames(self, frames: Tensor) -> Tensor:
        """Features [B, T, D] of uint8 frames [B, T, 3, H, W]; D is 0 without an image encoder."""
        B, T = frames.shape[:2]
        if self.image_encoder is None:
            return frames.new_zeros(B, T, 0, dtype=torch.float32)
        # Cast before the reshape: some engines know no uint8 Reshape.
        features_ND: Tensor = self.image_encoder(frames.to(torch.float32).flatten(0, 1))
        return features_ND.float().reshape(B, T, features_ND.shape[-1])

    def fuse(self, evidence: Evidence) -> Tensor:
        """Logits [B, P] in float32 of encoded evidence."""
        if self.training and self.modality_dropout > 0:
            shape, device = (len(self.modalities), len(evidence.frame_mask)), evidence.frame_mask.device
            keep = torch.rand(shape, device=device) >= self.modality_dropout
            evidence = evidence.kept(dict(zip(self.modalities, keep, strict=True)))
        pooled = self.pool(evidence)
        logits_BP: Tensor = self.linear(pooled)
        if self.fusion is not None:
            logits_BP = logits_BP + self.fusion(pooled)
        return logits_BP
