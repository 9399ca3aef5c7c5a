"""Running the encoders of a model over items, or finding their features in the cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from tokenizers import Tokenizer

from data.preprocessing import Preprocessing
from data.shards.source import in_reading_order
from train.assemble import Encoders
from train.encode_media import Quarantined, encode_media
from train.encode_texts import encode_texts
from train.features import Rows


@dataclass(frozen=True)
class Encoded:
    """Features of items by item_id.

    Attributes:
        frames: of every readable item; None where the model has no image encoder.
        vectors: by name of the model's other encoders, of every item with what that encoder reads.
        quarantined: items whose media cannot be read.
    """

    frames: Mapping[str, Rows] | None
    vectors: Mapping[str, Mapping[str, Rows]]
    quarantined: list[Quarantined]

    @property
    def unreadable(self) -> set[str]:
        """The item_ids that no batch may hold."""
        return {one.item_id for one in self.quarantined}


def encode(
    items: pl.DataFrame,
    *,
    encoders: Encoders,
    tokenizer: Tokenizer | None,
    preprocessing: Preprocessing,
    cache_dir: Path,
    device: torch.device,
) -> Encoded:
    """Features of all items by all encoders, from the cache where they are known."""
    items = in_reading_order(items)
    media = encode_media(
        items, encoders=encoders.of_media, preprocessing=preprocessing, cache_dir=cache_dir, device=device
    )
    vectors = dict(media.rows)
    if encoders.text is not None and tokenizer is not None:
        vectors["text"] = encode_texts(
            items,
            encoder=encoders.text,
            tokenizer=tokenizer,
            max_tokens=preprocessing.max_tokens,
            cache_dir=cache_dir,
            device=device,
        )
    return Encoded(vectors.pop("image", None), vectors, media.quarantined)
