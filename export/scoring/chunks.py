"""Chunks: the items of a long run that are decoded, batched and kept together."""

from dataclasses import dataclass

import polars as pl

from data.media import Preprocessing
from data.sound import PLACES_PER_SECOND

LARGEST_CHUNK = 256
CHUNK_BYTES = 128 * 2**20
"""Of decoded frames; at most four chunks are in memory at once."""
ITEM_COLUMNS = ["item_id", "media", "media_type", "caption", "ocr_text", "asr_text"]


@dataclass(frozen=True)
class Chunk:
    """Items that are finished, or lost to a kill, together.

    Attributes:
        index: place among the chunks of a run.
        items: ITEM_COLUMNS of `data.items`, N rows.
    """

    index: int
    items: pl.DataFrame

    @property
    def media(self) -> list[str]:
        """All media files of the chunk."""
        media: list[str] = self.items["media"].explode().to_list()
        return media


def cut(items: pl.DataFrame, size: int) -> list[Chunk]:
    """Chunks of `size` items, in their order; the last may be smaller."""
    return [Chunk(index, rows) for index, rows in enumerate(items.select(ITEM_COLUMNS).iter_slices(size))]


def chunk_size(preprocessing: Preprocessing) -> int:
    """Items a chunk, such that their frames and sound fit into memory even if all of them are clips."""
    item_bytes = preprocessing.most_frames * 3 * preprocessing.height * preprocessing.width
    if preprocessing.log_mel is not None:
        item_bytes += preprocessing.log_mel.num_mels * preprocessing.audio_seconds * PLACES_PER_SECOND * 4
    return max(1, min(LARGEST_CHUNK, CHUNK_BYTES // item_bytes))
