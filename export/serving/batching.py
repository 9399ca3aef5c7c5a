"""Dynamic batching: requests of one item shape run together, on a thread of their own, and are answered apart.

While a batch computes the next ones gather, so that the queue is its own delay under load; `max_delay` is for the
quiet hours. Rows do not hang on their neighbours: shapes differ by nothing but the batch.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from export.serving.protocol import Array

Tensors = dict[str, Array]
Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Batched:
    """One batch that ran, for the metrics.

    Attributes:
        num_items: rows that ran together.
        queued: seconds that each request waited for it.
        computed: seconds that the model took.
        failures: requests of it that the model could not answer.
    """

    num_items: int
    queued: list[float]
    computed: float
    failures: int


@dataclass(eq=False)
class _Waiting:
    tensors: Mapping[str, Array]
    num_items: int
    answer: "asyncio.Future[Tensors]"
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """Runs requests in batches; use it from one event loop.

    Args:
        run: answers by output name of tensors by input name, for any number of items.
        max_batch: items that run together at most.
        max_delay: seconds that a request waits for others at most while the model is idle.
        on_batch: told of each batch, on the event loop.
    """

    def __init__(
        self,
        run: Callable[[Tensors], Tensors],
        *,
        max_batch: int,
        max_delay: float,
        on_batch: Callable[[Batched], None],
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._max_delay = max_delay
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._queues: dict[Shapes, deque[_Waiting]] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def submit(self, tensors: Mapping[str, Array], num_items: int) -> "asyncio.Future[Tensors]":
        """Queue one request of `num_items`, at most `max_batch`; the future holds its own rows of the answer."""
        waiting = _Waiting(tensors, num_items, self._loop.create_future())
        shapes = tuple(array.shape[1:] for array in tensors.values())
        with self._changed:
            assert not self._closing
            self._queues.setdefault(shapes, deque()).append(waiting)
            self._changed.notify()
        return waiting.answer

    async def close(self) -> None:
        """Run what is queued, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while batch := self._next_batch():
            began = time.monotonic()
            answers = self._answers(batch)
            batched = Batched(
                num_items=sum(waiting.num_items for waiting in batch),
                queued=[began - waiting.since for waiting in batch],
                computed=time.monotonic() - began,
                failures=sum(isinstance(answer, Exception) for answer in answers),
            )
            self._loop.call_soon_threadsafe(self._deliver, batch, answers, batched)

    def _next_batch(self) -> list[_Waiting]:
        """Wait until a queue has a full batch, or its first request waited long enough; [] when all is done."""
        with self._changed:
            while True:
                now = time.monotonic()
                ready = [
                    queue
                    for queue in self._queues.values()
                    if self._closing
                    or now - queue[0].since >= self._max_delay
                    or sum(waiting.num_items for waiting in queue) >= self._max_batch
                ]
                if ready:
                    return self._take(min(ready, key=lambda queue: queue[0].since))
                if self._closing:
                    return []
                firsts = [queue[0].since for queue in self._queues.values()]
                self._changed.wait(min(firsts) + self._max_delay - now if firsts else None)

    def _take(self, queue: deque[_Waiting]) -> list[_Waiting]:
        batch = [queue.popleft()]
        room = self._max_batch - batch[0].num_items
        while queue and queue[0].num_items <= room:
            room -= queue[0].num_items
            batch.append(queue.popleft())
        if not queue:
            self._queues = {shapes: held for shapes, held in self._queues.items() if held}
        return batch

    def _answers(self, batch: Sequence[_Waiting]) -> list[Tensors | Exception]:
        """The answer of each request; where a batch fails each request runs alone, so that one fails alone."""
        try:
            return list(self._run_together(batch))
        except Exception as error:
            if len(batch) == 1:
                return [error]
            return [self._answers([waiting])[0] for waiting in batch]

    def _run_together(self, batch: Sequence[_Waiting]) -> list[Tensors]:
        names = batch[0].tensors
        # Also of one request: a tensor inside the bytes of a request may lie at an address that is not aligned.
        joined = {name: np.concatenate([waiting.tensors[name] for waiting in batch]) for name in names}
        answers = self._run(joined)
        parts = []
        first = 0
        for waiting in batch:
            rows = slice(first, first + waiting.num_items)
            parts.append({name: array[rows] for name, array in answers.items()})
            first += waiting.num_items
        return parts

    def _deliver(self, batch: list[_Waiting], answers: list[Tensors | Exception], batched: Batched) -> None:
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():  # its client is gone
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
        self._on_batch(batched)
