"""Running encoders of media over items: decoding beside inference, features into the cache, bad media to quarantine.

Shapes: N images or clips, T frames, D features.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from data.media import Frames, MediaError, load_frames, load_log_mel
from data.preprocessing import Preprocessing
from data.progress import tracked
from data.shards.names import ShardError
from train.encoders.audio import AudioEncoder
from train.encoders.clip import ClipEncoder
from train.encoders.describing import MediaEncoder, describe
from train.encoders.image import ImageEncoder
from train.features.cache import FeatureCache, Rows, in_shards, key_of_media
from train.network.shapes import filled_up

DECODERS = 2  # threads; decoding a batch ahead of the encoder
IMAGES_PER_BATCH = 32
ITEMS_PER_SHARD = 128


@dataclass(frozen=True)
class Quarantined:
    """An item whose media cannot be read, and why."""

    item_id: str
    reason: str


@dataclass(frozen=True)
class EncodedMedia:
    """Features by the encoder's name and the item_id, and the items that have none because they cannot be read.

    An encoder of clips or sound has no row, or an empty one, for an item in which no time passes or that is silent.
    """

    rows: dict[str, dict[str, Rows]]
    quarantined: list[Quarantined]


@dataclass(frozen=True)
class _Wanted:
    """An item whose features some encoders' caches lack."""

    media: list[str]
    media_type: str
    names: list[str]


def encode_media(
    items: pl.DataFrame,
    *,
    encoders: Mapping[str, MediaEncoder],
    preprocessing: Preprocessing,
    cache_dir: Path,
    device: torch.device,
) -> EncodedMedia:
    """Features of all items, from the caches where they are known; what is not known is decoded once.

    Args:
        items: with item_id, media, media_type.
        encoders: by name; they are moved to `device`.
        preprocessing: from files to what they read.
        cache_dir: shared by all runs.
        device: where to encode.
    """
    if not encoders:
        return EncodedMedia({}, [])
    caches = {name: _cache(encoder, preprocessing, cache_dir) for name, encoder in encoders.items()}
    keys, quarantined = _keys_of(items)
    wanted: dict[str, _Wanted] = {}
    for item_id, media, media_type in items.select("item_id", "media", "media_type").iter_rows():
        key = keys.get(item_id)
        missing = [name for name in encoders if _reads(name, media_type) and key not in caches[name].rows]
        if missing and key is not None:
            wanted.setdefault(key, _Wanted(media, media_type, missing))
    for encoder in encoders.values():
        encoder.to(device).eval()
        if isinstance(encoder, ImageEncoder) and device.type == "cpu":
            # Convolutions are faster so. A GPU's are not, and there cuDNN compiles some of them for seconds.
            encoder.to(memory_format=torch.channels_last)
    reasons: dict[str, str] = {}

    def decode(key: str) -> Frames | MediaError:
        try:
            return _decoded(wanted[key], preprocessing)
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
            for name, encoder in encoders.items():
                found = {key: frames for key, frames in readable.items() if name in wanted[key].names}
                if found:
                    caches[name].append(list(found), _encode(encoder, list(found.values()), device))
    quarantined += [Quarantined(item_id, reasons[key]) for item_id, key in keys.items() if key in reasons]
    readable_keys = {item_id: key for item_id, key in keys.items() if key not in reasons}
    return EncodedMedia(
        {
            name: {item_id: cache.rows[key] for item_id, key in readable_keys.items() if key in cache.rows}
            for name, cache in caches.items()
        },
        sorted(quarantined, key=lambda one: one.item_id),
    )


def _decoded(item: _Wanted, preprocessing: Preprocessing) -> Frames:
    """What the encoders of an item want of it, and no more."""
    if item.names == ["audio"]:
        nothing = np.zeros((0, 3, preprocessing.height, preprocessing.width), np.uint8)
        log_mel = load_log_mel(item.media, item.media_type, preprocessing)
        return Frames(nothing, np.zeros(0, np.float32), log_mel)
    if "audio" not in item.names:
        preprocessing = replace(preprocessing, log_mel=None)
    return load_frames(item.media, item.media_type, preprocessing)


