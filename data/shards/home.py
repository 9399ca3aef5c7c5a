"""The local folder that knows the shards of one URL: their list, their index, and copies of those that are remote.

Processes that read media know nothing but names; the names say where this folder is (data.shards.names), and its
home.json where the shards are.
"""

import hashlib
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from data.errors import InputError
from data.files import read_json, write_json
from data.policy import Strict
from data.shards.copies import local_copy
from data.shards.index import Shard
from data.shards.names import ShardError

HOME = "home.json"


class Home(Strict):
    """The content of home.json.

    Attributes:
        url: of the folder of shards; an absolute path where that is on this machine.
        limit: bytes that copies of remote shards may take.
        shards: by name.
    """

    format_: Literal["setpoint/shards_home/v1"] = Field("setpoint/shards_home/v1", alias="schema")
    url: str
    limit: int
    shards: dict[str, Shard]


def home_of(url: str, cache_dir: Path) -> Path:
    """The folder of a URL, absolute."""
    return Path(os.path.abspath(cache_dir)) / "shards" / hashlib.sha256(url.encode()).hexdigest()[:16]  # noqa: PTH100 (resolve would follow links)


def write_home(folder: Path, *, url: str, limit: int, shards: list[Shard]) -> None:
    """Write home.json, if it says something else."""
    content = Home(url=url, limit=limit, shards={shard.name: shard for shard in shards}).model_dump(
        mode="json", by_alias=True
    )
    with suppress(InputError):
        if read_json(folder / HOME) == content:
            return
    write_json(folder / HOME, content)


def at_hand(folder: Path, name: str) -> Path:
    """A shard as a file on this machine; a remote one is fetched if there is no whole copy.

    Raises:
        ShardError: it is missing, not of the size that its index says, or cannot be fetched.
    """
    home = _read_home(folder, _stamp(folder / HOME))
    shard = home.shards.get(name)
    if shard is None:
        raise ShardError(f"{name} is not in the index of its folder")
    if "://" in home.url:
        return local_copy(folder, shard, url=home.url, limit=home.limit, shards=home.shards)
    path = Path(home.url) / name
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ShardError(f"{name} is missing") from error
    if size != shard.bytes:
        raise ShardError(f"{name} has {size:,} bytes, its index says {shard.bytes:,}")
    return path


def drop_copy(folder: Path, name: str) -> bool:
    """Delete the copy of a remote shard, because it is damaged; False where the shard is no copy."""
    home = _read_home(folder, _stamp(folder / HOME))
    if "://" not in home.url:
        return False
    (folder / name).unlink(missing_ok=True)
    return True


@lru_cache(maxsize=8)
def _read_home(folder: Path, stamp: int) -> Home:
    del stamp
    return Home.model_validate(read_json(folder / HOME))


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise ShardError("the cache of the shards was deleted; start the run again") from error
