"""Shards as a source of media: found, checked against their index, and joined with items by item_id."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data.errors import InputError
from data.files import atomic_file
from data.preprocessing import reason_of
from data.shards.home import home_of, write_home
from data.shards.index import INDEX, ITEMS, Index, read_index
from data.shards.names import PREFIX, Place, name_of, name_of_unreadable
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
    """Items whose media are read from shards, as far as these hold them.

    Attributes:
        items: as they were given; `media` holds names into shards where there are any.
        missing: item_ids that are in no shard.
        num_others: items of the shards that were not asked for.
    """

    items: pl.DataFrame
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
    held, wanted = shards.index.items, items["item_id"].to_list()
    media = {
        one.item_id: [name_of_unreadable(shards.home, one.reason)]
        for one in shards.index.unreadable
        if one.item_id in set(wanted)
    }
    for item_id, number, *places in held.filter(held["item_id"].is_in(wanted)).iter_rows():
        media[item_id] = _names(shards.home, shards.index.shards[number].name, *places)
    known = pl.DataFrame(
        {"item_id": list(media), "__media": list(media.values())},
        schema={"item_id": pl.String, "__media": pl.List(pl.String)},
    )
    placed = items.join(known, on="item_id", how="left", maintain_order="left")
    return Placed(
        items=placed.with_columns(media=pl.coalesce("__media", "media")).drop("__media"),
        missing=placed.filter(pl.col("__media").is_null())["item_id"].to_list(),
        num_others=len(held) + len(shards.index.unreadable) - len(media),
    )


def shard_numbers(items: pl.DataFrame) -> npt.NDArray[np.int64]:
    """The shard of each item [N], numbered by their names; those without one have a number of their own."""
    return _shard_of().rank("dense").fill_null(0).alias("shard").pipe(items.select).to_series().to_numpy()


def shard_names(items: pl.DataFrame) -> list[str]:
    """The file name of each item's shard [N]; '' for media that are files."""
    return items.select(_shard_of().str.extract("([^/]*)$").fill_null("")).to_series().to_list()


def in_reading_order(items: pl.DataFrame) -> pl.DataFrame:
    """Items so that a pass over their media reads shard after shard; media that are files keep their order."""
    at = pl.col("media").list.first().str.extract(rf"^{PREFIX}.*/(\d+)\+[^/]*/[^/]*$").cast(pl.Int64)
    return items.sort(_shard_of(), at, maintain_order=True)


def _shard_of() -> pl.Expr:
    return pl.col("media").list.first().str.extract(rf"^{PREFIX}(.*)/[^/]*/[^/]*$")


def _names(home: Path, shard: str, at: list[int], size: list[int], sha256: list[str], file: list[str]) -> list[str]:
    if not at:
        return [name_of_unreadable(home, "its row in the shard holds no media")]
    parts = range(len(at)) if shard.endswith(".parquet") else [0] * len(at)
    return [
        name_of(Place(home, shard, at[one], parts[one], size[one], sha256[one]), file[one]) for one in range(len(at))
    ]


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
