"""Files that only grow, line by line, written by several processes at once under a lock."""

import errno
import os
from pathlib import Path


def read_all(descriptor: int) -> bytes:
    """The content of an open file, from its beginning."""
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return file.read()


def append(path: Path, descriptor: int, keep: int, text: bytes) -> None:
    """Put `text` after the first `keep` bytes, on disk before this returns; all of it or none.

    Raises:
        OSError: it cannot be written; the first `keep` bytes stand as before.
    """
    try:
        os.ftruncate(descriptor, keep)
        if os.write(descriptor, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
        parent = os.open(path.parent, os.O_RDONLY)
        os.fsync(parent)
        os.close(parent)
    except OSError:
        os.ftruncate(descriptor, keep)
        raise
