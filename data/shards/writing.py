"""Writing one shard, with the same bytes for the same media: a tar file as webdataset knows it, or Parquet."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from data.shards.index import Format

ROW_GROUP_BYTES = 1_000_000  # what is read to get at one photo
PARQUET_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("media", pa.list_(pa.field("element", pa.binary())), nullable=False),
        pa.field("file", pa.list_(pa.field("element", pa.string())), nullable=False),
        pa.field("media_type", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Packed:
    """An item on its way into a shard.

    Attributes:
        files: what its media were called, one for each of `media`.
        media: their bytes.
    """

    item_id: str
    media_type: str
    files: list[str]
    media: list[bytes]


def write_shard(path: Path, items: Iterable[Packed], kind: Format) -> list[dict[str, Any]]:
    """Write a shard.

    Args:
        path: a temporary file; the caller renames it.
        items: read one by one.
        kind: tar or parquet.

    Returns:
        The items' rows of the index, without the column `shard`.
    """
    return _write_tar(path, items) if kind == "tar" else _write_parquet(path, items)


def index_row(item_id: str, media: list[bytes], files: list[str], at: list[int]) -> dict[str, Any]:
    """A row of the index, without the column `shard`."""
    return {
        "item_id": item_id,
        "at": at,
        "size": [len(content) for content in media],
        "sha256": [hashlib.sha256(content).hexdigest() for content in media],
        "file": files,
    }


def _write_tar(path: Path, items: Iterable[Packed]) -> list[dict[str, Any]]:
    rows = []
    with path.open("wb") as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for item in items:
            key = tar_key(item.item_id)
            about = {"item_id": item.item_id, "media_type": item.media_type, "file": item.files}
            _add(archive, f"{key}.json", json.dumps(about, ensure_ascii=False, sort_keys=True).encode())
            at = [
                _add(archive, f"{key}.{number}{Path(file).suffix.lower() or '.bin'}", content)
                for number, (file, content) in enumerate(zip(item.files, item.media, strict=True))
            ]
            rows.append(index_row(item.item_id, item.media, item.files, at))
    return rows


def tar_key(item_id: str) -> str:
    """An item_id as the key of webdataset, which ends at the first dot.

    >>> tar_key("a/b.c")
    'a%2Fb%2Ec'
    """
    return quote(item_id, safe="").replace(".", "%2E")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> int:
    """Add a file and return the offset of its bytes."""
    member = tarfile.TarInfo(name)  # without time, owner or rights of its own
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
    blocks = -(-len(content) // tarfile.BLOCKSIZE)
    return int(archive.offset) - blocks * tarfile.BLOCKSIZE


def _write_parquet(path: Path, items: Iterable[Packed]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    # Media are compressed already. Dictionaries and statistics of them would only be large.
    settings: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    with pq.ParquetWriter(path, PARQUET_SCHEMA, store_schema=False, **settings) as writer:
        waiting: list[Packed] = []
        for item in items:
            at = [len(rows)] * len(item.media)
            rows.append(index_row(item.item_id, item.media, item.files, at))
            waiting.append(item)
            if sum(len(content) for one in waiting for content in one.media) >= ROW_GROUP_BYTES:
                _write_row_group(writer, waiting)
                waiting = []
        if waiting:
            _write_row_group(writer, waiting)
    return rows


def _write_row_group(writer: pq.ParquetWriter, items: list[Packed]) -> None:
    columns = {
        "item_id": [item.item_id for item in items],
        "media": [item.media for item in items],
        "file": [item.files for item in items],
        "media_type": [item.media_type for item in items],
    }
    writer.write_table(pa.Table.from_pydict(columns, schema=PARQUET_SCHEMA), row_group_size=len(items))
