"""Sizes of engines: shapes of the contract's inputs, and what lies outside."""

import pytest
from pydantic import ValidationError

from data.preprocessing import LogMel, Preprocessing
from export.graph.contract import contract_of
from export.graph.onnx_export import example_inputs
from export.tensorrt.profiles import Profile, profile_of

CONTRACT = contract_of(height=8, width=6, vocabulary_size=9, pad_token_id=0, policy_count=2, num_mels=20)
SEEN = Preprocessing(
    height=8,
    width=6,
    num_frames=4,
    max_tokens=128,
    sampling="dense",
    num_clips=3,
    audio_seconds=2,
    log_mel=LogMel("whisper", 20),
)


def test_sizes_follow_from_preprocessing() -> None:
    profile = profile_of(SEEN)
    assert profile.frames == (1, 12, 12)  # three clips of four
    assert profile.tokens == (1, 32, 128)
    assert profile.sound == (1, 200, 200)
    shapes = profile.shapes(CONTRACT)
    assert shapes["frames"] == [[1, 1, 3, 8, 6], [8, 12, 3, 8, 6], [32, 12, 3, 8, 6]]
    assert shapes["token_mask"] == [[1, 1], [8, 32], [32, 128]]
    assert shapes["log_mel"] == [[1, 20, 1], [8, 20, 200], [32, 20, 200]]
    assert set(shapes) == {tensor.name for tensor in CONTRACT.inputs}


def test_what_lies_outside_is_named_once() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in example_inputs(CONTRACT).items()}
    assert profile_of(SEEN).outside(shapes, CONTRACT) == []
    assert profile_of(SEEN, batch=(3, 3, 3), frames=(2, 2, 2), sound=(6, 6, 6)).outside(shapes, CONTRACT) == []
    narrow = profile_of(SEEN, batch=(1, 1, 2), tokens=(6, 7, 8), sound=(1, 2, 5))
    assert narrow.outside(shapes, CONTRACT) == ["batch 3 (1 to 2)", "tokens 5 (6 to 8)", "sound 6 (1 to 5)"]


@pytest.mark.parametrize("wrong", [(0, 1, 2), (2, 1, 3), (1, 3, 2), (1, 2)])
def test_sizes_that_are_none(wrong: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        Profile(batch=wrong, frames=(1, 1, 1), tokens=(1, 1, 1), sound=(1, 1, 1))
