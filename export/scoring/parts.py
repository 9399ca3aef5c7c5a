"""Finished chunks of a long scoring run, kept as part files until they are merged: what a killed run resumes from."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from data.errors import InputError
from data.files import TEMPORARY_PREFIX
from data.tables import write_parquet

PREFIX = ".parts-"


class Parts:
    """Part files of one run in the folder `out`.

    Args:
        out: the folder that the run writes to.
        fingerprint: digest of everything that the results hang on, but for the content of media files.
    """

    def __init__(self, out: Path, fingerprint: str) -> None:
        self.folder = out / f"{PREFIX}{fingerprint[:16]}"
        self.folder.mkdir(exist_ok=True)

    def find(self, index: int, media: Iterable[str]) -> Path | None:
        """The finished part of chunk `index`; None if there is none, or if its media files have changed since."""
        if not any(self.folder.glob(f"{index:06d}-*")):
            return None
        path = self.path(index, media)
        return path if path.exists() else None

    def path(self, index: int, media: Iterable[str]) -> Path:
        """Where the part of chunk `index` belongs, its media files being as they are now."""
        return self.folder / f"{index:06d}-{state_of(media)[:16]}.parquet"

    def write(self, path: Path, part: pl.DataFrame) -> None:
        """Keep a finished chunk."""
        for outdated in self.folder.glob(f"{path.name.split('-')[0]}-*"):
            outdated.unlink()
        write_parquet(part, path)

    def drop_unread(self) -> None:
        """Forget the chunks that hold items whose media could not be read."""
        for path in self.folder.glob("*.parquet"):
            reasons = pl.read_parquet(path, columns=["reason"])["reason"]
            if reasons.null_count() < len(reasons):
                path.unlink()


def state_of(media: Iterable[str]) -> str:
    """Hex SHA-256 over size and time of change of media files; of a URL, over its text."""
    digest = hashlib.sha256()
    for name in media:
        try:
            status = os.stat(name)  # noqa: PTH116 (a million times)
            digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode(errors="replace"))
        except (OSError, ValueError):
            digest.update(f"{name}\n".encode(errors="replace"))
    return digest.hexdigest()


@contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Hold the folder `out` for one writer, and clear away what killed runs left half written.

    Raises:
        InputError: another run writes there now.
    """
    out.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{out}: another run writes here; wait for its end, or choose another folder") from error
        for folder in (out, *out.glob(f"{PREFIX}*")):
            for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
                _remove(leftover)
        yield
    finally:
        os.close(descriptor)


def remove_parts(out: Path) -> None:
    """Delete all parts in `out`, of this run and of abandoned ones."""
    for folder in out.glob(f"{PREFIX}*"):
        # Renamed first: a kill while deleting must not leave a run that looks half done.
        doomed = folder.rename(out / f"{TEMPORARY_PREFIX}{folder.name[1:]}")
        _remove(doomed)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
