"""Scoring of items chunk by chunk: media of the next chunk are decoded while the model runs on this one."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import InputError
from data.media import Frames, MediaError, Preprocessing, load_frames
from data.sound import PLACES_PER_SECOND
from data.text import compose_text, tokenize
from export.scoring.batch import collate, groups_of_one_shape
from export.scoring.runtimes import Runtime

# N items of a chunk, P policies, L tokens

LARGEST_CHUNK = 256
CHUNK_BYTES = 256 * 2**20
"""Of decoded frames; two chunks are in memory at once."""
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


def score_chunks(
    runtime: Runtime, chunks: Iterable[Chunk], *, batch_size: int, workers: int
) -> Iterator[tuple[Chunk, pl.DataFrame]]:
    """Score chunks in their order.

    Yields:
        Each chunk with a row for each of its items: item_id, file, reason (both null where the media could be
        read), logits (null where not).

    Raises:
        InputError: a logit is no finite number; names the item.
    """
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0)), "decode") as pool:
        ahead: deque[tuple[Chunk, list[Future[Frames | str]]]] = deque()
        left = iter(chunks)
        try:
            while True:
                while len(ahead) < 2 and (chunk := next(left, None)) is not None:
                    posts = chunk.items.select("media", "media_type").iter_rows()
                    decoding = [pool.submit(_decode, media, kind, runtime.preprocessing) for media, kind in posts]
                    ahead.append((chunk, decoding))
                if not ahead:
                    return
                chunk, futures = ahead.popleft()
                decoded = [future.result() for future in futures]
                yield chunk, _score_chunk(runtime, chunk.items, decoded, batch_size)
        finally:
            pool.shutdown(cancel_futures=True)


def _decode(media: list[str], media_type: str, preprocessing: Preprocessing) -> Frames | str:
    try:
        return load_frames(media, media_type, preprocessing)
    except MediaError as error:
        return str(error)


def _score_chunk(runtime: Runtime, items: pl.DataFrame, decoded: list[Frames | str], batch_size: int) -> pl.DataFrame:
    max_tokens = runtime.preprocessing.max_tokens
    texts = [compose_text(*row) for row in items.select("caption", "ocr_text", "asr_text").iter_rows()]
    token_ids_NL, token_mask_NL = tokenize(runtime.tokenizer, texts, max_tokens)
    rows = [row for row, frames in enumerate(decoded) if isinstance(frames, Frames)]
    clips = [frames for frames in decoded if isinstance(frames, Frames)]
    logits_NP = np.full((len(items), len(runtime.policy_versions)), np.nan, np.float32)
    groups = groups_of_one_shape(
        [len(clip.times) for clip in clips],
        token_mask_NL[rows].sum(1).tolist(),
        max_tokens=max_tokens,
        batch_size=batch_size,
    )
    for group in groups:
        members = [rows[place] for place in group.places]
        batch = collate(
            [clips[place] for place in group.places],
            token_ids_NL[members],
            token_mask_NL[members],
            size=(runtime.preprocessing.height, runtime.preprocessing.width),
            pad_token_id=runtime.pad_token_id,
            num_frames=group.num_frames,
            num_tokens=group.num_tokens,
        )
        logits_NP[members] = runtime.run(batch).logits
    _check_finite(logits_NP[rows], items["item_id"].gather(rows), list(runtime.policy_versions))
    return _part(items, decoded, logits_NP)


def _part(items: pl.DataFrame, decoded: list[Frames | str], logits_NP: NDArray[np.float32]) -> pl.DataFrame:
    reasons = pl.Series("reason", [frames if isinstance(frames, str) else None for frames in decoded], pl.String)
    logits = pl.Series("logits", logits_NP, dtype=pl.Array(pl.Float32, logits_NP.shape[1]))
    return items.select(
        "item_id",
        file=pl.when(reasons.is_not_null()).then(pl.col("media").list.join(", ")),
        reason=reasons,
        logits=pl.when(reasons.is_null()).then(logits),
    )


def _check_finite(logits_NP: NDArray[np.float32], item_ids: pl.Series, policy_ids: list[str]) -> None:
    if np.isfinite(logits_NP).all():
        return
    row, column = np.argwhere(~np.isfinite(logits_NP))[0]
    raise InputError(
        f"item {item_ids[int(row)]!r}: the model gives {logits_NP[row, column]} for policy {policy_ids[column]!r}; "
        "its weights are broken or overflow in this precision. No scores were written"
    )
