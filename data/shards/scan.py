"""An index for shards that others wrote: every shard is read once, and what was found is kept in the cache."""

from pathlib import Path

import polars as pl

from data.errors import InputError
from data.files import sha256_of_json
from data.progress import tracked
from data.shards.home import at_hand, write_home
from data.shards.index import INDEX, Index, Shard, item_frame, read_index, write_index
from data.shards.names import ShardError
from data.shards.reading import rows_of
from data.shards.remote import Folder
from data.shards.writing import index_row


def scanned_index(folder: Folder, home: Path, limit: int) -> Index:
    """The index of shards without one, from the cache while they are the same.

    Raises:
        InputError: a shard cannot be read, or two items have one id.
    """
    made_of = sha256_of_json([folder.url, [[one.name, one.bytes, one.version] for one in folder.shards]])
    if (home / INDEX).is_file():
        known = read_index(home)
        if known.made_of == made_of:
            return known
        for shard in known.shards:  # copies of what has changed
            (home / shard.name).unlink(missing_ok=True)
    unsized = [one.name for one in folder.shards if one.bytes is None]
    if unsized:
        raise InputError(
            f"{folder.url}: the size of {unsized[0]} is not told there; copy the index of `setpoint shard` beside it"
        )
    shards = [Shard(name=one.name, items=0, bytes=one.bytes or 0, sha256=None) for one in folder.shards]
    write_home(home, url=folder.url, limit=limit, shards=shards)
    frames = [item_frame([])]
    for number, shard in enumerate(tracked(list(shards), "reading shards", len(shards))):
        try:
            rows = [
                {"shard": number, **index_row(item.item_id, item.media, item.files, at)}
                for item, at in rows_of(at_hand(home, shard.name))
            ]
        except ShardError as error:
            raise InputError(f"{folder.url}: {error}") from error
        shards[number] = shard.model_copy(update={"items": len(rows)})
        frames.append(item_frame(rows))
    items = pl.concat(frames)
    twice = items.filter(items["item_id"].is_duplicated())["item_id"]
    if len(twice):
        raise InputError(
            f"{folder.url}: {len(twice)} rows share an item_id, e.g. {twice[0]!r}; expected one row each"
        )
    index = Index(shards, [], items, made_of)
    write_index(home, index)
    return index
