"""Numeric parity: the exported model against the trained network, on real items, at shapes that exports get wrong.

Whether decisions agree is another question, asked on the golden set when a release is made.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from data.errors import InputError
from data.media import Frames, MediaError, load_frames
from data.policy import Strict
from data.sound import SAMPLE_RATE, log_mel_of
from data.text import compose_text, tokenize
from export.scoring.batch import Batch, collate
from export.scoring.runtimes import Outputs, Runtime

# B batch, P policies, L tokens

BATCH_SIZES = (1, 2, 3, 7)


class ShapeParity(Strict):
    """Parity at one shape of the inputs."""

    batch: int
    frames: int
    tokens: int
    max_logit_difference: float
    max_probability_difference: float
    min_cosine: float


class Parity(Strict):
    """The content of reports/parity.json.

    Attributes:
        items: real items that the inputs were made of.
        tolerance: largest logit difference that was allowed; None where it was measured only.
        min_cosine: of the logits of one item; -1 to 1.
        emulated: how, where the exported model could not run as it is; None where it ran.
    """

    format: Literal["setpoint/parity/v1"] = Field(alias="schema")
    reference: str
    exported: str
    items: int
    tolerance: float | None
    max_logit_difference: float
    max_probability_difference: float
    min_cosine: float
    emulated: str | None = None
    shapes: list[ShapeParity]


class Exported(Protocol):
    """What is held against a reference: a runtime, or the emulation of one."""

    name: str

    def run(self, batch: Batch) -> Outputs:
        """Score one batch."""
        ...


@dataclass(frozen=True)
class Samples:
    """Real items, decoded.

    Attributes:
        clips: frames of each item.
        texts: text of each item, '' where it has none.
    """

    clips: list[Frames]
    texts: list[str]


def read_samples(runtime: Runtime, items: pl.DataFrame, count: int) -> Samples:
    """Decode up to `count` items, spread evenly over the table and, where there are both, over photos and clips.

    Raises:
        InputError: none of the items chosen can be read.
    """
    kinds = items.partition_by("media_type", maintain_order=True)
    chosen = pl.concat([_spread(kind, -(-count // len(kinds))) for kind in kinds])
    clips, texts, reasons = [], [], []
    columns = ["item_id", "media", "media_type", "caption", "ocr_text", "asr_text"]
    for item_id, media, media_type, *text in chosen.select(columns).iter_rows():
        try:
            clips.append(load_frames(media, media_type, runtime.preprocessing))
            texts.append(compose_text(*text))
        except MediaError as error:
            reasons.append(f"item {item_id!r}: {error}")
    if not clips:
        raise InputError("no item of the parity sample can be read: " + "; ".join(reasons[:3]))
    return Samples(clips, texts)


def batches_of_items(runtime: Runtime, samples: Samples) -> Iterator[Batch]:
    """The samples as they are, a few at a time."""
    size = max(BATCH_SIZES)
    for first in range(0, len(samples.clips), size):
        rows = range(first, min(first + size, len(samples.clips)))
        yield _batch(runtime, [samples.clips[row] for row in rows], [samples.texts[row] for row in rows])


def num_batches_of_items(samples: Samples) -> int:
    """How many `batches_of_items` gives."""
    return -(-len(samples.clips) // max(BATCH_SIZES))


def batches_of_many_shapes(runtime: Runtime, samples: Samples) -> Iterator[Batch]:
    """The samples as they are, then recombined: batches of 1, 2, 3 and 7, few and many frames, short and long
    texts and sounds, and rows without visual, without text, without sound and without any.
    """
    settings = runtime.preprocessing
    yield from batches_of_items(runtime, samples)
    sounds = _sounds(runtime, samples)
    everything = " ".join(text for text in samples.texts if text) or "no item has a text"
    frame_counts = sorted({1, min(2, settings.num_frames), settings.num_frames})
    for batch_size in BATCH_SIZES:
        for num_frames in frame_counts:
            clips = [_clip_of(samples, row, num_frames) for row in range(batch_size)]
            # A text longer than any item's in the first row, short ones in the others.
            texts = [everything, *(samples.texts[row % len(samples.texts)] for row in range(1, batch_size))]
            if num_frames > 1:
                texts[0] = everything[:12]
            if batch_size > 2:
                clips[1], texts[2] = _no_frames(settings.height, settings.width), ""
            if batch_size > 3:
                clips[3], texts[3] = clips[1], ""
            if sounds:
                # Whole in some rows, cut in others, none in every third; the only row of a batch has some.
                clips = [
                    replace(clip, log_mel=_cut(sounds[row % len(sounds)], batch_size + row))
                    for row, clip in enumerate(clips)
                ]
            yield _batch(runtime, clips, texts)


def measure_parity(
    reference: Runtime, exported: Exported, batches: Iterable[Batch], *, items: int, tolerance: float | None
) -> Parity:
    """Run both on all batches.

    Raises:
        InputError: some logit differs by more than `tolerance` (None: by any number), or is no finite number.
    """
    shapes = [_compare(reference.run(batch), _run(exported, batch), batch) for batch in batches]
    worst = max(shapes, key=lambda shape: shape.max_logit_difference)
    parity = Parity(
        schema="setpoint/parity/v1",
        reference=reference.name,
        exported=exported.name,
        items=items,
        tolerance=tolerance,
        max_logit_difference=worst.max_logit_difference,
        max_probability_difference=max(shape.max_probability_difference for shape in shapes),
        min_cosine=min(shape.min_cosine for shape in shapes),
        shapes=shapes,
    )
    if tolerance is None and worst.max_logit_difference == np.finfo(np.float64).max:
        raise InputError(f"{exported.name} gives logits that are no finite numbers; nothing was written")
    if tolerance is not None and worst.max_logit_difference > tolerance:
        raise InputError(
            f"the exported model differs from the checkpoint by {worst.max_logit_difference:.3g} in a logit "
            f"(batch {worst.batch}, {worst.frames} frames, {worst.tokens} tokens; cosine {worst.min_cosine:.4f}), "
            f"tolerance={tolerance:g}; nothing was written. The exporter does not render an encoder faithfully: "
            "try another opset, or another encoder"
        )
    return parity


def _run(exported: Exported, batch: Batch) -> Outputs:
    try:
        return exported.run(batch)
    except Exception as error:  # ONNX Runtime raises a class of its own for each status
        shape = f"batch {batch.frames.shape[0]}, {batch.frames.shape[1]} frames, {batch.token_ids.shape[1]} tokens"
        raise InputError(f"the exported model fails at {shape}, where the checkpoint does not: {error}") from error


def _compare(reference: Outputs, exported: Outputs, batch: Batch) -> ShapeParity:
    difference_BP = np.abs(reference.logits.astype(np.float64) - exported.logits)
    # A logit that is no number on either side counts as a difference that no tolerance allows.
    largest = float(np.where(np.isfinite(difference_BP), difference_BP, np.finfo(np.float64).max).max())
    probabilities_BP = np.abs(reference.probabilities.astype(np.float64) - exported.probabilities)
    return ShapeParity(
        batch=batch.frames.shape[0],
        frames=batch.frames.shape[1],
        tokens=batch.token_ids.shape[1],
        max_logit_difference=largest,
        max_probability_difference=float(np.nan_to_num(probabilities_BP, nan=1.0).max()),
        min_cosine=float(_cosines(reference.logits, exported.logits).min()),
    )


def _cosines(left_BP: NDArray[np.float32], right_BP: NDArray[np.float32]) -> NDArray[np.float64]:
    left, right = left_BP.astype(np.float64), right_BP.astype(np.float64)
    same = (left == right).all(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (left * right).sum(1) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))
    return np.where(same, 1.0, np.nan_to_num(cosines, nan=-1.0).clip(-1, 1))


def _batch(runtime: Runtime, clips: list[Frames], texts: list[str]) -> Batch:
    settings = runtime.preprocessing
    token_ids, token_mask = tokenize(runtime.tokenizer, texts, settings.max_tokens)
    size = (settings.height, settings.width)
    return collate(clips, token_ids, token_mask, size=size, pad_token_id=runtime.pad_token_id)


def _clip_of(samples: Samples, first: int, num_frames: int) -> Frames:
    """`num_frames` real frames, of as many items as that takes, half a second apart."""
    count = len(samples.clips)
    frames: list[NDArray[np.uint8]] = []
    row = first
    while len(frames) < num_frames:
        frames += list(samples.clips[row % count].frames)[: num_frames - len(frames)]
        row += 1
    times = (np.arange(num_frames) / 2).astype(np.float32)
    return Frames(np.stack(frames), times)


def _sounds(runtime: Runtime, samples: Samples) -> list[NDArray[np.float32]]:
    """Spectrograms of the samples; of noise where none of them has sound, and none where the model reads none."""
    settings = runtime.preprocessing
    if settings.log_mel is None:
        return []
    heard = [clip.log_mel for clip in samples.clips if clip.log_mel is not None and clip.log_mel.shape[1]]
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, settings.audio_seconds * SAMPLE_RATE).astype(np.float32)
    return heard or [log_mel_of(noise, settings.log_mel, settings.audio_seconds)]


def _cut(log_mel: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    length = log_mel.shape[1]
    return log_mel[:, : [length, max(1, length // 3), 0][(number - 1) % 3]]


def _no_frames(height: int, width: int) -> Frames:
    return Frames(np.zeros((0, 3, height, width), np.uint8), np.zeros(0, np.float32))


def _spread(items: pl.DataFrame, count: int) -> pl.DataFrame:
    count = min(count, len(items))
    return items.gather([place * len(items) // count for place in range(count)])
