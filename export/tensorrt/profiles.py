"""Which sizes an engine takes: fewest, typical and most items, frames, tokens and places of sound of a request.

An engine is fastest at the typical sizes and refuses those outside.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from data.policy import Strict
from data.preprocessing import Preprocessing
from data.sound import PLACES_PER_SECOND
from export.graph.contract import Contract

AXES = {"batch": "batch", "frames": "frames", "tokens": "tokens", "time": "sound"}
"""An axis of the contract, and the setting that says its sizes."""

TYPICAL_TOKENS = 32


def _ascending(sizes: tuple[int, int, int]) -> tuple[int, int, int]:
    if list(sizes) != sorted(sizes):
        raise ValueError("expected three ascending numbers: the fewest, the typical, the most")
    return sizes


Size = Annotated[int, Field(ge=1)]
Range = Annotated[tuple[Size, Size, Size], AfterValidator(_ascending)]


class Profile(Strict):
    """The sizes of an engine: (fewest, typical, most) each."""

    batch: Range
    frames: Range
    tokens: Range
    sound: Range

    def shapes(self, contract: Contract) -> dict[str, list[list[int]]]:
        """Of each input the smallest, the typical and the largest shape."""
        return {
            tensor.name: [
                [
                    getattr(self, AXES[axis])[place] if size == -1 else size
                    for axis, size in zip(tensor.axes, tensor.shape, strict=True)
                ]
                for place in range(3)
            ]
            for tensor in contract.inputs
        }

    def outside(self, shapes: Mapping[str, tuple[int, ...]], contract: Contract) -> list[str]:
        """What of a request an engine of these sizes does not take, e.g. "batch 64 (1 to 32)"; [] if it takes all.

        Args:
            shapes: of the request's inputs, by name.
            contract: what the axes are.
        """
        problems = {}
        for tensor in contract.inputs:
            for axis, fixed, size in zip(tensor.axes, tensor.shape, shapes[tensor.name], strict=True):
                if fixed == -1:
                    fewest, _, most = getattr(self, AXES[axis])
                    if not fewest <= size <= most:
                        problems[axis] = f"{AXES[axis]} {size} ({fewest} to {most})"
        return list(problems.values())


def profile_of(
    preprocessing: Preprocessing,
    *,
    batch: Range = (1, 8, 32),
    frames: Range | None = None,
    tokens: Range | None = None,
    sound: Range | None = None,
) -> Profile:
    """The sizes that are given, and for the others all that preprocessing can give.

    Args:
        preprocessing: of the model.
        batch: items of a request.
        frames: of an item, None: from 1 to as many as are sampled.
        tokens: likewise.
        sound: places in time of a spectrogram, likewise.
    """
    most_frames, most_tokens = preprocessing.most_frames, preprocessing.max_tokens
    most_sound = preprocessing.audio_seconds * PLACES_PER_SECOND
    return Profile(
        batch=batch,
        frames=frames or (1, most_frames, most_frames),
        tokens=tokens or (1, min(TYPICAL_TOKENS, most_tokens), most_tokens),
        sound=sound or (1, most_sound, most_sound),
    )
