"""The index of a folder of shards: which there are, and where each item's media lie in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import Field, ValidationError

from data.errors import InputError
from data.files import read_json, sha256_of_file, write_json
from data.policy import Strict, findings_of
from data.tables import write_parquet

INDEX, ITEMS = "index.json", "index.parquet"
Format = Literal["parquet", "tar"]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
# One row an item. `at` is the offset of each photo or clip in a tar file, or the item's row in a Parquet file.
ITEM_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_id": pl.String,
    "shard": pl.UInt32,
    "at": pl.List(pl.Int64),
    "size": pl.List(pl.Int64),
    "sha256": pl.List(pl.String),
    "file": pl.List(pl.String),
}


class Shard(Strict):
    """One shard. `sha256` is null where others wrote it: then the digests of its media alone are known."""

    name: str
    items: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]
    sha256: Digest | None


class Unreadable(Strict):
    """An item that could not be packed, and why."""

    item_id: str
    reason: str


class IndexFile(Strict):
    """The content of index.json."""

    format_: Literal["setpoint/shards/v1"] = Field(alias="schema")
    made_of: Digest
    shards: list[Shard]
    unreadable: list[Unreadable]
    items_sha256: Digest


@dataclass(frozen=True)
class Index:
    """What is in a folder of shards.

    Attributes:
        shards: in the order of their numbers in `items`.
        unreadable: items that could not be packed.
        items: with the columns of ITEM_SCHEMA, in the order of the shards.
        made_of: digest of what the shards were made of: items, sizes, settings.
    """

    shards: list[Shard]
    unreadable: list[Unreadable]
    items: pl.DataFrame
    made_of: str

    def of(self, names: set[str]) -> "Index":
        """The index of some of the shards."""
        kept = [number for number, shard in enumerate(self.shards) if shard.name in names]
        items = self.items.filter(pl.col("shard").is_in(kept)).with_columns(
            pl.col("shard").replace_strict(kept, range(len(kept)), return_dtype=pl.UInt32)
        )
        return Index([self.shards[number] for number in kept], self.unreadable, items, self.made_of)


def write_index(folder: Path, index: Index) -> None:
    """Write both files; index.json last, so that a folder with it is whole."""
    write_parquet(index.items, folder / ITEMS)
    content = IndexFile(
        schema="setpoint/shards/v1",
        made_of=index.made_of,
        shards=index.shards,
        unreadable=index.unreadable,
        items_sha256=sha256_of_file(folder / ITEMS),
    )
    write_json(folder / INDEX, content.model_dump(mode="json", by_alias=True))


def read_index(folder: Path) -> Index:
    """Read both files.

    Raises:
        InputError: one is missing or not what was written.
    """
    content = read_index_file(folder)
    if not (folder / ITEMS).is_file() or sha256_of_file(folder / ITEMS) != content.items_sha256:
        raise InputError(f"{folder / ITEMS}: missing, truncated or changed since {INDEX} was written beside it")
    items = pl.read_parquet(folder / ITEMS, glob=False)
    return Index(content.shards, content.unreadable, items, content.made_of)


def read_index_file(folder: Path) -> IndexFile:
    """Read index.json alone; InputError where it is missing or not one."""
    path = folder / INDEX
    try:
        return IndexFile.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(findings_of(str(path), error)) from error


def item_frame(rows: Sequence[dict[str, object]]) -> pl.DataFrame:
    """Rows of the index as a frame of ITEM_SCHEMA."""
    return pl.DataFrame(rows, schema=ITEM_SCHEMA, orient="row")
