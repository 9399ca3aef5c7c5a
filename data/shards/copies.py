"""Copies of remote shards in the cache: fetched once, whole or not at all, and no more than a limit allows."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from data.files import atomic_file, sha256_of_file
from data.preprocessing import reason_of
from data.shards.index import Shard
from data.shards.names import ShardError
from data.shards.remote import file_system

ATTEMPTS = 3


def local_copy(folder: Path, shard: Shard, *, url: str, limit: int, shards: Mapping[str, Shard]) -> Path:
    """The copy of a remote shard; it is fetched if there is no whole one.

    Args:
        folder: for copies.
        shard: what is wanted.
        url: of the folder of shards.
        limit: bytes that copies may take.
        shards: all those of the folder by name.

    Raises:
        ShardError: it cannot be fetched, or what arrives is not what the index says.
    """
    path = folder / shard.name
    if _is_whole(path, shard):
        with suppress(OSError):
            os.utime(path)  # the least recently used copy goes first
        return path
    with _locked(_lock_of(folder, shard.name), remove=True):
        if _is_whole(path, shard):  # another process was faster
            return path
        _make_room(folder, limit, shards)
        for attempt in range(ATTEMPTS):
            try:
                _fetch(f"{url}/{shard.name}", path, shard)
                break
            except Exception as error:  # every fsspec file system has its own
                if attempt + 1 == ATTEMPTS:
                    raise ShardError(f"{shard.name} cannot be fetched: {reason_of(error)}") from error
        return path


def _fetch(url: str, path: Path, shard: Shard) -> None:
    files, remote = file_system(url)
    with atomic_file(path) as temporary:
        files.get_file(remote, str(temporary))
        if not _is_whole(temporary, shard) or shard.sha256 not in (None, sha256_of_file(temporary)):
            raise ShardError("what arrived is truncated or not what the index says")


def _is_whole(path: Path, shard: Shard) -> bool:
    try:
        return path.stat().st_size == shard.bytes
    except OSError:
        return False


def _make_room(folder: Path, limit: int, shards: Mapping[str, Shard]) -> None:
    """Delete the copies that were not used for longest, until those that are coming are within the limit."""
    with _locked(folder / ".room"):
        kept, total = [], 0
        for name, shard in shards.items():
            try:
                stat = (folder / name).stat()
            except OSError:
                total += shard.bytes if _is_locked(_lock_of(folder, name)) else 0
                continue
            kept.append((stat.st_mtime_ns, name, stat.st_size))
            total += stat.st_size
        for _, name, freed in sorted(kept):
            if total <= limit:
                return
            (folder / name).unlink(missing_ok=True)
            total -= freed


def _lock_of(folder: Path, name: str) -> Path:
    return folder / f".{name}.lock"


@contextmanager
def _locked(path: Path, *, remove: bool = False) -> Iterator[None]:
    """One process at a time: workers that share a shard fetch it once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if remove:
                path.unlink(missing_ok=True)
            fcntl.flock(file, fcntl.LOCK_UN)  # a worker forked meanwhile holds the file open too


def _is_locked(path: Path) -> bool:
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
