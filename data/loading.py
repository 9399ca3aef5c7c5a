"""Items as batches of tensors: the model's input contract from files, or features that were encoded before.

Decoding is in data.media, tokenising in data.text. Quarantined items never come here.

Shapes: B batch, T frames, L tokens, M mels, K places of a spectrogram, P policies, H height, W width, D features.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from data.augment import Augment, Draw, load_augmented
from data.errors import InputError
from data.media import Frames, MediaError, load_frames, load_log_mel
from data.preprocessing import Preprocessing
from data.shards.opening import register
from data.sound import padded_log_mels
from data.text import compose_text, tokenize

register()  # worker processes that are spawned, not forked, open names into shards too


Read = TypeVar("Read")


def texts_of(items: pl.DataFrame) -> list[str]:
    """The text of each item: caption, text in the picture and speech; '' where there is none."""
    return [compose_text(*row) for row in items.select("caption", "ocr_text", "asr_text").iter_rows()]


@dataclass(frozen=True)
class Sample:
    """One item, as the workers hand it over; what nobody reads, or was encoded before, is None.

    Attributes:
        frames: uint8 [T, 3, H, W].
        frame_features: float32 [T, D].
        times: float32 [T], seconds since the first frame; T is 0 without media or an encoder that reads them.
        text: '' where there is none.
        log_mel: float32 [M, K]; K is 0 without sound.
        vectors: float32 [D] by name of the encoder, of those that ran before; zeros where the item has none.
        present: by name, whether the item has what these and the encoders still to run read.
        labels: float32 [P], NaN where unknown.
        p_violating: float32 [P], the share of annotators who found a violation; NaN where nobody knows.
        index: the item's row in its dataset.
        decode_seconds: that reading and decoding its media took.
    """

    frames: npt.NDArray[np.uint8] | None
    frame_features: npt.NDArray[np.float32] | None
    times: npt.NDArray[np.float32]
    text: str
    log_mel: npt.NDArray[np.float32] | None
    vectors: dict[str, npt.NDArray[np.float32]]
    present: dict[str, bool]
    labels: npt.NDArray[np.float32]
    p_violating: npt.NDArray[np.float32]
    index: int
    decode_seconds: float = 0.0


class MediaBrokeError(InputError):
    """Media that were readable when a run began and are not any more: another item in their place would be a lie."""

    def __init__(self, problem: str) -> None:
        # From a worker process an exception comes as the text of its traceback, which ends with the message.
        super().__init__(problem.rpartition(f"{type(self).__name__}: ")[2].strip())


class ItemDataset(Dataset[Sample]):
    """Items with their labels, by index or as they are drawn in training.

    Args:
        items: N items, as `data.items.read_items` returns them, the unreadable ones removed.
        labels: float32 [N, P], NaN where unknown.
        p_violating: float32 [N, P], NaN where unknown; None for the labels themselves.
        preprocessing: of media that are decoded here.
        reads_frames: whether an encoder still wants pixels.
        reads_sound: whether one still wants spectrograms.
        load: reads an item's frames, in training alone; None as in serving.
        frame_features: by item_id, each [T, D], with its times; None where the image encoder still runs, or is none.
        vectors: by name of an encoder that ran before, its features by item_id, each [1, D]; items without what it
            reads are absent, or have no row.
        dims: D by the same names.
        augment: what changes frames that are decoded for a Draw; None for nothing.
    """

    def __init__(
        self,
        items: pl.DataFrame,
        labels: npt.NDArray[np.float32],
        *,
        p_violating: npt.NDArray[np.float32] | None = None,
        preprocessing: Preprocessing,
        reads_frames: bool = True,
        reads_sound: bool = False,
        load: Callable[[list[str], str, Preprocessing], Frames] | None = None,
        frame_features: Mapping[str, Any] | None = None,
        vectors: Mapping[str, Mapping[str, Any]] | None = None,
        dims: Mapping[str, int] | None = None,
        augment: Augment | None = None,
    ) -> None:
        self.item_ids = items["item_id"].to_list()
        self.media = items["media"].to_list()
        self.media_types = items["media_type"].to_list()
        self.texts = texts_of(items)
        self.labels, self.p_violating = labels, labels if p_violating is None else p_violating
        self.preprocessing = preprocessing if reads_sound else replace(preprocessing, log_mel=None)
        self.reads_frames, self.reads_sound, self.load = reads_frames, reads_sound, load
        self.frame_features, self.vectors, self.dims = frame_features, vectors or {}, dims or {}
        self.augment = augment

    def __len__(self) -> int:
        return len(self.item_ids)

    def __getitem__(self, key: Draw | int) -> Sample:
        index = key.index if isinstance(key, Draw) else key
        item_id = self.item_ids[index]
        frames, frame_features, times, log_mel = None, None, np.zeros(0, np.float32), None
        began = time.perf_counter()
        if self.reads_frames:
            decoded = self._decoded(self._load_of(key), index)
            frames, times, log_mel = decoded.frames, decoded.times, decoded.log_mel
        elif self.reads_sound:
            log_mel = self._decoded(load_log_mel, index)
        decode_seconds = time.perf_counter() - began if self.reads_frames or self.reads_sound else 0.0
        if self.frame_features is not None:
            known = self.frame_features[item_id]
            frame_features, times = known.features, known.times
        vectors = {name: self._vector(name, item_id) for name in self.vectors}
        present = {"clip": len(times) > 1 and bool((times[1:] > times[:-1]).any()), "text": bool(self.texts[index])}
        if log_mel is not None:
            present["audio"] = log_mel.shape[1] > 0
        present |= {name: vector is not None for name, vector in vectors.items()}
        filled = {
            name: np.zeros(self.dims[name], np.float32) if vector is None else vector
            for name, vector in vectors.items()
        }
        return Sample(
            frames,
            frame_features,
            times,
            self.texts[index],
            log_mel,
            filled,
            present,
            self.labels[index],
            self.p_violating[index],
            index,
            decode_seconds,
        )

    def _load_of(self, key: Draw | int) -> Callable[[list[str], str, Preprocessing], Frames]:
        if self.augment is None or not isinstance(key, Draw):
            return self.load or load_frames
        return partial(load_augmented, augmentation=self.augment.of(key), load=self.load or load_frames)

    def _decoded(self, load: Callable[[list[str], str, Preprocessing], Read], index: int) -> Read:
        try:
            return load(self.media[index], self.media_types[index], self.preprocessing)
        except MediaError as error:
            raise MediaBrokeError(
                f"item {self.item_ids[index]!r}, {', '.join(self.media[index])}: {error}. It could be read when the "
                "run began: restore it and give the command again, which goes on from the last checkpoint; or start "
                "without it, with overwrite=true"
            ) from error

    def _vector(self, name: str, item_id: str) -> npt.NDArray[np.float32] | None:
        found = self.vectors[name].get(item_id)
        return None if found is None or not len(found.features) else found.features[0]


@dataclass(frozen=True)
class Batch:
    """A batch of items, padded with zeros; what nobody reads, or was encoded before, is None.

    Attributes:
        frames: uint8 [B, T, 3, H, W].
        frame_features: float32 [B, T, D].
        frame_mask: bool [B, T].
        frame_times: float32 [B, T].
        token_ids: int64 [B, L].
        token_mask: bool [B, L].
        log_mel: float32 [B, M, K].
        audio_mask: bool [B, K].
        vectors: float32 [B, D] by name of the encoder, of those that ran before.
        present: bool [B] by name, as of `Sample`.
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
    log_mel: Tensor | None
    audio_mask: Tensor | None
    vectors: dict[str, Tensor]
    present: dict[str, Tensor]
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
        def changed(held: Any) -> Any:
            if isinstance(held, dict):
                return {name: changed(one) for name, one in held.items()}
            return change(held) if isinstance(held, Tensor) else held

        return Batch(**{field.name: changed(getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True)
class Collate:
    """Joins samples into a batch; T, L and K are those of the longest item, and at least 1.

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
        log_mel = audio_mask = None
        log_mels = [sample.log_mel for sample in samples if sample.log_mel is not None]
        if log_mels:
            log_mel, audio_mask = padded_log_mels(log_mels)
        return Batch(
            frames=_padded([sample.frames for sample in samples], num_frames),
            frame_features=_padded([sample.frame_features for sample in samples], num_frames),
            frame_mask=torch.from_numpy(mask_BT),
            frame_times=torch.from_numpy(times_BT),
            token_ids=None if token_ids is None else torch.from_numpy(token_ids),
            token_mask=None if token_mask is None else torch.from_numpy(token_mask),
            log_mel=None if log_mel is None else torch.from_numpy(log_mel),
            audio_mask=None if audio_mask is None else torch.from_numpy(audio_mask),
            vectors={
                name: torch.from_numpy(np.stack([sample.vectors[name] for sample in samples]))
                for name in samples[0].vectors
            },
            present={name: torch.tensor([sample.present[name] for sample in samples]) for name in samples[0].present},
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
