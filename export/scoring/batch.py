"""From decoded items to the arrays of the input contract, grouped so that padding hangs on the item alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from data.media import Frames
from data.sound import padded_log_mels

# N items, B batch, T frames, L tokens, M mels, K places in time

TOKEN_STEP = 8
"""Texts are padded to a multiple of this: few shapes, and none that depends on the neighbours in a batch."""


@dataclass(frozen=True, eq=False)
class Batch:
    """The input contract's arrays of B items.

    Attributes:
        frames: uint8 [B, T, 3, H, W].
        frame_mask: bool [B, T].
        frame_times: float32 [B, T], seconds.
        token_ids: int64 [B, L].
        token_mask: bool [B, L].
        log_mel: float32 [B, M, K]; None for a model that reads no sound.
        audio_mask: bool [B, K], likewise.
    """

    frames: NDArray[np.uint8]
    frame_mask: NDArray[np.bool_]
    frame_times: NDArray[np.float32]
    token_ids: NDArray[np.int64]
    token_mask: NDArray[np.bool_]
    log_mel: NDArray[np.float32] | None = None
    audio_mask: NDArray[np.bool_] | None = None

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Input name to array, in the contract's order."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in named.items() if array is not None}


def collate(
    clips: Sequence[Frames],
    token_ids_BL: NDArray[np.int64],
    token_mask_BL: NDArray[np.bool_],
    *,
    size: tuple[int, int],
    pad_token_id: int,
    num_frames: int = 1,
    num_tokens: int = 1,
) -> Batch:
    """Pad B items to one shape.

    Args:
        clips: what there is to see and hear of each item; an item without frames has T = 0. Either all have
            `log_mel`, or none.
        token_ids_BL: tokens of each item, real ones first.
        token_mask_BL: True where a token is real.
        size: height and width in pixels, for items without frames.
        pad_token_id: fills token_ids where there is no token.
        num_frames: T is at least this.
        num_tokens: L is at least this.
    """
    longest = max(num_frames, *(len(clip.times) for clip in clips))
    frames = np.zeros((len(clips), longest, 3, *size), np.uint8)
    frame_times = np.zeros((len(clips), longest), np.float32)
    frame_mask = np.zeros((len(clips), longest), np.bool_)
    for row, clip in enumerate(clips):
        count = len(clip.times)
        frames[row, :count] = clip.frames
        frame_times[row, :count] = clip.times
        frame_mask[row, :count] = True
    width = max(num_tokens, int(token_mask_BL.sum(1).max(initial=0)))
    token_ids = np.full((len(clips), width), pad_token_id, np.int64)
    token_mask = np.zeros((len(clips), width), np.bool_)
    given = min(width, token_ids_BL.shape[1])
    token_mask[:, :given] = token_mask_BL[:, :given]
    token_ids[token_mask] = token_ids_BL[:, :given][token_mask_BL[:, :given]]
    log_mels = [clip.log_mel for clip in clips if clip.log_mel is not None]
    assert len(log_mels) in (0, len(clips)), "some items were decoded with sound and some without"
    sound = padded_log_mels(log_mels) if log_mels else (None, None)
    return Batch(frames, frame_mask, frame_times, token_ids, token_mask, *sound)


def padded_tokens(count: int, max_tokens: int) -> int:
    """To how many tokens a text of `count` is padded.

    >>> [padded_tokens(count, max_tokens=20) for count in (0, 8, 9, 20)]
    [8, 8, 16, 20]
    """
    return min(max_tokens, max(TOKEN_STEP, -(-count // TOKEN_STEP) * TOKEN_STEP))


@dataclass(frozen=True)
class Group:
    """Items that run as one batch.

    Attributes:
        places: which items.
        num_frames: T to pad to.
        num_tokens: L to pad to.
    """

    places: list[int]
    num_frames: int
    num_tokens: int


def groups_of_one_shape(
    frame_counts: Sequence[int], token_counts: Sequence[int], *, max_tokens: int, batch_size: int
) -> Iterator[Group]:
    """Items that share a padded shape, at most `batch_size` at a time; the same items give the same groups."""
    groups: dict[tuple[int, int], list[int]] = {}
    for place, (num_frames, num_tokens) in enumerate(zip(frame_counts, token_counts, strict=True)):
        shape = max(1, num_frames), padded_tokens(num_tokens, max_tokens)
        groups.setdefault(shape, []).append(place)
    for (num_frames, num_tokens), places in sorted(groups.items()):
        for first in range(0, len(places), batch_size):
            yield Group(places[first : first + batch_size], num_frames, num_tokens)
