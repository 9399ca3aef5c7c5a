"""Batches: shapes hang on the item alone, masks tell what is real, and nothing is lost on the way."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.media import Frames
from export.scoring.batch import Batch, collate, groups_of_one_shape, padded_tokens


def clip(num_frames: int, value: int = 7) -> Frames:
    times = np.arange(num_frames, dtype=np.float32)
    return Frames(np.full((num_frames, 3, 2, 4), value, np.uint8), times)


def collated(num_frames: int = 1, num_tokens: int = 1) -> Batch:
    token_ids = np.array([[5, 6, 7], [8, 0, 0], [0, 0, 0]])
    token_mask = np.array([[True, True, True], [True, False, False], [False, False, False]])
    return collate(
        [clip(2), clip(0), clip(1)],
        token_ids,
        token_mask,
        size=(2, 4),
        pad_token_id=9,
        num_frames=num_frames,
        num_tokens=num_tokens,
    )


def test_masks_tell_what_is_real() -> None:
    batch = collated()
    assert batch.frame_mask.tolist() == [[True, True], [False, False], [True, False]]
    assert batch.frame_times.tolist() == [[0, 1], [0, 0], [0, 0]]
    assert batch.frames.shape == (3, 2, 3, 2, 4)
    assert (batch.frames.any(axis=(2, 3, 4)) == batch.frame_mask).all()
    assert batch.token_ids.tolist() == [[5, 6, 7], [8, 9, 9], [9, 9, 9]]
    assert batch.token_mask.sum(1).tolist() == [3, 1, 0]
    assert {name: str(array.dtype) for name, array in batch.arrays().items()} == {
        "frames": "uint8",
        "frame_mask": "bool",
        "frame_times": "float32",
        "token_ids": "int64",
        "token_mask": "bool",
    }


def test_padding_beyond_the_longest() -> None:
    batch = collated(num_frames=4, num_tokens=8)
    assert batch.frames.shape[:2] == (3, 4)
    assert batch.token_ids.tolist()[0] == [5, 6, 7, 9, 9, 9, 9, 9]
    assert batch.token_mask.sum() == 4
    assert batch.frame_mask.sum() == 3


def test_items_without_anything_still_have_one_place() -> None:
    batch = collate([clip(0)], np.zeros((1, 1), np.int64), np.zeros((1, 1), bool), size=(2, 4), pad_token_id=3)
    assert batch.frames.shape == (1, 1, 3, 2, 4)
    assert batch.token_ids.tolist() == [[3]]
    assert not batch.frame_mask.any()
    assert not batch.token_mask.any()


@given(
    counts=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), max_size=40),
    batch_size=st.integers(1, 9),
)
def test_groups_hold_every_item_once_and_shapes_hang_on_the_item_alone(counts, batch_size) -> None:
    frame_counts, token_counts = [f for f, _ in counts], [t for _, t in counts]
    groups = list(groups_of_one_shape(frame_counts, token_counts, max_tokens=30, batch_size=batch_size))
    assert sorted(place for group in groups for place in group.places) == list(range(len(counts)))
    for group in groups:
        assert 1 <= len(group.places) <= batch_size
        for place in group.places:
            assert group.num_frames == max(1, frame_counts[place])
            assert group.num_tokens == padded_tokens(token_counts[place], 30)
            assert token_counts[place] <= group.num_tokens <= 30
