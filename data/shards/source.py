"""Shards as a source of media: found, checked against their index, and joined with items by item_id."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.errors import InputError
from data.files import atomic_file
from data.preprocessing import reason_of
from data.shards.home import home_of, write_home
from data.shards.index import INDEX, ITEMS, Index, read_index
from data.shards.names import Place, name_of, name_of_unreadable
from data.shards.opening import register
from data.shards.remote import Folder, file_system, list_folder
from data.shards.scan import scanned_index

SHOWN = 5


@dataclass(frozen=True)
class Shards:
    """Shards that are all there.

    Attributes:
        home: the local folder that knows them.
        index: what they hold.
        is_local: False where they are fetched into the cache.
        limit: bytes that their copies may take.
    """

    home: Path
    index: Index
    is_local: bool
    limit: int


@dataclass(frozen=True)
class Placed:
    """Items whose media are read from shards.

    Attributes:
        items: in the order of the shards, so that each is read once in a pass; `media` holds names into shards.
        shard_of: the shard's number of each item; those that could not be packed are with the last.
        missing: item_ids that are in no shard; they are not in `items`.
        num_others: items of the shards that were not asked for.
    """

    items: pl.DataFrame
    shard_of: list[int]
    missing: list[str]
    num_others: int


def open_shards(url: str, *, cache_dir: Path, limit: int) -> Shards:
    """Find shards and check that all are there, with the sizes that their index says.

    Args:
        url: path or fsspec URL of a folder, or of files in it with * in the name.
        cache_dir: for what is known of them, and for copies of remote ones.
        limit: bytes that the copies may take.

    Raises:
        InputError: naming what is missing, truncated or not readable.
    """
    folder = list_folder(url)
    home = home_of(url, cache_dir)
    index = _stated_index(folder, home) if folder.has_index else scanned_index(folder, home, limit)
    if not folder.is_whole:
        index = index.of({one.name for one in folder.shards})
    _check(folder, index)
    write_home(home, url=folder.url, limit=limit, shards=index.shards)
    register()
    return Shards(home, index, folder.is_local, limit)


def place_items(items: pl.DataFrame, shards: Shards) -> Placed:
    """Join items with shards by item_id.

    Args:
        items: as `data.items.read_items` returns them.
        shards: that hold their media.
    """
    wanted = set(items["item_id"])
    names: dict[str, tuple[int, list[str]]] = {
        one.item_id: (len(shards.index.shards), [name_of_unreadable(shards.home, one.reason)])
        for one in shards.index.unreadable
        if one.item_id in wanted
    }
    held = shards.index.items
    for item_id, shard, at, size, sha256, file in held.filter(held["item_id"].is_in(list(wanted))).iter_rows():
        if not at:
            names[item_id] = (shard, [name_of_unreadable(shards.home, "its row in the shard holds no media")])
            continue
        part_of = range(len(at)) if shards.index.shards[shard].name.endswith(".parquet") else [0] * len(at)
        names[item_id] = (
            shard,
            [
                name_of(Place(shards.home, shards.index.shards[shard].name, *where), called)
                for *where, called in zip(at, part_of, size, sha256, file, strict=True)
            ],
        )
    there = pl.DataFrame(
        {
            "item_id": list(names),
            "media": [media for _, media in names.values()],
            "__shard": [shard for shard, _ in names.values()],
        },
        schema={"item_id": pl.String, "media": pl.List(pl.String), "__shard": pl.Int64},
    ).with_row_index("__place")
    columns = items.columns
    placed = items.drop("media").join(there, on="item_id").sort("__shard", "__place")
    num_known = len(shards.index.items) + len(shards.index.unreadable)
    return Placed(
        items=placed.select(columns),
        shard_of=placed["__shard"].to_list(),
        missing=[item_id for item_id in items["item_id"] if item_id not in names],
        num_others=num_known - len(names),
    )


def _stated_index(folder: Folder, home: Path) -> Index:
    """The index that lies beside the shards, of those that were asked for."""
    place = Path(folder.url)
    if not folder.is_local:
        place = home
        try:
            for name in (ITEMS, INDEX):
                files, remote = file_system(f"{folder.url}/{name}")
                with atomic_file(home / name) as temporary:
                    temporary.write_bytes(files.cat_file(remote))
        except Exception as error:  # every fsspec file system has its own
            raise InputError(f"{folder.url}: its index cannot be read ({reason_of(error)})") from error
    return read_index(place)


def _check(folder: Folder, index: Index) -> None:
    listed = {one.name: one for one in folder.shards}
    wrong = []
    for shard in index.shards:
        found = listed.get(shard.name)
        if found is None:
            wrong.append(f"{shard.name}: missing")
        elif found.bytes not in (None, shard.bytes):
            wrong.append(f"{shard.name}: {found.bytes:,} bytes, its index says {shard.bytes:,}")
    if wrong:
        more = [f"… and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        raise InputError(
            "\n".join(
                [
                    f"{folder.url}: {len(wrong)} of {len(index.shards)} shards are not what their index says",
                    *(f"  {one}" for one in wrong[:SHOWN]),
                    *more,
                    "copy them there again, or pack them again with `setpoint shard`",
                ]
            )
        )
