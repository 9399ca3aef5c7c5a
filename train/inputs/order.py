"""Which items an epoch trains on, in which order: a function of seed, epoch and weights, cut alike on all ranks.

Draws come from cells: `shuffled` has one cell, of all items; `policy_balanced` has one for each policy and label that
is known, and draws from them in turn. A cell is gone through in rounds. A round of a cell of n items is n draws, in
which each item comes once, or, with weights w, n w / Σw times rounded up or down; rounds run on over the epochs. So
nothing is dropped over the epochs, and without weights no item of a cell comes again before all others came.

Shapes: N items, P policies, C cells, M draws of a cell in an epoch.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from data.augment import Draw
from data.errors import InputError
from train.settings import SamplerName

Indices = npt.NDArray[np.int64]
Ahead = Callable[[Iterator[list[int]]], Iterator[list[int]]]
CYCLES, ROUNDS = 0, 1  # streams of random numbers


class Order(Protocol):
    """What an epoch draws from N items."""

    num_draws: int
    epoch: int

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""

    def draws(self) -> Indices:
        """Indices [num_draws] of items."""


class AsGiven:
    """Every item once, in the order of the data: for validation, and to train on the same batches again and again."""

    def __init__(self, num_items: int) -> None:
        self.num_draws, self.epoch = num_items, 0

    def set_epoch(self, epoch: int) -> None:
        """All epochs are alike."""
        self.epoch = epoch

    def draws(self) -> Indices:
        """0 to N - 1."""
        return np.arange(self.num_draws)


class EpochOrder:
    """A new order each epoch.

    An epoch is M cycles, M = N / C rounded up. Each cycle draws once from every cell, the cells in random order.

    Args:
        cells: C arrays of indices of items, none of them empty; an item may be in several.
        num_items: N.
        seed: of the run.
    """

    def __init__(self, cells: Sequence[Indices], num_items: int, seed: int) -> None:
        assert cells, "no item has a known label"
        assert all(len(cell) for cell in cells)
        self.cells, self.seed, self.epoch = cells, seed, 0
        self.weights: npt.NDArray[np.float64] | None = None
        self.num_cycles = -(-num_items // len(cells))
        self.num_draws = self.num_cycles * len(cells)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def set_weights(self, weights: npt.NDArray[np.float64] | None) -> None:
        """From the next epoch on, draw an item in proportion to its weight among its cell.

        Args:
            weights: [N], positive; None for equal ones.
        """
        assert weights is None or (np.isfinite(weights).all() and (weights > 0).all())
        self.weights = weights

    def draws(self) -> Indices:
        """Indices [C M] of the epoch."""
        drawn_MC = np.stack([self._of_cell(column) for column in range(len(self.cells))], axis=1)
        if len(self.cells) == 1:
            return drawn_MC[:, 0]
        generator = np.random.default_rng([self.seed, CYCLES, self.epoch])
        turns_MC = generator.permuted(np.tile(np.arange(len(self.cells)), (self.num_cycles, 1)), axis=1)
        return np.take_along_axis(drawn_MC, turns_MC, axis=1).reshape(-1)

    def _of_cell(self, column: int) -> Indices:
        """The M draws of one cell in this epoch: its rounds end to end, cut where the epochs are."""
        size, start = len(self.cells[column]), self.epoch * self.num_cycles
        first, last = start // size, (start + self.num_cycles - 1) // size
        rounds = np.concatenate([self._round(column, number) for number in range(first, last + 1)])
        return rounds[start - first * size :][: self.num_cycles]

    def _round(self, column: int, number: int) -> Indices:
        cell = self.cells[column]
        generator = np.random.default_rng([self.seed, ROUNDS, column, number])
        if self.weights is None:
            return generator.permutation(cell)
        # Systematic sampling: a comb of n teeth, with a random offset, over the weights laid end to end.
        cell = generator.permutation(cell)
        ends = np.cumsum(self.weights[cell])
        teeth = (np.arange(len(cell)) + generator.random()) * (ends[-1] / len(cell))
        picked = np.minimum(np.searchsorted(ends, teeth, side="right"), len(cell) - 1)
        return cell[generator.permutation(picked)]


def order_of(sampler: SamplerName, labels: npt.NDArray[np.float32], seed: int) -> EpochOrder:
    """The order of a training part.

    Args:
        sampler: `shuffled`; or `policy_balanced`: every run of C draws, C the number of policies times two, holds a
            violating and a harmless item for each policy, however rare. Items without any known label add nothing
            and are not drawn. Soft labels count as violating above one half.
        labels: [N, P], NaN where unknown.
        seed: of the run.
    """
    if sampler == "shuffled":
        return EpochOrder([np.arange(len(labels))], len(labels), seed)
    # NaN is on neither side.
    cells = [np.flatnonzero(side) for column in labels.T for side in (column > 0.5, column <= 0.5)]
    return EpochOrder([cell for cell in cells if len(cell)], len(labels), seed)


def batch_bounds(num_draws: int, *, batch_size: int, world_size: int) -> Indices:
    """Where the global batches of an epoch begin and end in its draws [K + 1]; see RankBatches."""
    num_batches = min(-(-num_draws // (batch_size * world_size)), num_draws // world_size)
    return np.arange(num_batches + 1) * num_draws // num_batches


class RankBatches(Sampler[list[Draw]]):
    """This process's batches of an epoch.

    All processes compute the same order. It is spread over as few global batches, of at most batch_size x world_size
    items, as can be, whose sizes differ by at most one: there is no incomplete batch to drop or to pad. Rank r takes
    every world_size-th item of each, from the r-th on. So all ranks have the same number of batches, and together
    those of one process with batches of batch_size x world_size. (Only where that would leave a rank without an item,
    which takes batches of one, are there fewer batches, with one item more.)

    Each item comes with its epoch and the number of its draw in it: workers outlive epochs and load ahead, so nobody
    else could tell them.

    Args:
        order: of all items.
        batch_size: of a process.
        rank: of this process.
        world_size: number of processes.
        start: epoch and batch to begin with, for resumed runs; the batches before it are not even loaded. Loaders
            with workers ask for batches before Lightning tells the epoch: it is known from here.
        ahead: what the batches of an epoch pass through on their way, to prepare for those to come.

    Raises:
        InputError: there are fewer items than processes.
    """

    def __init__(
        self,
        order: Order,
        *,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        start: tuple[int, int] = (0, 0),
        ahead: Ahead | None = None,
    ) -> None:
        if order.num_draws < world_size:
            raise InputError(f"{order.num_draws} items for {world_size} processes: expected one each at least")
        self.sampler = order  # Lightning's name for whom it tells the epoch
        self.rank, self.world_size, self.ahead = rank, world_size, ahead
        self.bounds = batch_bounds(order.num_draws, batch_size=batch_size, world_size=world_size)
        epochs, batch = divmod(start[1], len(self))
        self.start = (start[0] + epochs, batch)
        order.set_epoch(self.start[0])

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self.sampler.epoch
        first = self.start[1] if epoch == self.start[0] else 0
        batches = self._batches(first)
        for number, batch in enumerate(batches if self.ahead is None else self.ahead(batches), first):
            numbers = range(self.bounds[number] + self.rank, self.bounds[number + 1], self.world_size)
            yield [Draw(index, epoch, drawn) for index, drawn in zip(batch, numbers, strict=True)]

    def _batches(self, first: int) -> Iterator[list[int]]:
        draws = self.sampler.draws()
        for number in range(first, len(self)):
            yield draws[self.bounds[number] : self.bounds[number + 1]][self.rank :: self.world_size].tolist()
