"""Which item goes into which shard: known before the first is written, so that a stopped job can go on."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from data.progress import tracked
from data.shards.index import Format, Unreadable
from data.shards.originals import file_of, in_order, sizes_of


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


def plan_shards(
    posts: pl.DataFrame, *, kind: Format, shard_bytes: int, seed: int, threads: ThreadPoolExecutor
) -> Plan:
    """Cut items, in an order drawn by the seed, into shards of at most `shard_bytes` of media, or one item."""
    names = posts["item_id"].to_list()
    media = posts["media"].to_list()
    order = sorted(range(len(names)), key=lambda row: hashlib.sha256(f"{seed}:{names[row]}".encode()).digest())
    digest = hashlib.sha256(json.dumps(["setpoint/shards/v1", kind, shard_bytes]).encode())
    shards: list[list[int]] = []
    unreadable: list[Unreadable] = []
    filled = 0
    measured = in_order(threads, lambda row: sizes_of(media[row]), order, 1000)
    for row, sizes in zip(order, tracked(measured, "measuring", len(order)), strict=True):
        if isinstance(sizes, str):
            unreadable.append(Unreadable(item_id=names[row], reason=sizes))
            digest.update(json.dumps([names[row], unreadable[-1].reason]).encode())
            continue
        digest.update(json.dumps([names[row], sizes, [file_of(one) for one in media[row]]]).encode())
        if not shards or filled + sum(sizes) > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(row)
        filled += sum(sizes)
    return Plan(shards, sorted(unreadable, key=lambda one: one.item_id), digest.hexdigest())
