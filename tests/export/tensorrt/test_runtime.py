"""Engines on a GPU: the scores of ONNX Runtime at every shape, the time that a batch takes; and refusals without."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bf16_model import write_bf16

from data.errors import InputError
from export.model_folder import read_model_folder
from export.precision.emulation import EmulatedBf16
from export.scoring.batch import Batch
from export.scoring.runtimes import OnnxRuntime, open_runtime
from export.tensorrt.library import Library, gpu_capability, is_installed
from export.tensorrt.runtime import TensorRtRuntime, target_here

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available() or not (is_installed("tensorrt") or is_installed("tensorrt-rtx")),
    reason="no CUDA device, or no TensorRT",
)


def batch_of(items: int, num_frames: int, num_tokens: int) -> Batch:
    """A batch for the hand-made model, some of it masked."""
    random = np.random.default_rng(items)
    return Batch(
        frames=random.integers(0, 256, (items, num_frames, 3, 8, 8), dtype=np.uint8),
        frame_mask=random.random((items, num_frames)) < 0.8,
        frame_times=random.random((items, num_frames)).astype(np.float32),
        token_ids=random.integers(0, 5, (items, num_tokens)),
        token_mask=random.random((items, num_tokens)) < 0.8,
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a CUDA device")
def test_without_a_gpu_it_says_what_else_runs(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="torch finds none here; use runtime=onnx"):
        open_runtime(model, kind="tensorrt", engines=tmp_path)
    assert list(tmp_path.glob("*.plan")) == []


def test_a_checkpoint_is_no_engine(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").touch()
    with pytest.raises(InputError, match="runtime=tensorrt needs a folder"):
        open_runtime(tmp_path / "best.ckpt", kind="tensorrt")


@pytest.mark.parametrize(
    ("name", "capability", "target"),
    [
        ("tensorrt", "9.0", "9.0"),
        ("tensorrt-rtx", "8.9", "8.0 and up"),
        ("tensorrt-rtx", "12.0", "8.0 and up"),
        ("tensorrt-rtx", "7.5", "7.5"),
    ],
)
def test_which_engine_a_gpu_takes(name: str, capability: str, target: str) -> None:
    assert target_here(Library(name, "1.0", None), capability) == target


@pytest.mark.gpu
@needs_gpu
def test_an_engine_gives_the_scores_of_onnx_runtime(model: Path, tmp_path: Path) -> None:
    reference, engine = OnnxRuntime(model), TensorRtRuntime(model, engines=tmp_path)
    assert engine.model_digest == reference.model_digest
    for items, num_frames, num_tokens in ((1, 1, 1), (2, 4, 12), (3, 2, 5), (32, 4, 12), (7, 1, 8)):
        batch = batch_of(items, num_frames, num_tokens)
        expected, found = reference.run(batch), engine.run(batch)
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-3)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-3)
        assert found.flags.shape == expected.flags.shape
    again = TensorRtRuntime(model, engines=tmp_path)
    assert np.array_equal(again.run(batch).logits, engine.run(batch).logits)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.skipif(float(gpu_capability() or 0) < 8, reason="no GPU from Ampere on: older ones have no bf16")
def test_an_engine_in_bf16_gives_the_scores_of_its_emulation(model: Path, tmp_path: Path) -> None:
    write_bf16(model)
    engine = TensorRtRuntime(model, engines=tmp_path / "engines", precision="bf16")
    emulation, fp32 = EmulatedBf16(read_model_folder(model)), OnnxRuntime(model)
    assert engine.name.endswith("-bf16")
    assert engine.model_digest != fp32.model_digest
    for items, num_frames, num_tokens in ((1, 1, 1), (7, 4, 12)):
        batch = batch_of(items, num_frames, num_tokens)
        found, expected = engine.run(batch).logits, emulation.run(batch).logits
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2**-7 * np.abs(expected).max())
        assert not np.array_equal(found, fp32.run(batch).logits)


@pytest.mark.gpu
@needs_gpu
def test_sizes_that_the_engine_does_not_take_are_named(model: Path, tmp_path: Path) -> None:
    engine = TensorRtRuntime(model, engines=tmp_path)
    with pytest.raises(InputError, match=r"does not take batch 33 \(1 to 32\).*setpoint engine batch="):
        engine.run(batch_of(33, 1, 1))
    batch = batch_of(1, 1, 1)
    longer = replace(batch, token_ids=np.zeros((1, 13), np.int64), token_mask=np.ones((1, 13), np.bool_))
    with pytest.raises(InputError, match=r"tokens 13 \(1 to 12\)"):
        engine.run(longer)


@pytest.mark.gpu
@needs_gpu
def test_a_batch_takes_milliseconds(model: Path, tmp_path: Path, record_property) -> None:
    engine, batch = TensorRtRuntime(model, engines=tmp_path), batch_of(8, 4, 12)
    for _ in range(20):
        engine.run(batch)
    seconds = []
    for _ in range(200):
        started = time.perf_counter()
        engine.run(batch)
        seconds.append(time.perf_counter() - started)
    record_property("median_ms", 1000 * float(np.median(seconds)))
    assert np.median(seconds) < 0.02  # the copies there and back, and forty tiny layers
