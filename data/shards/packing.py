"""The verb `shard`: the photos and clips of items packed into shards of a stated size."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from data.errors import InputError
from data.files import TEMPORARY_PREFIX, atomic_file, read_json, sha256_of_file, write_json
from data.items import read_items
from data.preprocessing import reason_of
from data.progress import tracked
from data.shards.index import INDEX, Format, Index, Shard, Unreadable, item_frame, read_index_file, write_index
from data.shards.remote import file_system
from data.shards.writing import Packed, write_shard
from data.summary import Summary

LARGEST = 2_000_000_000  # bytes of one photo or clip; Parquet holds no larger value
SHOWN = 5


@dataclass(frozen=True)
class Plan:
    """Which item goes into which shard.

    Attributes:
        shards: rows of the items, shard by shard.
        unreadable: the items that cannot be opened.
        made_of: SHA-256 of items, sizes and settings: the same plan gives the same bytes.
    """

    shards: list[list[int]]
    unreadable: list[Unreadable]
    made_of: str


def shard(
    *,
    items: Path,
    out: Path,
    format: Format,
    shard_mb: Annotated[float, Field(gt=0)],
    seed: int,
) -> Summary:
    """Pack the media of items into shards, with an index beside them.

    The items come in an order drawn by the seed, so that a shard holds posts of all kinds. A job that was stopped
    goes on with the first shard that is not whole. The same items, media and settings give the same bytes.

    Raises:
        InputError: for wrong items, or if `out` holds other shards.
    """
    posts = read_items(items)
    plan = plan_shards(posts, kind=format, shard_bytes=int(shard_mb * 1e6), seed=seed)
    if (out / INDEX).exists():
        if read_index_file(out).made_of != plan.made_of:
            raise InputError(f"{out}: holds shards of other items or settings; choose another out=, or delete it")
        return Summary(f"shard: {out} holds the shards of these items already; delete it to pack them again", [out])
    ids, media, types = (posts[name].to_list() for name in ("item_id", "media", "media_type"))
    made, rows = [], []
    for number, members in enumerate(tracked(plan.shards, "packing", len(plan.shards))):
        name = f"shard-{number:05d}.{format}"
        packing = (
            Packed(ids[row], types[row], [_file(one) for one in media[row]], [_read(one) for one in media[row]])
            for row in members
        )
        done = _whole(out, name, plan.made_of)
        if done is None:
            done = _write(out, name, packing, format, plan.made_of)
        made.append(Shard(name=name, items=len(members), bytes=done["bytes"], sha256=done["sha256"]))
        rows += [{"shard": number, **row} for row in done["items"]]
    write_index(out, Index(made, plan.unreadable, item_frame(rows), plan.made_of))
    for leftover in [*out.glob(".shard-*.json"), *out.glob(f"{TEMPORARY_PREFIX}*")]:
        leftover.unlink()
    lost = plan.unreadable
    return Summary(
        f"shard: {len(rows):,} items in {len(made)} shards, {sum(one.bytes for one in made) / 1e6:,.1f} MB; "
        f"{len(lost)} cannot be opened",
        [out],
        [
            *(f"cannot be opened: {one.item_id}: {one.reason}" for one in lost[:SHOWN]),
            *([f"… and {len(lost) - SHOWN} more; {INDEX} lists them all"] if len(lost) > SHOWN else []),
        ],
    )


def plan_shards(posts: pl.DataFrame, *, kind: Format, shard_bytes: int, seed: int) -> Plan:
    """Cut items, in an order drawn by the seed, into shards of at most `shard_bytes` of media, or one item."""
    names = posts["item_id"].to_list()
    media = posts["media"].to_list()
    order = sorted(range(len(names)), key=lambda row: hashlib.sha256(f"{seed}:{names[row]}".encode()).digest())
    digest = hashlib.sha256(json.dumps(["setpoint/shards/v1", kind, shard_bytes]).encode())
    shards: list[list[int]] = []
    unreadable: list[Unreadable] = []
    filled = 0
    for row in tracked(order, "measuring", len(order)):
        try:
            sizes = [_size(one) for one in media[row]]
        except OSError as error:
            unreadable.append(Unreadable(item_id=names[row], reason=_reason(error)))
            digest.update(json.dumps([names[row], unreadable[-1].reason]).encode())
            continue
        digest.update(json.dumps([names[row], sizes, [_file(one) for one in media[row]]]).encode())
        if not shards or filled + sum(sizes) > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(row)
        filled += sum(sizes)
    return Plan(shards, sorted(unreadable, key=lambda one: one.item_id), digest.hexdigest())


def _write(out: Path, name: str, packing: Iterator[Packed], kind: Format, made_of: str) -> dict[str, Any]:
    """Write a shard and, once it is whole, what the index will say of it."""
    with atomic_file(out / name) as temporary:
        rows = write_shard(temporary, packing, kind)
    file = out / name
    done = {"made_of": made_of, "bytes": file.stat().st_size, "sha256": sha256_of_file(file), "items": rows}
    write_json(out / f".{name}.json", done)
    return done


def _whole(out: Path, name: str, made_of: str) -> dict[str, Any] | None:
    """What an earlier, stopped job noted of a shard of the same plan; None where there is nothing to trust."""
    try:
        noted: dict[str, Any] = read_json(out / f".{name}.json")
        if noted["made_of"] == made_of and (out / name).stat().st_size == noted["bytes"]:
            return noted
    except (InputError, OSError, KeyError, TypeError):
        pass
    return None


def _size(name: str) -> int:
    """Bytes of a photo or clip.

    Raises:
        OSError: it cannot be opened, is empty or too large.
    """
    if "://" in name:
        files, path = file_system(name)
        try:
            size = int(files.size(path))
        except FileNotFoundError:
            raise
        except Exception as error:  # every fsspec file system has its own
            raise OSError(f"cannot be opened: {reason_of(error)}") from error
    else:
        size = Path(name).stat().st_size
        if not Path(name).is_file():
            raise OSError("not a file")
    if not 0 < size <= LARGEST:
        raise OSError(f"{size:,} bytes, over the limit of {LARGEST:,}" if size else "the file is empty")
    return size


def _read(name: str) -> bytes:
    if "://" in name:
        files, path = file_system(name)
        content: bytes = files.cat_file(path)
        return content
    return Path(name).read_bytes()


def _file(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _reason(error: OSError) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else reason_of(error)
