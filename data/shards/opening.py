"""Opening packed media by their names: the file system `shard://` of fsspec, which readers of media go through."""

import hashlib
import io
from typing import Any

import fsspec
from fsspec.spec import AbstractFileSystem

from data.shards.home import at_hand, drop_copy
from data.shards.names import PREFIX, SCHEME, ShardError, place_of
from data.shards.reading import read_media


def media_bytes(name: str) -> bytes:
    """The bytes behind a name, proven by their digest.

    Raises:
        ShardError: the shard is missing, truncated or changed; for a remote one, after it was fetched again.
    """
    place = place_of(name)
    for _ in range(2):
        try:
            content = read_media(at_hand(place.home, place.shard), place)
        except FileNotFoundError:
            continue  # another process made room between finding the copy and opening it
        if hashlib.sha256(content).hexdigest() == place.sha256:
            return content
        if not drop_copy(place.home, place.shard):
            break
    raise ShardError(f"{place.shard} does not hold what its index says; it was changed or damaged")


class ShardFileSystem(AbstractFileSystem):
    """Reads `shard://` names; fsspec asks for a class."""

    protocol = SCHEME

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return path

    def _open(self, path: str, mode: str = "rb", **settings: Any) -> io.BytesIO:
        del settings
        assert mode == "rb"
        return io.BytesIO(media_bytes(path if path.startswith(PREFIX) else PREFIX + path))


def register() -> None:
    """Make fsspec know `shard://` in this process."""
    fsspec.register_implementation(SCHEME, ShardFileSystem, clobber=True)
