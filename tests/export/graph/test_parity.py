"""Parity: which shapes are tried, what is measured, and which differences end an export."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import InputError
from data.items import read_items
from export.graph.parity import Samples, batches_of_many_shapes, measure_parity, read_samples
from export.scoring.batch import Batch
from export.scoring.runtimes import OnnxRuntime, Outputs


class Altered:
    """The hand-made model with something done to its outputs, or to some of its inputs."""

    def __init__(self, inner: OnnxRuntime, change) -> None:
        self.inner, self.change = inner, change

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    def run(self, batch: Batch) -> Outputs:
        return self.change(self.inner.run(batch), batch)


@pytest.fixture
def runtime(hand_made_model: Path) -> OnnxRuntime:
    return OnnxRuntime(hand_made_model)


@pytest.fixture
def samples(runtime: OnnxRuntime, posts: Path) -> Samples:
    return read_samples(runtime, read_items(posts), 10)


def measure(runtime, samples, change, tolerance: float = 1e-3):
    batches = list(batches_of_many_shapes(runtime, samples))
    return measure_parity(runtime, Altered(runtime, change), batches, items=len(samples.clips), tolerance=tolerance)


def test_the_shapes_cover_what_exports_get_wrong(runtime, samples) -> None:
    batches = list(batches_of_many_shapes(runtime, samples))
    shapes = {batch.frames.shape[:2] for batch in batches}
    assert {(size, count) for size in (1, 2, 3, 7) for count in (1, 2, 4)} <= shapes
    lengths = {batch.token_ids.shape[1] for batch in batches}
    assert len(lengths) > 2
    assert max(lengths) == runtime.preprocessing.max_tokens
    kinds = {
        (bool(frames.any()), bool(tokens.any()))
        for batch in batches
        for frames, tokens in zip(batch.frame_mask, batch.token_mask, strict=True)
    }
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}
    assert all(not batch.frames[~batch.frame_mask].any() for batch in batches)


def test_a_faithful_export_has_no_difference(runtime, samples) -> None:
    parity = measure(runtime, samples, lambda outputs, batch: outputs)
    assert parity.max_logit_difference == parity.max_probability_difference == 0
    assert parity.min_cosine == 1
    assert parity.items == 10
    assert parity.exported == runtime.name


def test_differences_are_measured(runtime, samples) -> None:
    def shifted(outputs: Outputs, batch: Batch) -> Outputs:
        return replace(outputs, logits=outputs.logits + np.float32(0.25), probabilities=outputs.probabilities - 0.125)

    parity = measure(runtime, samples, shifted, tolerance=0.3)
    assert parity.max_logit_difference == pytest.approx(0.25, abs=1e-5)
    assert parity.max_probability_difference == pytest.approx(0.125, abs=1e-6)
    assert -1 <= parity.min_cosine < 1
    with pytest.raises(InputError, match=r"differs from the checkpoint by 0\.25 in a logit.*tolerance=0\.2"):
        measure(runtime, samples, shifted, tolerance=0.2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_number_is_a_difference(runtime, samples, value: float) -> None:
    with pytest.raises(InputError, match="differs from the checkpoint"):
        measure(runtime, samples, lambda outputs, batch: replace(outputs, logits=np.full_like(outputs.logits, value)))


def test_one_wrong_row_of_one_shape_is_found(runtime, samples) -> None:
    def wrong_without_visual(outputs: Outputs, batch: Batch) -> Outputs:
        without = ~batch.frame_mask.any(1)
        return replace(outputs, logits=np.where(without[:, None], outputs.logits + 1, outputs.logits))

    with pytest.raises(InputError, match=r"batch [37]"):
        measure(runtime, samples, wrong_without_visual)


def test_a_batch_size_that_fails_is_named(runtime, samples) -> None:
    def fails(outputs: Outputs, batch: Batch) -> Outputs:
        if len(batch.frames) == 2:
            raise RuntimeError("Reshape: 3 is not 2")
        return outputs

    with pytest.raises(InputError, match=r"fails at batch 2, .* frames.*Reshape"):
        measure(runtime, samples, fails)


def test_samples_are_taken_from_photos_and_clips(runtime, posts, moderation_mini) -> None:
    clips = sorted((moderation_mini / "media" / "videos").glob("*.mp4"))[:2]
    rows = [{"item_id": f"v{i}", "media": [str(clip)], "media_type": "video"} for i, clip in enumerate(clips)]
    items = pl.concat([read_items(posts), pl.DataFrame(rows)], how="diagonal")
    samples = read_samples(runtime, items, 4)
    assert sorted(len(clip.times) for clip in samples.clips)[-2:] == [4, 4]
    assert len(samples.clips) == 4


def test_samples_that_cannot_be_read(runtime, posts) -> None:
    (posts.parent / "0-0.png").write_bytes(b"")
    assert len(read_samples(runtime, read_items(posts), 4).clips) == 3
    for photo in posts.parent.glob("*.png"):
        photo.unlink()
    with pytest.raises(InputError, match=r"no item of the parity sample can be read: item 'p00'"):
        read_samples(runtime, read_items(posts), 4)
