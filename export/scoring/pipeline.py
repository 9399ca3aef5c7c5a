"""Scoring of items chunk by chunk: media of the next chunks are decoded while the model runs on this one."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from threading import BoundedSemaphore

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import InputError
from data.media import Frames, MediaError, Preprocessing, load_frames
from data.text import compose_text, tokenize
from export.machine import usable_cores
from export.scoring.batch import Group, collate, groups_of_one_shape
from export.scoring.chunks import Chunk
from export.scoring.runtimes import Runtime

# N items of a chunk, P policies, L tokens

Batches = list[tuple[list[int], Future[NDArray[np.float32]]]]
"""Of each batch the rows of its items in their chunk, and their logits to come."""


@dataclass(frozen=True)
class _Running:
    """A chunk that is decoded, and its batches."""

    chunk: Chunk
    decoded: list[Frames | str]
    batches: Batches


def score_chunks(
    runtime: Runtime, chunks: Iterable[Chunk], *, batch_size: int, workers: int
) -> Iterator[tuple[Chunk, pl.DataFrame]]:
    """Score chunks in their order, on as many threads as there are cores, each of which decodes and runs the model.

    A thread takes what is there to do: no core waits for the slower stage. Which items share a batch hangs on the
    items alone, never on who was ready first.

    Args:
        runtime: runs as many batches at once as its threads leave cores for.
        chunks: taken as they are needed, a few ahead.
        batch_size: most items in a batch.
        workers: threads; 0: one for each core.

    Yields:
        Each chunk with a row for each of its items: item_id, file, reason (both null where the media could be
        read), logits (null where not).

    Raises:
        InputError: a logit is no finite number; names the item.
    """
    with ThreadPoolExecutor(workers or usable_cores(), "score") as pool:
        decoding = (_start_decoding(pool, chunk, runtime.preprocessing) for chunk in chunks)
        ahead = deque(islice(decoding, 2))
        running: deque[_Running] = deque()
        slots = BoundedSemaphore(max(1, usable_cores() // (runtime.threads or usable_cores())))
        try:
            while ahead or running:
                while ahead and len(running) < 2:
                    chunk, futures = ahead.popleft()
                    decoded = [future.result() for future in futures]
                    batches = _start_batches(pool, slots, runtime, chunk.items, decoded, batch_size)
                    running.append(_Running(chunk, decoded, batches))
                    # Queued behind these batches: while a finished chunk is put away, there is work of both kinds.
                    ahead.extend(islice(decoding, 1))
                finished = running.popleft()
                yield finished.chunk, _finished(runtime, finished)
        finally:
            pool.shutdown(cancel_futures=True)


def _start_decoding(
    pool: ThreadPoolExecutor, chunk: Chunk, preprocessing: Preprocessing
) -> tuple[Chunk, list[Future[Frames | str]]]:
    """Queue the media of a chunk, clips first: the one that takes longest must not begin last."""
    posts = list(chunk.items.select("media", "media_type").iter_rows())
    futures: dict[int, Future[Frames | str]] = {}
    for row in sorted(range(len(posts)), key=lambda row: posts[row][1] != "video"):
        media, media_type = posts[row]
        futures[row] = pool.submit(_decode, media, media_type, preprocessing)
    return chunk, [futures[row] for row in range(len(posts))]


def _decode(media: list[str], media_type: str, preprocessing: Preprocessing) -> Frames | str:
    try:
        return load_frames(media, media_type, preprocessing)
    except MediaError as error:
        return str(error)


def _start_batches(
    pool: ThreadPoolExecutor,
    slots: BoundedSemaphore,
    runtime: Runtime,
    items: pl.DataFrame,
    decoded: list[Frames | str],
    batch_size: int,
) -> Batches:
    """Queue the batches of a chunk, the largest first."""
    settings = runtime.preprocessing
    texts = [compose_text(*row) for row in items.select("caption", "ocr_text", "asr_text").iter_rows()]
    token_ids_NL, token_mask_NL = tokenize(runtime.tokenizer, texts, settings.max_tokens)
    rows = [row for row, frames in enumerate(decoded) if isinstance(frames, Frames)]
    clips = [frames for frames in decoded if isinstance(frames, Frames)]
    groups = groups_of_one_shape(
        [len(clip.times) for clip in clips],
        token_mask_NL[rows].sum(1).tolist(),
        max_tokens=settings.max_tokens,
        batch_size=batch_size,
    )

    def logits_of(group: Group) -> NDArray[np.float32]:
        members = [rows[place] for place in group.places]
        batch = collate(
            [clips[place] for place in group.places],
            token_ids_NL[members],
            token_mask_NL[members],
            size=(settings.height, settings.width),
            pad_token_id=runtime.pad_token_id,
            num_frames=group.num_frames,
            num_tokens=group.num_tokens,
        )
        with slots:
            return runtime.run(batch).logits

    largest_first = sorted(groups, key=lambda group: -len(group.places) * group.num_frames)
    return [([rows[place] for place in group.places], pool.submit(logits_of, group)) for group in largest_first]


def _finished(runtime: Runtime, running: _Running) -> pl.DataFrame:
    """The rows of a chunk, once its last batch is through."""
    items, decoded = running.chunk.items, running.decoded
    logits_NP = np.full((len(items), len(runtime.policy_versions)), np.nan, np.float32)
    for rows, logits in running.batches:
        logits_NP[rows] = logits.result()
    read = [row for row, frames in enumerate(decoded) if isinstance(frames, Frames)]
    _check_finite(logits_NP[read], items["item_id"].gather(read), list(runtime.policy_versions))
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
