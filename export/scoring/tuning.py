"""How ONNX Runtime shall run on this machine: a short sweep over real posts, remembered by machine and model.

It chooses among options that leave every bit of a score as it is, and checks that they do. What would change the last
bits, the size of batches and the optimisation of the graph, is measured beside them and left to the user: scores of
one setting are the same bytes whatever was swept, and a killed run goes on.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from data.errors import InputError
from data.files import read_json, sha256_of_json, write_json
from data.policy import Strict
from export.machine import Machine, this_machine
from export.scoring.chunks import chunk_size, cut
from export.scoring.pipeline import score_chunks
from export.scoring.runtimes import OnnxRuntime, Optimization

SWEEP_FROM = 5_000  # items: a sweep takes as long as a few hundred
ITEMS_PER_CORE, MOST_ITEMS = 32, 1024
PASSES = 2
LEAST_GAIN = 1.03  # what is no faster than noise does not replace the default


class Option(Strict):
    """One way to run.

    Attributes:
        threads: of one operator; as many batches run at once as that leaves cores for.
        spinning: whether they keep their cores busy while they wait.
        batch_size: items of one shape that run together.
        optimization: of the graph.
    """

    threads: int
    spinning: bool
    batch_size: int
    optimization: Optimization


class Measured(Strict):
    """An option, how many items a second it scored, decoding included, and whether with the default's very bits."""

    option: Option
    items_per_second: float
    same_bits: bool


class Tuning(Strict):
    """What a sweep found; the content of its file in the cache."""

    format: Literal["setpoint/tuning/v1"] = Field(default="setpoint/tuning/v1", alias="schema")
    machine: Machine
    model_digest: str
    runtime: str
    n_items: int
    measured: list[Measured] = Field(min_length=1)

    @property
    def default(self) -> Measured:
        """One thread a batch, the batch size asked for."""
        return self.measured[0]

    @property
    def chosen(self) -> Measured:
        """The fastest that changes no bit."""
        usable = [each for each in self.measured if each.same_bits and _keeps_bits(each.option, self.default.option)]
        best = max(usable, key=lambda each: each.items_per_second)
        gain = best.items_per_second / self.default.items_per_second
        return best if gain >= LEAST_GAIN else self.default

    def lines(self) -> list[str]:
        """For the summary."""
        option, speed = self.chosen.option, self.chosen.items_per_second
        at_once = max(1, self.machine.cores // option.threads)
        chosen = f"{at_once} at once on {option.threads} thread{'s' if option.threads > 1 else ''} each"
        others = max(
            (each for each in self.measured if not _keeps_bits(each.option, option)),
            key=lambda each: each.items_per_second,
            default=None,
        )
        lines = [f"batches run {chosen}: the fastest of {len(self.measured)} ways swept on this machine"]
        if others is not None and others.items_per_second >= 1.1 * speed:
            what = f"batch_size={others.option.batch_size}"
            if others.option.optimization == option.optimization:
                lines.append(
                    f"{what} would be {others.items_per_second / speed:.1f} times as fast, with other last bits"
                )
        return lines


@dataclass(frozen=True)
class Tuner:
    """The sweep of one model.

    Attributes:
        reopen: opens the model otherwise.
        default: as it is opened without a sweep.
        batch_size: of the run.
        workers: likewise.
        cache_dir: for the results.
    """

    reopen: Callable[[Option], OnnxRuntime]
    default: OnnxRuntime
    batch_size: int
    workers: int
    cache_dir: Path

    def find(self, items: pl.DataFrame) -> Tuning | None:
        """What was swept before, or is worth sweeping now for these items; None where it is not."""
        path = self.cache_dir / "tuning" / f"{self._key()}.json"
        if path.is_file():
            try:
                return Tuning.model_validate(read_json(path))
            except (ValidationError, InputError):
                path.unlink(missing_ok=True)  # of another version, or half of it
        if len(items) < SWEEP_FROM:
            return None
        tuning = self.sweep(items)
        if tuning is not None:
            write_json(path, tuning.model_dump(mode="json", by_alias=True))
        return tuning

    def sweep(self, items: pl.DataFrame) -> Tuning | None:
        """Score a sample of the items in every way; None where none of them can be read."""
        machine = this_machine()
        count = min(len(items), MOST_ITEMS, ITEMS_PER_CORE * machine.cores)
        sample = items.gather([place * len(items) // count for place in range(count)])
        measured: list[Measured] = []
        reference: NDArray[np.uint32] | None = None
        for option in _options(machine.cores, self.batch_size):
            engine = self.default if not measured else self.reopen(option)
            seconds, bits = self._timed(engine, sample, option.batch_size)
            if not len(bits):
                return None
            reference = bits if reference is None else reference
            same = np.array_equal(bits, reference)
            measured.append(Measured(option=option, items_per_second=count / seconds, same_bits=same))
        return Tuning(
            machine=machine,
            model_digest=self.default.model_digest,
            runtime=self.default.name,
            n_items=count,
            measured=measured,
        )

    def _timed(self, engine: OnnxRuntime, sample: pl.DataFrame, batch_size: int) -> tuple[float, NDArray[np.uint32]]:
        """Seconds of the quickest pass over the sample, and the bits of its logits."""
        best = float("inf")
        for number in range(PASSES + 1):
            began = time.perf_counter()
            chunks = cut(sample, chunk_size(engine.preprocessing))
            parts = [part for _, part in score_chunks(engine, chunks, batch_size=batch_size, workers=self.workers)]
            if number:  # the first one warms up
                best = min(best, time.perf_counter() - began)
        logits = pl.concat(parts)["logits"].drop_nulls().to_numpy()
        return best, np.ascontiguousarray(logits, np.float32).view(np.uint32)

    def _key(self) -> str:
        return sha256_of_json(
            {
                "machine": this_machine().model_dump(mode="json"),
                "model": self.default.model_digest,
                "runtime": self.default.name,
                "preprocessing": self.default.preprocessing.to_dict(),
                "batch_size": self.batch_size,
                "workers": self.workers,
            }
        )[:16]


def _options(cores: int, batch_size: int) -> Iterator[Option]:
    """The default, then what may replace it, then what changes the last bits."""
    default = Option(threads=1, spinning=False, batch_size=batch_size, optimization="all")
    yield default
    threads = 2
    while threads <= cores:
        for spinning in (False, True):
            yield default.model_copy(update={"threads": threads, "spinning": spinning})
        threads *= 2
    for size in (batch_size // 2, batch_size * 2):
        if size:
            yield default.model_copy(update={"batch_size": size})
    yield default.model_copy(update={"optimization": "extended"})


def _keeps_bits(option: Option, default: Option) -> bool:
    """Whether an option computes the same sums in the same order, by what it is."""
    return (option.batch_size, option.optimization) == (default.batch_size, default.optimization)
