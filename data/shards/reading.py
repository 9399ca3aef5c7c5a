"""Reading out of a shard that lies on this machine: one photo or clip by its place, or all of them in turn."""

import json
import tarfile
import threading
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.shards.names import Place, ShardError
from data.shards.writing import Packed

ENDINGS = {".tar": "tar", ".parquet": "parquet"}
MEDIA_COLUMNS = ("media", "image", "video")
ID_COLUMNS = ("item_id", "__key__")
# Further members of a tar file belong to others: texts, classes, boxes.
PHOTO_ENDINGS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
CLIP_ENDINGS = ("mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "flv", "wmv", "asf", "ogv")
MEDIA_ENDINGS = frozenset([*PHOTO_ENDINGS, *CLIP_ENDINGS, "bin"])
_parquet_lock = threading.Lock()


def read_media(shard: Path, place: Place) -> bytes:
    """The bytes of one photo or clip, not yet checked against its digest.

    Raises:
        FileNotFoundError: the shard is not there.
        ShardError: nothing is at this place.
    """
    if shard.suffix == ".tar":
        with shard.open("rb") as file:
            file.seek(place.at)
            return file.read(place.size)
    stat = shard.stat()
    try:
        with _parquet_lock:
            rows, first = _row_group(shard, stat.st_mtime_ns, stat.st_size, place.at)
            media = media_of(rows[place.at - first].as_py())
        return media[place.part][1]
    except ShardError:
        raise
    except (pa.ArrowException, IndexError, OSError) as error:
        raise ShardError(f"{shard.name} is damaged") from error


def media_of(held: Any) -> list[tuple[str, bytes]]:
    """What a row of Parquet holds as names and bytes: bytes, `datasets`' {bytes, path}, or a list of either."""
    found = []
    for one in held if isinstance(held, list) else [held]:
        content, path = (one.get("bytes"), one.get("path")) if isinstance(one, dict) else (one, None)
        if isinstance(content, bytes):
            found.append((path or "", content))
    return found


def column_of(names: list[str], wanted: tuple[str, ...]) -> str | None:
    """The first of the wanted columns that is there."""
    return next((name for name in wanted if name in names), None)


@lru_cache(maxsize=16)
def _opened(shard: Path, *version: int) -> tuple[pq.ParquetFile, str, list[int]]:
    """A Parquet shard, the column of its media and the first row of each row group; `version` tells files apart."""
    del version
    # No threads and nothing read ahead: a forked worker would wait for its parent's threads for ever.
    file = pq.ParquetFile(shard, memory_map=True, pre_buffer=False)
    column = column_of(file.schema_arrow.names, MEDIA_COLUMNS)
    if column is None:
        raise ShardError(f"{shard.name} has no column {' or '.join(MEDIA_COLUMNS)}")
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    return file, column, list(accumulate(sizes, initial=0))


@lru_cache(maxsize=2)
def _read_row_group(shard: Path, mtime: int, size: int, group: int) -> pa.ChunkedArray:
    file, column, _ = _opened(shard, mtime, size)
    return file.read_row_group(group, columns=[column], use_threads=False).column(0)


def _row_group(shard: Path, mtime: int, size: int, row: int) -> tuple[pa.ChunkedArray, int]:
    """The media of the row group that holds a row, and its first row."""
    starts = _opened(shard, mtime, size)[2]
    group = sum(start <= row for start in starts) - 1
    return _read_row_group(shard, mtime, size, group), starts[group]


def rows_of(shard: Path) -> Iterator[tuple[Packed, list[int]]]:
    """Each item of a shard that anyone may have written, and the places of its media.

    Raises:
        ShardError: the file is no shard, or ends before its time.
    """
    try:
        yield from _rows_of_tar(shard) if shard.suffix == ".tar" else _rows_of_parquet(shard)
    except (tarfile.TarError, pa.ArrowException, EOFError) as error:
        raise ShardError(f"{shard.name} is truncated or no {ENDINGS[shard.suffix]} file") from error


def _rows_of_tar(shard: Path) -> Iterator[tuple[Packed, list[int]]]:
    item_id, key = "", ""
    files: list[str] = []
    media: list[bytes] = []
    at: list[int] = []
    end = shard.stat().st_size
    with tarfile.open(shard, "r:") as archive:
        while (member := archive.next()) is not None:
            vars(archive)["members"] = []  # it would keep every header
            folder, slash, base = member.name.rpartition("/")
            stem, _, ending = base.partition(".")
            if not member.isfile() or not stem:
                continue
            if member.offset_data + member.size > end:
                raise EOFError
            if folder + slash + stem != key:
                if media:
                    yield Packed(item_id, "", files, media), at
                key = item_id = folder + slash + stem
                files, media, at = [], [], []
            stream = archive.extractfile(member)
            assert stream is not None
            last = ending.rpartition(".")[2].lower()
            if last == "json":
                item_id = _stated_id(stream.read()) or item_id
            elif last in MEDIA_ENDINGS:
                files.append(base)
                media.append(stream.read())
                at.append(member.offset_data)
        if media:
            yield Packed(item_id, "", files, media), at
    with shard.open("rb") as file:  # the library takes a cut inside a header for the end
        file.seek(int(archive.offset))
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise EOFError


def _stated_id(content: bytes) -> str | None:
    try:
        stated = json.loads(content)
    except ValueError:
        return None
    found = stated.get("item_id") if isinstance(stated, dict) else None
    return found if isinstance(found, str) else None


def _rows_of_parquet(shard: Path) -> Iterator[tuple[Packed, list[int]]]:
    with pq.ParquetFile(shard, memory_map=True, pre_buffer=False) as file:
        names = file.schema_arrow.names
        ids, column = column_of(names, ID_COLUMNS), column_of(names, MEDIA_COLUMNS)
        if ids is None or column is None:
            raise ShardError(
                f"{shard.name} has no column {' or '.join(ID_COLUMNS if ids is None else MEDIA_COLUMNS)}; "
                f"found {', '.join(names)}"
            )
        files = ["file"] if "file" in names else []
        row = 0
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=[ids, column, *files], use_threads=False)
            for number in range(len(table)):
                found = media_of(table.column(column)[number].as_py())
                stated = table.column("file")[number].as_py() if files else [name for name, _ in found]
                yield (
                    Packed(str(table.column(ids)[number].as_py()), "", stated, [content for _, content in found]),
                    [row] * len(found),
                )
                row += 1
