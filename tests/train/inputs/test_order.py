from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from train.inputs.order import AsGiven, EpochOrder, RankBatches, order_of

LABELS = np.full((60, 2), np.nan, dtype=np.float32)
LABELS[:40, 0] = 0
LABELS[:3, 0] = 1  # rare
LABELS[20:50, 1] = np.arange(30) % 2  # the last ten items have no known label


def epochs(order: EpochOrder, numbers: range) -> list[list[int]]:
    drawn = []
    for number in numbers:
        order.set_epoch(number)
        drawn.append(order.draws().tolist())
    return drawn


def test_shuffled_hangs_on_seed_and_epoch_alone() -> None:
    first, second = epochs(order_of("shuffled", LABELS, 3), range(2))
    assert sorted(first) == sorted(second) == list(range(60))
    assert first != second
    assert epochs(order_of("shuffled", LABELS, 3), range(1, 2)) == [second]
    assert epochs(order_of("shuffled", LABELS, 4), range(1)) != [first]


def test_balanced_cycles_hold_every_policy_and_label_once() -> None:
    order = order_of("policy_balanced", LABELS, 0)
    cells = [set(range(3)), set(range(3, 40)), set(range(21, 50, 2)), set(range(20, 50, 2))]
    for drawn in epochs(order, range(3)):
        assert len(drawn) == 60
        # An item may stand for two cells: compare what each policy's labels sum up to instead of who came for which.
        labels = LABELS[drawn].reshape(-1, 4, 2)
        assert (np.nansum(labels, axis=1) >= 1).all()
        assert ((labels == 0).sum(axis=1) >= 1).all()
        assert not set(drawn) & set(range(50, 60))
    for column, cell in enumerate(cells):
        order.set_epoch(0)
        assert set(order.cells[column]) == cell
        # Rounds go on over the epochs: after M E draws each item came floor or ceil of M E / n times.
        counts = Counter(int(item) for epoch in range(5) for item in of_cell(order, column, epoch))
        expected = 5 * order.num_cycles / len(cell)
        assert set(counts) <= cell
        assert all(int(expected) <= counts[item] <= -(-5 * order.num_cycles // len(cell)) for item in cell)


def of_cell(order: EpochOrder, column: int, epoch: int) -> list[int]:
    order.set_epoch(epoch)
    return order._of_cell(column).tolist()


def test_weights_are_how_often_an_item_comes_rounded() -> None:
    order = order_of("shuffled", LABELS, 1)
    before = epochs(order, range(1))[0]
    weights = np.linspace(0.1, 3.0, 60)
    order.set_weights(weights)
    (drawn,) = epochs(order, range(1, 2))
    counts = np.bincount(drawn, minlength=60)
    expected = 60 * weights / weights.sum()
    assert (counts >= np.floor(expected)).all()
    assert (counts <= np.ceil(expected)).all()
    assert drawn != sorted(drawn)
    assert epochs(order, range(1, 2)) == [drawn]
    order.set_weights(None)
    assert epochs(order, range(1)) == [before]
    order.set_weights(np.ones(60))
    assert sorted(epochs(order, range(4, 5))[0]) == list(range(60))


def test_weights_are_unbiased_over_epochs() -> None:
    order = order_of("policy_balanced", LABELS, 1)
    weights = np.random.default_rng(0).uniform(0.2, 2, 60)
    order.set_weights(weights)
    counts = np.bincount([item for drawn in epochs(order, range(400)) for item in drawn], minlength=60)
    expected = np.zeros(60)
    for cell in order.cells:
        expected[cell] += 400 * order.num_cycles * weights[cell] / weights[cell].sum()
    assert np.abs(counts - expected).max() < 4 * np.sqrt(expected.max())


@given(
    num_items=st.integers(1, 200),
    batch_size=st.integers(1, 17),
    world_size=st.integers(1, 8),
    balanced=st.booleans(),
    start=st.integers(0, 5),
)
@settings(max_examples=80, deadline=None)
def test_ranks_share_out_the_batches_of_one_process(
    num_items: int, batch_size: int, world_size: int, balanced: bool, start: int
) -> None:
    labels = np.arange(num_items)[:, None].astype(np.float32) % 2
    order = order_of("policy_balanced" if balanced else "shuffled", labels, 5)
    if order.num_draws < world_size:
        with pytest.raises(InputError, match="expected one each"):
            RankBatches(order, batch_size=batch_size, rank=0, world_size=world_size)
        return
    ranks = [
        RankBatches(order, batch_size=batch_size, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    shared = [list(rank) for rank in ranks]
    assert {len(batches) for batches in shared} == {len(ranks[0])}
    joined = [sorted(chain(*step), key=lambda draw: draw.number) for step in zip(*shared, strict=True)]
    assert all(batch for batches in shared for batch in batches)
    assert [draw.index for batch in joined for draw in batch] == order.draws().tolist()
    assert [draw.number for batch in joined for draw in batch] == list(range(order.num_draws))
    assert {draw.epoch for batch in joined for draw in batch} == {0}
    sizes = {len(batch) for batch in joined}
    assert max(sizes) - min(sizes) <= 1
    if batch_size > 1:
        assert max(sizes) <= batch_size * world_size
        one = RankBatches(order, batch_size=batch_size * world_size)
        assert joined == list(one)
    start = min(start, len(ranks[0]) - 1)
    later = RankBatches(order, batch_size=batch_size, rank=world_size - 1, world_size=world_size, start=(0, start))
    assert list(later) == shared[-1][start:]
    order.set_epoch(1)
    assert len(list(later)) == len(later)
    assert {draw.epoch for batch in later for draw in batch} == {1}


def test_validation_counts_every_item_once() -> None:
    ranks = [list(RankBatches(AsGiven(11), batch_size=2, rank=rank, world_size=2)) for rank in range(2)]
    assert sorted(draw.index for batches in ranks for batch in batches for draw in batch) == list(range(11))
    assert len(ranks[0]) == len(ranks[1]) == 3
