"""Items as batches of tensors: the model's input contract from files, or features that were encoded before.

Decoding is in data.media, tokenising in data.text. Quarantined items never come here.

Shapes: B batch, T frames, L tokens, P policies, H height, W width, D features.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from data.errors import InputError
from data.media import Frames, MediaError, load_frames
from data.preprocessing import Preprocessing
from data.text import compose_text, tokenize


def texts_of(items: pl.DataFrame) -> list[str]:
    """The text of each item: caption, text in the picture and speech; '' where there is none."""
    return [compose_text(*row) for row in items.select("caption", "ocr_text", "asr_text").iter_rows()]


@dataclass(frozen=True)
class Sample:
    """One item, as the workers hand it over. Frames and texts are raw or encoded; the other field is None.

    Attributes:
        frames: uint8 [T, 3, H, W].
        frame_features: float32 [T, D].
        times: float32 [T], seconds since the first frame; T is 0 without media or an image encoder.
        text: '' where there is none.
        text_features: float32 [D].
        labels: float32 [P], NaN where unknown.
        p_violating: float32 [P], the share of annotators who found a violation; NaN where nobody knows.
        index: the item's row in its dataset.
        decode_seconds: that reading and decoding its media took.
    """

    frames: npt.NDArray[np.uint8] | None
    frame_features: npt.NDArray[np.float32] | None
    times: npt.NDArray[np.float32]
    text: str
    text_features: npt.NDArray[np.float32] | None
    labels: npt.NDArray[np.float32]
    p_violating: npt.NDArray[np.float32]
    index: int
    decode_seconds: float = 0.0


class ItemDataset(Dataset[Sample]):
    """Items with their labels.

    Args:
        items: N items, as `data.items.read_items` returns them, the unreadable ones removed.
        labels: float32 [N, P], NaN where unknown.
        p_violating: float32 [N, P], NaN where unknown; None for the labels themselves.
        preprocessing: of media that are decoded here.
        reads_frames: False leaves frames out altogether.
        frame_features: by item_id, each [T, D], with its times; None to decode instead.
        text_features: by item_id, each [1, D]; items without text are absent. None to tokenise instead.
        text_dim: D of the text features.
    """

    def __init__(
        self,
        items: pl.DataFrame,
        labels: npt.NDArray[np.float32],
        *,
        p_violating: npt.NDArray[np.float32] | None = None,
        preprocessing: Preprocessing,
        reads_frames: bool = True,
        frame_features: dict[str, Any] | None = None,
        text_features: dict[str, Any] | None = None,
        text_dim: int = 0,
    ) -> None:
        self.item_ids = items["item_id"].to_list()
        self.media = items["media"].to_list()
        self.media_types = items["media_type"].to_list()
        self.texts = texts_of(items)
        self.labels, self.p_violating = labels, labels if p_violating is None else p_violating
        self.preprocessing, self.reads_frames = preprocessing, reads_frames
        self.frame_features, self.text_features = frame_features, text_features
        self.text_dim = text_dim

    def __len__(self) -> int:
        return len(self.item_ids)

    def __getitem__(self, index: int) -> Sample:
        item_id = self.item_ids[index]
        frames, frame_features, times = None, None, np.zeros(0, np.float32)
        began = time.perf_counter()
        if self.frame_features is not None:
            known = self.frame_features[item_id]
            frame_features, times = known.features, known.times
        elif self.reads_frames:
            decoded = self._decoded(index)
            frames, times = decoded.frames, decoded.times
        decode_seconds = time.perf_counter() - began if frames is not None else 0.0
        text_features = None
        if self.text_features is not None:
            found = self.text_features.get(item_id)
            text_features = np.zeros(self.text_dim, np.float32) if found is None else found.features[0]
        return Sample(
            frames,
            frame_features,
            times,
            self.texts[index],
            text_features,
            self.labels[index],
            self.p_violating[index],
            index,
            decode_seconds,
        )

    def _decoded(self, index: int) -> Frames:
        try:
            return load_frames(self.media[index], self.media_types[index], self.preprocessing)
        except MediaError as error:
            raise InputError(
                f"item {self.item_ids[index]}: {error}. It could be read when the run began: restore its media, or "
                "start again to leave it out"
            ) from error


@dataclass(frozen=True)
class Batch:
    """A batch of items, padded with zeros. Frames and text are raw or encoded; the other field is None.

    Attributes:
        frames: uint8 [B, T, 3, H, W].
        frame_features: float32 [B, T, D].
        frame_mask: bool [B, T].
        frame_times: float32 [B, T].
        token_ids: int64 [B, L].
        token_mask: bool [B, L].
        text_features: float32 [B, D].
        has_text: bool [B].
        labels: float32 [B, P], NaN where unknown.
        p_violating: float32 [B, P], the share of annotators who found a violation; NaN where nobody knows.
        index: int64 [B], each item's row in its dataset.
        decode_seconds: that reading and decoding their media took, in whichever process.
    """

    frames: Tensor | None
    frame_features: Tensor | None
    frame_mask: Tensor
    frame_times: Tensor
    token_ids: Tensor | None
    token_mask: Tensor | None
    text_features: Tensor | None
    has_text: Tensor
    labels: Tensor
    p_violating: Tensor
    index: Tensor
    decode_seconds: float = 0.0

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        return self._with_tensors(lambda held: held.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from which a GPU copies while it computes; the loader calls it."""
        return self._with_tensors(Tensor.pin_memory)

    def _with_tensors(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        changed |= {name: change(held) for name, held in changed.items() if isinstance(held, Tensor)}
        return Batch(**changed)


@dataclass(frozen=True)
class Collate:
    """Joins samples into a batch; T and L are those of the longest item, and at least 1.

    Attributes:
        tokenizer: None where the model reads no raw text.
        preprocessing: for `max_tokens` and the size of frames.
    """

    tokenizer: Tokenizer | None
    preprocessing: Preprocessing

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Pad and stack."""
        num_frames = max(1, *(len(sample.times) for sample in samples))
        mask_BT = np.zeros((len(samples), num_frames), dtype=np.bool_)
        times_BT = np.zeros((len(samples), num_frames), dtype=np.float32)
        for row, sample in enumerate(samples):
            mask_BT[row, : len(sample.times)] = True
            times_BT[row, : len(sample.times)] = sample.times
        token_ids = token_mask = None
        if self.tokenizer is not None:
            texts = [sample.text for sample in samples]
            token_ids, token_mask = tokenize(self.tokenizer, texts, self.preprocessing.max_tokens)
        text_features = [sample.text_features for sample in samples if sample.text_features is not None]
        return Batch(
            frames=_padded([sample.frames for sample in samples], num_frames),
            frame_features=_padded([sample.frame_features for sample in samples], num_frames),
            frame_mask=torch.from_numpy(mask_BT),
            frame_times=torch.from_numpy(times_BT),
            token_ids=None if token_ids is None else torch.from_numpy(token_ids),
            token_mask=None if token_mask is None else torch.from_numpy(token_mask),
            text_features=torch.from_numpy(np.stack(text_features)) if text_features else None,
            has_text=torch.tensor([bool(sample.text) for sample in samples]),
            labels=torch.from_numpy(np.stack([sample.labels for sample in samples])),
            p_violating=torch.from_numpy(np.stack([sample.p_violating for sample in samples])),
            index=torch.tensor([sample.index for sample in samples]),
            decode_seconds=sum(sample.decode_seconds for sample in samples),
        )


def _padded(arrays: Sequence[npt.NDArray[Any] | None], length: int) -> Tensor | None:
    known = [array for array in arrays if array is not None]
    if not known:
        return None
    padded = np.zeros((len(arrays), length, *known[0].shape[1:]), dtype=known[0].dtype)
    for row, array in enumerate(known):
        padded[row, : len(array)] = array
    return torch.from_numpy(padded)