def _keys_of(items: pl.DataFrame) -> tuple[dict[str, str], list[Quarantined]]:
    """The key of each item's media by item_id, and the items whose files cannot be opened."""
    keys, unopened = {}, []
    for item_id, media, media_type in items.select("item_id", "media", "media_type").iter_rows():
        try:
            keys[item_id] = key_of_media(media, media_type)
        except (OSError, ValueError) as error:
            unopened.append(Quarantined(item_id, _reason(error)))
    return keys, unopened


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ShardError):
        return str(error)
    return "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__


def _cache(encoder: MediaEncoder, preprocessing: Preprocessing, cache_dir: Path) -> FeatureCache:
    """The cache of an encoder: by what its features hang on, and nothing else."""
    if isinstance(encoder, AudioEncoder):
        names = ("audio_seconds", "log_mel", "clip_decoder")
        read_by = {name: value for name, value in preprocessing.to_dict().items() if name in names}
    else:
        read_by = replace(preprocessing, log_mel=None).to_dict()
        read_by.pop("max_tokens")
    return FeatureCache(cache_dir, {"preprocessing": read_by, "encoder": describe(encoder)})


def _reads(name: str, media_type: str) -> bool:
    return name == "image" or media_type == "video"


def _encode(encoder: MediaEncoder, items: Sequence[Frames], device: torch.device) -> list[Rows]:
    if isinstance(encoder, ImageEncoder):
        return _encode_frames(encoder, items, device)
    return _encode_vectors(encoder, items, device)


def _encode_frames(encoder: ImageEncoder, items: Sequence[Frames], device: torch.device) -> list[Rows]:
    frames_N3HW = np.concatenate([item.frames for item in items])
    parts = []
    with torch.inference_mode():
        for start in range(0, len(frames_N3HW), IMAGES_PER_BATCH):
            batch = torch.from_numpy(frames_N3HW[start : start + IMAGES_PER_BATCH]).to(device)
            features = encoder(filled_up(batch, IMAGES_PER_BATCH))[: len(batch)]
            parts.append(features.float().cpu().numpy())
    features_ND = np.concatenate(parts)
    ends = np.cumsum([len(item.times) for item in items])[:-1]
    return [Rows(features, item.times) for features, item in zip(np.split(features_ND, ends), items, strict=True)]


def _encode_vectors(encoder: ClipEncoder | AudioEncoder, items: Sequence[Frames], device: torch.device) -> list[Rows]:
    """One vector for each item that has what the encoder reads, and no row for the others."""
    features: dict[int, npt.NDArray[np.float32]] = {}
    with torch.inference_mode():
        for place, item in enumerate(items):
            if isinstance(encoder, AudioEncoder):
                assert item.log_mel is not None
                given, places = torch.from_numpy(item.log_mel), item.log_mel.shape[1]
            else:
                given, places = (
                    torch.from_numpy(item.frames),
                    len(item.times) if (np.diff(item.times) > 0).any() else 0,
                )
            if places:
                mask = torch.ones((1, places), dtype=torch.bool, device=device)
                features[place] = encoder(given.unsqueeze(0).to(device), mask).float().cpu().numpy()
    nothing = np.zeros((0, next(iter(features.values())).shape[1] if features else 0), np.float32)
    return [
        Rows(found, np.zeros(len(found), np.float32))
        for found in (features.get(place, nothing) for place in range(len(items)))
    ]


def _ahead(threads: ThreadPoolExecutor, work: Any, given: Iterable[str]) -> Iterator[Any]:
    """Results of `work` in order, a few of them computed ahead of their use."""
    waiting: list[Future[Any]] = []
    for one in given:
        waiting.append(threads.submit(work, one))
        if len(waiting) > 2 * IMAGES_PER_BATCH:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()
