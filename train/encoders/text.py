"""Texts to one vector each.

Shapes: B batch, L tokens, D features.
"""

from typing import Any

import torch
from torch import Tensor, nn

from data.errors import InputError
from train.encoders.pooling import LAST, PoolBy, join_layers, wanted, without_unused
from train.encoders.sources import load_text_backbone
from train.settings import Pool

# These poolers read one place of a padded row: what an item's text gives would depend on its batch.
NO_TEXT_POOLER = ("siglip_text_model", "siglip2_text_model")


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
        self.backbone, self.config, self.pool, self.layers = without_unused(backbone, pool), config, pool, layers

    def forward(self, token_ids_BL: Tensor, token_mask_BL: Tensor) -> Tensor:
        """Encode token ids [B, L] to features [B, D]; finite also where a row of the mask is all False."""
        # The first token is real in every text. Attending to it in rows without text keeps the softmax finite.
        first_L = torch.arange(token_ids_BL.shape[1], device=token_ids_BL.device) == 0
        mask_BL = token_mask_BL | first_L
        output = self.backbone(input_ids=token_ids_BL, attention_mask=mask_BL.to(torch.int64), **wanted(self.layers))
        weights_BL1 = mask_BL.unsqueeze(-1).to(output.last_hidden_state.dtype)

        def pooled(hidden_BLD: Tensor) -> Tensor:
            if self.pool == "cls":
                return hidden_BLD[:, 0]
            return (hidden_BLD * weights_BL1).sum(1) / weights_BL1.sum(1)

        return join_layers(output, self.layers, self.pool, pooled)


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
