"""The verb `shard`: the photos and clips of items packed into shards of a stated size."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from data.errors import InputError
from data.files import TEMPORARY_PREFIX, atomic_file, read_json, sha256_of_file, write_json
from data.items import read_items
from data.progress import tracked
from data.shards.index import INDEX, Format, Index, Shard, item_frame, read_index_file, write_index
from data.shards.originals import file_of, in_order, read_original
from data.shards.plan import plan_shards
from data.shards.writing import Packed, write_shard
from data.summary import Summary

SHOWN = 5


def shard(
    *,
    items: Path,
    out: Path,
    format: Format,
    shard_mb: Annotated[float, Field(gt=0)],
    seed: int,
    workers: Annotated[int, Field(ge=1)],
) -> Summary:
    """Pack the media of items into shards, with an index beside them.

    The items come in an order drawn by the seed, so that a shard holds posts of all kinds. A job that was stopped
    goes on with the first shard that is not whole. The same items, media and settings give the same bytes.

    Raises:
        InputError: for wrong items, or if `out` holds other shards.
    """
    posts = read_items(items)
    threads = ThreadPoolExecutor(workers)
    plan = plan_shards(posts, kind=format, shard_bytes=int(shard_mb * 1e6), seed=seed, threads=threads)
    if (out / INDEX).exists():
        if read_index_file(out).made_of != plan.made_of:
            raise InputError(f"{out}: holds shards of other items or settings; choose another out=, or delete it")
        return Summary(f"shard: {out} holds these items already; delete it to pack them again", [out])
    made, frames = [], [item_frame([])]
    for number, rows in enumerate(tracked(plan.shards, "packing", len(plan.shards))):
        name = f"shard-{number:05d}.{format}"
        done = _whole(out, name, plan.made_of)
        if done is None:
            packed = _packed(posts[rows], threads, ahead=2 * workers)
            done = _write(out, name, packed, format, plan.made_of)
        made.append(Shard(name=name, items=len(rows), bytes=done["bytes"], sha256=done["sha256"]))
        frames.append(item_frame([{"shard": number, **row} for row in done["items"]]))
    write_index(out, Index(made, plan.unreadable, pl.concat(frames), plan.made_of))
    for leftover in [*out.glob(".shard-*.json"), *out.glob(f"{TEMPORARY_PREFIX}*")]:
        leftover.unlink()
    lost, items_in = plan.unreadable, sum(one.items for one in made)
    megabytes = sum(one.bytes for one in made) / 1e6
    return Summary(
        f"shard: {items_in:,} items in {len(made)} shards, {megabytes:,.1f} MB; {len(lost)} cannot be opened",
        [out],
        [
            *(f"cannot be opened: {one.item_id}: {one.reason}" for one in lost[:SHOWN]),
            *([f"… and {len(lost) - SHOWN} more; {INDEX} lists them all"] if len(lost) > SHOWN else []),
        ],
    )


def _packed(posts: pl.DataFrame, threads: ThreadPoolExecutor, *, ahead: int) -> Iterator[Packed]:
    """The posts of a shard with their media, the next few read meanwhile."""
    ids, media, types = (posts[name].to_list() for name in ("item_id", "media", "media_type"))
    contents = in_order(threads, lambda row: [read_original(one) for one in media[row]], range(len(ids)), ahead)
    for row, content in enumerate(contents):
        yield Packed(ids[row], types[row], [file_of(one) for one in media[row]], content)


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
