"""Batches of the loaders through the encoders of a network: what was encoded before is taken as it is.

The serving graph has a forward of its own, free of branches on the data; here padding is not encoded, and neither are
items without what an encoder reads.

Shapes: B batch, T frames, N items that are encoded, D features.
"""

import torch
from torch import Tensor

from data.loading import Batch
from train.network.classifier import MultimodalClassifier
from train.network.evidence import VECTORS, Evidence
from train.network.shapes import filled_up


def evidence_of(batch: Batch, network: MultimodalClassifier) -> Evidence:
    """The argument of `network.fuse`, in float32."""
    names = [name for name in VECTORS if name in network.dims]
    return Evidence(
        frames=_frame_features(batch, network).float(),
        frame_mask=batch.frame_mask,
        frame_times=batch.frame_times,
        vectors={
            name: (batch.vectors[name] if name in batch.vectors else _vector(name, batch, network)).float()
            for name in names
        },
        present={name: batch.present[name] for name in names},
    )


def _frame_features(batch: Batch, network: MultimodalClassifier) -> Tensor:
    if batch.frame_features is not None:
        return batch.frame_features
    features_BTD = batch.frame_times.new_zeros(*batch.frame_mask.shape, network.dims.get("image", 0))
    if network.image_encoder is None or batch.frames is None:
        return features_BTD
    mask_BT, rows_N = _rows_to_encode(batch.frame_mask)
    encoded_ND = network.image_encoder(batch.frames.flatten(0, 1)[filled_up(rows_N)])[: len(rows_N)]
    return features_BTD.masked_scatter(mask_BT.unsqueeze(-1), encoded_ND.float())


def _vector(name: str, batch: Batch, network: MultimodalClassifier) -> Tensor:
    """Features [B, D] by an encoder of VECTORS, zero where an item has nothing for it."""
    encoder = network.encoders[name]
    given = {
        "clip": (batch.frames, batch.frame_mask),
        "text": (batch.token_ids, batch.token_mask),
        "audio": (batch.log_mel, batch.audio_mask),
    }[name]
    has_B, rows_N = _rows_to_encode(batch.present[name])
    filled = filled_up(rows_N)
    read = []
    for tensor in given:
        assert tensor is not None
        read.append(tensor[filled])
    encoded_ND = encoder(*read)[: len(rows_N)]
    empty_BD = batch.frame_times.new_zeros(len(has_B), network.dims[name])
    return empty_BD.masked_scatter(has_B.unsqueeze(1), encoded_ND.float())


def _rows_to_encode(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The mask, and the numbers of its True places, flattened. Where there is none, the first, which is padding.

    Every process of several must reach every weight that trains.
    """
    rows_N = mask.flatten().nonzero().squeeze(1)  # waits for a GPU
    if len(rows_N):
        return mask, rows_N
    first = torch.zeros_like(mask)
    first.view(-1)[0] = True
    return first, rows_N.new_zeros(1)
