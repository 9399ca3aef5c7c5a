"""The fusion transformer: the part of the logits in which frames, motion and text meet.

Shapes: B batch, T frames, P policies, E distinct sets of evidence, S tokens, W width, A angles, D features.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from train.network.evidence import MODALITY_OF, VECTORS, Pooled

TIME_PERIODS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # seconds


class Fusion(nn.Module):
    """A transformer over [query, mean, motion, frames…, vectors…], once for each distinct set of evidence.

    Args:
        dims: features of each encoder that the network has, by its name in `train.network.evidence.ENCODERS`.
        usable: of P policies, the modalities that each may use.
        width: of a token.
        num_layers: at least 1.
        num_heads: of the attention.
        dropout: of tokens and within layers.
    """

    angular: Tensor

    def __init__(
        self,
        dims: Mapping[str, int],
        usable: Sequence[tuple[str, ...]],
        width: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        distinct = sorted(set(usable))
        self.set_of_policy = [distinct.index(sets) for sets in usable]
        # An encoder that is not there has no tokens at all.
        self.reads_frames, self.vectors = "image" in dims, [name for name in VECTORS if name in dims]
        for modality in sorted({MODALITY_OF[name] for name in dims}):
            self.register_buffer(f"sees_{modality}", torch.tensor([modality in sets for sets in distinct]))
        if self.reads_frames:
            self.frame = nn.Linear(dims["image"], width)
            self.mean = nn.Linear(dims["image"], width)
            self.motion = nn.Linear(dims["image"], width)
            self.time = nn.Linear(2 * len(TIME_PERIODS), width)
            self.missing_visual = nn.Parameter(torch.randn(width) * 0.02)
        for name in self.vectors:
            self.add_module(name, nn.Linear(dims[name], width))
            self.register_parameter(f"missing_{name}", nn.Parameter(torch.randn(width) * 0.02))
        self.query = nn.Parameter(torch.randn(width) * 0.02)
        self.register_buffer("angular", 2 * math.pi / torch.tensor(TIME_PERIODS))
        self.input_dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(FusionLayer(width, num_heads, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Parameter(torch.zeros(len(usable), width))

    def forward(self, pooled: Pooled) -> Tensor:
        """Logits [B, P], zero before the first step."""
        tokens_BSW = self.input_dropout(self._tokens(pooled))
        mask_BES = self._masks(pooled)
        B, E, S = mask_BES.shape
        tokens = tokens_BSW.unsqueeze(1).expand(B, E, S, -1).flatten(0, 1)
        mask = mask_BES.flatten(0, 1)
        for layer in self.layers:
            tokens = layer(tokens, mask)
        summary_BEW = self.norm(tokens[:, 0]).unflatten(0, (B, E))
        logits_BP: Tensor = (summary_BEW[:, self.set_of_policy] * self.head).sum(-1)
        return logits_BP

    def _tokens(self, pooled: Pooled) -> Tensor:
        """[B, S, W]: query, mean, motion, frames, vectors."""
        tokens = [self.query.expand(pooled.mean.shape[0], 1, -1)]
        if self.reads_frames:
            mean_BW = torch.where(pooled.present["image"].unsqueeze(1), self.mean(pooled.mean), self.missing_visual)
            tokens.append(torch.stack([mean_BW, self.motion(pooled.motion)], 1))
            angles_BTA = pooled.frame_times.unsqueeze(-1) * self.angular
            tokens.append(self.frame(pooled.frames) + self.time(torch.cat([angles_BTA.sin(), angles_BTA.cos()], -1)))
        for name in self.vectors:
            projected_BW = self.get_submodule(name)(pooled.vectors[name])
            missing_W = self.get_parameter(f"missing_{name}")
            token_BW = torch.where(pooled.present[name].unsqueeze(1), projected_BW, missing_W)
            tokens.append(token_BW.unsqueeze(1))
        return torch.cat(tokens, 1)

    def _masks(self, pooled: Pooled) -> Tensor:
        """[B, E, S]: which tokens a set of evidence sees. The query is seen by all: no softmax over nothing."""
        B, E = pooled.mean.shape[0], max(self.set_of_policy) + 1

        def seen(name: str) -> Tensor:
            return self.get_buffer(f"sees_{MODALITY_OF[name]}").view(1, E, 1).expand(B, E, 1)

        masks = [pooled.frame_mask.new_ones(B, E, 1)]
        if self.reads_frames:
            image_BE1 = seen("image")
            masks += [image_BE1, image_BE1, image_BE1 & pooled.frame_mask.unsqueeze(1)]
        return torch.cat([*masks, *(seen(name) for name in self.vectors)], 2)


class FusionLayer(nn.Module):
    """Pre-norm transformer layer with a mask over keys."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens_BSW: Tensor, mask_BS: Tensor) -> Tensor:
        """Tokens [B, S, W] that have attended to those of the mask [B, S]."""
        q, k, v = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in self.qkv(self.norm_attention(tokens_BSW)).chunk(3, -1)
        )
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~mask_BS[:, None, None, :], -1e4)
        attended = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        mixed_BSW: Tensor = tokens_BSW + self.dropout(self.project(attended))
        out_BSW: Tensor = mixed_BSW + self.dropout(self.mlp(self.norm_mlp(mixed_BSW)))
        return out_BSW
