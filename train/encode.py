"""Running frozen encoders over items: decoding beside inference, features into the cache, bad media to quarantine.

Shapes: N images, B texts, T frames, L tokens, D features.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from tokenizers import Tokenizer

from data.loading import texts_of
from data.media import Frames, MediaError, load_frames
from data.preprocessing import Preprocessing
from data.progress import tracked
from data.shards.names import ShardError
from data.shards.source import in_reading_order
from data.text import tokenize
from train.assemble import Encoders
from train.encoders.describing import describe
from train.encoders.image import ImageEncoder
from train.encoders.text import TextEncoder
from train.features import FeatureCache, Rows, in_shards, key_of_media, key_of_text

DECODERS = 2  # threads; decoding a batch ahead of the encoder
IMAGES_PER_BATCH = 32
ITEMS_PER_SHARD = 128
TEXTS_PER_BATCH = 64
TEXTS_PER_SHARD = 2048


@dataclass(frozen=True)
class Quarantined:
    """An item whose media cannot be read, and why."""

    item_id: str
    reason: str


@dataclass(frozen=True)
class EncodedMedia:
    """Frame features of items by item_id, and the items that have none because they cannot be read."""

    rows: dict[str, Rows]
    quarantined: list[Quarantined]


@dataclass(frozen=True)
class Encoded:
    """Features of items by item_id; None where the model has no such encoder.

    Attributes:
        frames: of every readable item.
        texts: of every item with text.
        quarantined: items whose media cannot be read.
    """

    frames: dict[str, Rows] | None
    texts: dict[str, Rows] | None
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
    items, media, texts = in_reading_order(items), None, None
    if encoders.image is not None:
        media = encode_media(
            items, encoder=encoders.image, preprocessing=preprocessing, cache_dir=cache_dir, device=device
        )
    if encoders.text is not None and tokenizer is not None:
        texts = encode_texts(
            items,
            encoder=encoders.text,
            tokenizer=tokenizer,
            max_tokens=preprocessing.max_tokens,
            cache_dir=cache_dir,
            device=device,
        )
    return Encoded(None if media is None else media.rows, texts, [] if media is None else media.quarantined)


def encode_media(
    items: pl.DataFrame,
    *,
    encoder: ImageEncoder,
    preprocessing: Preprocessing,
    cache_dir: Path,
    device: torch.device,
) -> EncodedMedia:
    """Frame features of all items, from the cache where they are known.

    Args:
        items: with item_id, media, media_type.
        encoder: frozen; it is moved to `device`.
        preprocessing: from files to frames.
        cache_dir: shared by all runs.
        device: where to encode.
    """
    made_by = {"preprocessing": preprocessing.to_dict(), "encoder": describe(encoder)}
    made_by["preprocessing"].pop("max_tokens")
    cache = FeatureCache(cache_dir, made_by)
    rows, quarantined = {}, []
    keys: dict[str, str] = {}
    wanted: dict[str, tuple[str, list[str], str]] = {}
    for item_id, media, media_type in items.select("item_id", "media", "media_type").iter_rows():
        try:
            keys[item_id] = key_of_media(media, media_type)
        except (OSError, ValueError) as error:
            reason = _reason(error)
            quarantined.append(Quarantined(item_id, reason))
            continue
        if keys[item_id] not in cache.rows:
            wanted.setdefault(keys[item_id], (item_id, media, media_type))

    encoder = encoder.to(device).to(memory_format=torch.channels_last).eval()  # convolutions are faster so
    reasons: dict[str, str] = {}

    def decode(key: str) -> Frames | MediaError:
        _, media, media_type = wanted[key]
        try:
            return load_frames(media, media_type, preprocessing)
        except MediaError as error:
            return error

    with ThreadPoolExecutor(DECODERS) as threads:
        decoded = _ahead(threads, decode, tracked(list(wanted), "encoding media", len(wanted)))
        for shard in in_shards(list(wanted), ITEMS_PER_SHARD):
            readable: dict[str, Frames] = {}
            # zip asks the shard first: at its end nothing is taken from `decoded`.
            for key, frames in zip(shard, decoded, strict=False):
                if isinstance(frames, MediaError):
                    reasons[key] = str(frames)
                else:
                    readable[key] = frames
            if readable:
                cache.append(list(readable), _encode_frames(encoder, list(readable.values()), device))
    for item_id, key in keys.items():
        if key in reasons:
            quarantined.append(Quarantined(item_id, reasons[key]))
        else:
            rows[item_id] = cache.rows[key]
    return EncodedMedia(rows, sorted(quarantined, key=lambda one: one.item_id))


def encode_texts(
    items: pl.DataFrame,
    *,
    encoder: TextEncoder,
    tokenizer: Tokenizer,
    max_tokens: int,
    cache_dir: Path,
    device: torch.device,
) -> dict[str, Rows]:
    """Text features by item_id, from the cache where they are known; items without text are left out."""
    made_by = {"encoder": describe(encoder), "tokenizer": tokenizer_digest(tokenizer), "max_tokens": max_tokens}
    cache = FeatureCache(cache_dir, made_by)
    texts = {item_id: text for item_id, text in zip(items["item_id"], texts_of(items), strict=True) if text}
    by_key = {key_of_text(text): text for text in texts.values()}
    # Texts of like length share a batch: less padding.
    missing = sorted((key for key in by_key if key not in cache.rows), key=lambda key: (len(by_key[key]), key))
    encoder = encoder.to(device).eval()
    bar = iter(tracked(missing, "encoding texts", len(missing)))
    for shard in in_shards(missing, TEXTS_PER_SHARD):
        rows: list[Rows] = []
        for batch in in_shards(shard, TEXTS_PER_BATCH):
            token_ids, token_mask = tokenize(tokenizer, [by_key[key] for key in batch], max_tokens)
            with torch.inference_mode():
                features_BD = encoder(torch.from_numpy(token_ids).to(device), torch.from_numpy(token_mask).to(device))
            rows += [Rows(row[None], np.zeros(1, np.float32)) for row in features_BD.float().cpu().numpy()]
            next(bar)
        cache.append(shard, rows)
    return {item_id: cache.rows[key_of_text(text)] for item_id, text in texts.items()}


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """Hex SHA-256 of a tokenizer, whatever truncation is set on it."""
    return key_of_text(untruncated_json(tokenizer))


def untruncated_json(tokenizer: Tokenizer) -> str:
    """The content of tokenizer.json without truncation, which `tokenize` sets by itself."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    return copy.to_str()


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ShardError):
        return str(error)
    return "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__


def _encode_frames(encoder: ImageEncoder, items: Sequence[Frames], device: torch.device) -> list[Rows]:
    frames_N3HW = np.concatenate([item.frames for item in items])
    parts = []
    with torch.inference_mode():
        for start in range(0, len(frames_N3HW), IMAGES_PER_BATCH):
            batch = torch.from_numpy(frames_N3HW[start : start + IMAGES_PER_BATCH]).to(device)
            parts.append(encoder(batch).float().cpu().numpy())
    features_ND = np.concatenate(parts)
    ends = np.cumsum([len(item.times) for item in items])[:-1]
    return [Rows(features, item.times) for features, item in zip(np.split(features_ND, ends), items, strict=True)]


def _ahead(threads: ThreadPoolExecutor, work: Any, given: Iterable[str]) -> Iterator[Any]:
    """Results of `work` in order, a few of them computed ahead of their use."""
    waiting: list[Future[Any]] = []
    for one in given:
        waiting.append(threads.submit(work, one))
        if len(waiting) > 2 * IMAGES_PER_BATCH:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()
