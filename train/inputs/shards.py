"""Training on media in shards: the parts with names into shards for media, and an order that suits them.

Shapes: N items.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from data.errors import InputError
from data.files import sha256_of_json
from data.shards.ahead import FetchAhead
from data.shards.source import Shards, open_shards, place_items, shard_names, shard_numbers
from train.inputs.order import AsGiven, Indices, Order, batch_bounds, order_of
from train.inputs.parts import Part, Split
from train.settings import SamplerName


@dataclass(frozen=True)
class Streamed:
    """A split whose media are read from shards.

    Attributes:
        parts: their items' `media` are names into shards.
        line: what was found in the shards, for the summary.
        shards: that hold their media.
        mixed: of ShardOrder; None where an epoch's order has nothing to do with shards.
    """

    parts: Split
    line: str
    shards: Shards
    mixed: int | None

    def ahead(self, items: pl.DataFrame, *, batch_size: int) -> FetchAhead | None:
        """What fetches the shards that will be mixed next; None where they need no fetching."""
        if self.mixed is None or self.shards.is_local:
            return None
        largest = max(shard.items for shard in self.shards.index.shards)
        return FetchAhead(self.shards.home, shard_names(items), depth=-(-self.mixed * largest // batch_size))


def stream(
    parts: Split,
    url: str,
    *,
    cache_dir: Path,
    cache_gb: float,
    mixed: int,
    world_size: int,
    sampler: SamplerName,
    weighted: bool,
    reads_media: bool,
) -> Streamed:
    """Read the media of a split from shards: all of the train part, and those of the validation part that they hold.

    Args:
        parts: as `read_split` returns them.
        url: of the shards; see `open_shards`.
        cache_dir: for copies of remote shards.
        cache_gb: gigabytes that they may take.
        mixed: shards whose items are shuffled among each other.
        world_size: number of processes.
        sampler: `policy_balanced` draws from all shards at any time.
        weighted: whether items are drawn by weight, which is done likewise.
        reads_media: whether an encoder of media is tuned; else each shard is read once, to encode it.

    Raises:
        InputError: the shards cannot be read, an item of the train part is in none, or the cache is too small.
    """
    shards = open_shards(url, cache_dir=cache_dir, limit=int(cache_gb * 1e9))
    train, validation = (place_items(part.items, shards) for part in (parts.train, parts.validation))
    if train.missing:
        raise InputError(
            f"shards={url}: {len(train.missing)} of {len(train.items)} items of the train part are in no shard, "
            f"e.g. {train.missing[0]!r}; pack them with `setpoint shard`"
        )
    by_shard = reads_media and sampler == "shuffled" and not weighted
    if reads_media and not shards.is_local:
        _check_cache(shards, 2 * mixed * world_size if by_shard else len(shards.index.shards), cache_gb)
    num_validation = len(validation.items) - len(validation.missing)
    num_others = train.num_others - num_validation
    return Streamed(
        replace(
            parts,
            train=replace(parts.train, items=train.items),
            validation=replace(parts.validation, items=validation.items),
            media_digests={"shards": _digest(shards, mixed)} if by_shard else {},
        ),
        f"media from {len(shards.index.shards)} shards: {len(train.items)} train items, {num_validation} of "
        f"{len(validation.items)} validation items"
        + (f"; {num_others} others in the shards are not of this run" if num_others else ""),
        shards,
        mixed if by_shard else None,
    )


def _check_cache(shards: Shards, at_once: int, cache_gb: float) -> None:
    """Copies that are needed at the same time must fit, or they would be fetched again and again."""
    sizes = sorted((shard.bytes for shard in shards.index.shards), reverse=True)
    needed = sum(sizes[:at_once])
    if needed > shards.limit:
        raise InputError(
            f"shards_cache_gb={cache_gb:g}: {min(at_once, len(sizes))} shards are read in turns or come next, "
            f"{needed / 1e9:.3g} GB; raise it, or lower shards_mixed where optim.sampler=shuffled"
        )


def _digest(shards: Shards, mixed: int) -> str:
    """What an order by shards hangs on."""
    held = [[shard.name, shard.bytes, shard.sha256] for shard in shards.index.shards]
    return sha256_of_json({"made_of": shards.index.made_of, "shards": held, "mixed": mixed})


def order_for(
    part: Part,
    streamed: Streamed | None,
    *,
    sampler: SamplerName,
    seed: int,
    repeats: bool,
    batch_size: int,
    world_size: int,
) -> Order:
    """The order of the train part.

    Args:
        part: its readable items.
        streamed: None where media are files.
        sampler: of `order_of`.
        seed: of the run.
        repeats: draw the same batches again and again, as `overfit_batches` asks for.
        batch_size: of a process.
        world_size: number of processes.
    """
    if repeats:
        return AsGiven(len(part.items))
    if streamed is None or streamed.mixed is None:
        return order_of(sampler, part.labels, seed)
    numbers = shard_numbers(part.items)
    return ShardOrder(numbers, seed=seed, mixed=streamed.mixed, batch_size=batch_size, world_size=world_size)


class ShardOrder:
    """Every item once an epoch, in a new order that opens few shards at a time.

    The shards come in random order; the items of `mixed` shards in a row are shuffled among each other. Each process
    has a stretch of that order to itself, so that it reads its own shards (one at a stretch's end may be shared with
    the next process); the stretches are cut by items, not by shards, so all items come and all processes have the
    same number of batches. With one process the order hangs on seed, epoch, shards and `mixed` alone.

    Args:
        shard_N: the number of each item's shard.
        seed: of the run.
        mixed: shards.
        batch_size: of a process.
        world_size: number of processes.
    """

    def __init__(self, shard_N: Indices, *, seed: int, mixed: int, batch_size: int, world_size: int = 1) -> None:
        self.shard_N, self.seed, self.mixed, self.world_size = shard_N, seed, mixed, world_size
        self.batch_size = batch_size
        self.num_draws, self.epoch = len(shard_N), 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def draws(self) -> Indices:
        """Indices [N] of the epoch; RankBatches gives each process its own."""
        generator = np.random.default_rng([self.seed, self.epoch])
        turn_of_shard = generator.permutation(int(self.shard_N.max()) + 1)
        turn_N = turn_of_shard[self.shard_N]
        by_turn = np.argsort(turn_N, kind="stable")
        rank_N = self._ranks()
        draws = np.empty(self.num_draws, dtype=np.int64)
        start = 0
        for rank in range(self.world_size):
            stop = start + int((rank_N == rank).sum())
            stretch = by_turn[start:stop]
            turns = turn_N[stretch]
            window = np.cumsum(np.diff(turns, prepend=turns[:1]) != 0) // self.mixed
            draws[rank_N == rank] = stretch[np.lexsort((generator.random(len(stretch)), window))]
            start = stop
        return draws

    def _ranks(self) -> Indices:
        """The process that takes each draw."""
        bounds = batch_bounds(self.num_draws, batch_size=self.batch_size, world_size=self.world_size)
        place_N = np.arange(self.num_draws)
        ranks: Indices = (place_N - np.repeat(bounds[:-1], np.diff(bounds))) % self.world_size
        return ranks
