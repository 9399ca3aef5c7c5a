"""Features of frozen encoders, computed once and kept: a file cache that runs share, filled shard by shard.

A feature is known by the content of its media (or text), the preprocessing and the encoder's weights. A shard is
appended when it is full, so a killed job goes on where it was; a damaged one is found and computed again.

Shapes: R rows (frames or texts), D features.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from data.files import atomic_file, sha256_of_json
from data.shards.names import PREFIX, place_of

SCHEMA = "setpoint/features/v1"


@dataclass(frozen=True)
class Rows:
    """The features of one item, memory-mapped.

    Attributes:
        features: float32 [R, D], R frames of an item, or 1 for a text.
        times: float32 [R], seconds since the first frame; 0 for photos and texts.
    """

    features: npt.NDArray[np.float32]
    times: npt.NDArray[np.float32]


class FeatureCache:
    """Features by key, in the shards of one folder.

    Args:
        cache_dir: shared by all runs.
        made_by: everything beside the content that features hang on, as JSON values; it names the folder.
    """

    def __init__(self, cache_dir: Path, made_by: dict[str, Any]) -> None:
        self.folder = cache_dir / "features" / sha256_of_json({"schema": SCHEMA, **made_by})[:16]
        self.rows: dict[str, Rows] = {}
        self.num_damaged = 0
        for path in sorted(self.folder.glob("shard-*.safetensors")):
            try:
                self.rows.update(_read_shard(path))
            except (ValueError, KeyError, TypeError, OSError, OverflowError):
                # Truncated, or changed by others: nothing in it can be trusted.
                self.num_damaged += 1
                path.unlink(missing_ok=True)

    def append(self, keys: Sequence[str], rows: Sequence[Rows]) -> None:
        """Keep the features of some items in a shard of their own, whole or not at all."""
        features = np.ascontiguousarray(np.concatenate([item.features for item in rows]), dtype=np.float32)
        times = np.ascontiguousarray(np.concatenate([item.times for item in rows]), dtype=np.float32)
        index = json.dumps([[key, len(item.times)] for key, item in zip(keys, rows, strict=True)])
        digest = _digest(index, features, times)
        path = self.folder / f"shard-{digest[:16]}.safetensors"
        with atomic_file(path) as temporary:
            save_file(
                {"features": features, "times": times},
                temporary,
                metadata={"schema": SCHEMA, "index": index, "sha256": digest},
            )
        self.rows.update(_read_shard(path))


def key_of_media(media: Sequence[str], media_type: str) -> str:
    """Hex SHA-256 over the content of an item's files, in shards or not; any other URL stands for its content.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256(f"{media_type}\n".encode())
    for name in media:
        if name.startswith(PREFIX):
            digest.update(bytes.fromhex(place_of(name).sha256))
        elif "://" in name:
            digest.update(f"{name}\n".encode())
        else:
            with Path(name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def key_of_text(text: str) -> str:
    """Hex SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def in_shards(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Cut keys into runs of at most `size`.

    >>> [list(run) for run in in_shards(["a", "b", "c"], 2)]
    [['a', 'b'], ['c']]
    """
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _read_shard(path: Path) -> dict[str, Rows]:
    """Map a shard's rows; ValueError, KeyError or TypeError where it is not what was written."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header_length = int.from_bytes(file.read(8), "little")
        if header_length > size:
            raise ValueError("truncated")
        header = json.loads(file.read(header_length))
    metadata = header["__metadata__"]
    features = _mapped(path, header["features"], 8 + header_length)
    times = _mapped(path, header["times"], 8 + header_length)
    if metadata["sha256"] != _digest(metadata["index"], features, times):
        raise ValueError("damaged")
    rows, start = {}, 0
    for key, count in json.loads(metadata["index"]):
        rows[key] = Rows(features[start : start + count], times[start : start + count])
        start += count
    return rows


def _mapped(path: Path, entry: dict[str, Any], data_start: int) -> npt.NDArray[np.float32]:
    shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
    if entry["dtype"] != "F32" or end - begin != 4 * int(np.prod(shape)):
        raise ValueError("damaged")
    if end == begin:
        return np.zeros(shape, dtype=np.float32)
    # A plain array over the map: each slice of a memmap costs as much as copying a feature.
    return np.memmap(path, dtype=np.float32, mode="r", offset=data_start + begin, shape=shape).view(np.ndarray)


def _digest(index: str, features: npt.NDArray[np.float32], times: npt.NDArray[np.float32]) -> str:
    digest = hashlib.sha256(index.encode())
    for array in (features, times):
        digest.update(str(array.shape).encode())
        with contextlib.suppress(ValueError):  # an empty array has no bytes
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
