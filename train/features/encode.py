"""Running the encoders of a model over items, or finding their features in the cache."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from tokenizers import Tokenizer
from torch.distributed import get_rank, get_world_size

from data.preprocessing import Preprocessing
from data.shards.source import in_reading_order
from train.features.cache import Rows
from train.features.encode_media import Quarantined, encode_media
from train.features.encode_texts import encode_texts
from train.job.processes import LONGEST_ENCODING, is_connected, together
from train.network.assemble import Encoders


def encode_together(
    parts: Mapping[str, pl.DataFrame], encode_items: Callable[[pl.DataFrame], "Encoded"]
) -> dict[str, "Encoded"]:
    """Features of the items of all parts, on every process alike, each of which has encoded a share of them.

    They share the cache. Where each machine has one of its own, its processes encode what is missing there.

    Args:
        parts: items by the name of the part.
        encode_items: `encode` with all else given.
    """
    if is_connected():
        rank, world_size = get_rank(), get_world_size()

        def encode_share() -> None:
            for items in parts.values():
                ordered = in_reading_order(items)
                start, stop = (place * len(ordered) // world_size for place in (rank, rank + 1))
                encode_items(ordered[start:stop])

        together(encode_share, longest=LONGEST_ENCODING)
    return together(lambda: {name: encode_items(items) for name, items in parts.items()}, longest=LONGEST_ENCODING)


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
