"""The name of a photo or clip inside a shard: all that is needed to find it, and the digest of what must be found.

    shard:///HOME/SHARD/AT+PART+SIZE+SHA256/FILE

HOME is the local folder that knows the shards (data.shards.home), AT the offset of the bytes in a tar file or the row
in a Parquet file, PART the place among the row's media, FILE what the file was called. An item that could not be
packed has the name `shard:///HOME/-/unreadable/REASON`.
"""

from dataclasses import dataclass
from pathlib import Path

SCHEME = "shard"
PREFIX = f"{SCHEME}://"
UNREADABLE = "unreadable"


class ShardError(OSError):
    """A shard is not there or does not hold what its index says; the message is one short sentence without a path."""


@dataclass(frozen=True)
class Place:
    """Where a photo or clip lies.

    Attributes:
        home: the folder that knows the shards.
        shard: file name.
        at: offset in a tar file, row in a Parquet file.
        part: place among the row's media; 0 in a tar file.
        size: bytes.
        sha256: hex, of the bytes.
    """

    home: Path
    shard: str
    at: int
    part: int
    size: int
    sha256: str


def name_of(place: Place, file: str) -> str:
    """The name of a packed photo or clip.

    >>> name_of(Place(Path("/cache"), "shard-0.tar", 512, 0, 9, "ab"), "media/cat.jpg")
    'shard:///cache/shard-0.tar/512+0+9+ab/cat.jpg'
    """
    return f"{PREFIX}{place.home}/{place.shard}/{place.at}+{place.part}+{place.size}+{place.sha256}/{_shown(file)}"


def name_of_unreadable(home: Path, reason: str) -> str:
    """The name that stands for media which could not be packed."""
    return f"{PREFIX}{home}/-/{UNREADABLE}/{reason.replace('/', '_')}"


def place_of(name: str) -> Place:
    """What `name_of` was given.

    Raises:
        ShardError: the media could not be packed; the message is the reason.
    """
    home, shard, where, last = name.removeprefix(PREFIX).rsplit("/", 3)
    if where == UNREADABLE:
        raise ShardError(last)
    at, part, size, sha256 = where.split("+")
    return Place(Path(home), shard, int(at), int(part), int(size), sha256)


def _shown(text: str) -> str:
    """The last part of a path, with nothing in it that divides names or chains of file systems."""
    return text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].replace("::", "_") or "_"
