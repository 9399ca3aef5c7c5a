"""Fetching the remote shards of coming batches while those before are trained on."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from data.shards.home import at_hand
from data.shards.names import ShardError

DOWNLOADS = 4  # at a time


@dataclass(frozen=True)
class FetchAhead:
    """Passes batches of items on and has the shards of later ones fetched meanwhile.

    Attributes:
        home: the folder that knows the shards.
        shard_of: the file name of each item's shard.
        depth: batches; their shards must fit into the cache together with those in use.
    """

    home: Path
    shard_of: Sequence[str]
    depth: int

    def __call__(self, batches: Iterator[list[int]]) -> Iterator[list[int]]:
        """Yield the batches of an epoch, `depth` later than they are known."""
        waiting: deque[list[int]] = deque()
        asked: set[str] = set()
        threads = ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="shards")
        try:
            for batch in batches:
                for shard in dict.fromkeys(self.shard_of[index] for index in batch):
                    if shard not in asked:
                        threads.submit(self._fetch, shard)
                        asked.add(shard)
                waiting.append(batch)
                if len(waiting) > self.depth:
                    yield waiting.popleft()
            yield from waiting
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, shard: str) -> None:
        with suppress(ShardError):  # whoever reads from it will say so
            at_hand(self.home, shard)
