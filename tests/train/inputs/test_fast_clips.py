"""torchcodec beside PyAV, on generated clips. FFmpeg's libraries come with the system, so this may have to skip."""

import shutil
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import polars as pl
import pytest
import torch

import train.inputs.fast_clips
import train.run
from data.errors import InputError
from data.items import read_items, write_items
from data.media import MediaError, Preprocessing, load_frames
from train.inputs.fast_clips import check_clip_decoder, load_frames_by
from train.job.checkpoint import KEY, read_checkpoint
from train.settings import ImageSettings, ModelSettings

SMALL = Preprocessing(height=48, width=64, num_frames=4)
VARIABLE = [*range(30), *range(40, 240, 5)]  # ticks: thirty frames in 1.2 s, then five a second
TURNED = [0, 1 << 16, 0, 1 << 16, 0, 0, 0, 0, 1 << 30]  # x and y swapped, which torchcodec leaves as they lie


def model(tune: str) -> ModelSettings:
    return ModelSettings(image=ImageSettings(source="any", tune=tune), text=None)  # type: ignore[arg-type]


@pytest.fixture
def torchcodec() -> None:
    try:
        check_clip_decoder("torchcodec", model("full"), SMALL)
    except InputError as error:
        pytest.skip(str(error))


def write_clip(
    path: Path, codec: str, *, num_frames: int = 0, stamps: list[int] | None = None, matrix: list[int] | None = None
) -> str:
    """Waves that wander, at 25 ticks a second."""
    stamps = stamps or list(range(num_frames))
    rows, columns = np.mgrid[:96, :128]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 25)
        if matrix:
            stream.set_display_matrix(matrix)
        for stamp in stamps:
            waves = [np.sin((columns + 5 * stamp) / 30), np.cos((rows + 3 * stamp) / 20), np.sin(rows / 9 + stamp)]
            frame = av.VideoFrame.from_ndarray((127 + 100 * np.stack(waves, -1)).astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def compare(path: str, decoder: str, device: str) -> None:
    """The same frames; pixels, whose colour is upsampled otherwise, within 2 levels on average and 16 at most."""
    by_pyav = load_frames([path], "video", SMALL)
    load = load_frames_by(decoder, device=torch.device(device))  # type: ignore[arg-type]
    assert load is not None
    found = load([path], "video", SMALL)
    assert found.frames.shape == by_pyav.frames.shape
    assert found.frames.dtype == np.uint8
    np.testing.assert_allclose(found.times, by_pyav.times, atol=1e-6)
    apart = np.abs(found.frames.astype(int) - by_pyav.frames)
    assert apart.mean() < 2
    assert apart.max() <= 16


@pytest.mark.usefixtures("torchcodec")
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("short.mp4", "libx264", {"num_frames": 3}),
        ("read_on.mp4", "mpeg4", {"num_frames": 50}),
        ("sought.mp4", "libx264", {"num_frames": 500}),
        ("variable.mkv", "libx264", {"stamps": VARIABLE}),
        ("turned.mp4", "libx264", {"num_frames": 20, "matrix": TURNED}),
    ],
)
def test_torchcodec_shows_the_frames_that_pyav_shows(tmp_path: Path, name: str, codec: str, options: dict) -> None:
    compare(write_clip(tmp_path / name, codec, **options), "torchcodec", "cpu")


@pytest.mark.gpu
@pytest.mark.usefixtures("torchcodec")
def test_nvdec_shows_the_frames_that_pyav_shows(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device with NVDEC")
    compare(write_clip(tmp_path / "a.mp4", "libx264", num_frames=200), "nvdec", "cuda")


@pytest.mark.usefixtures("torchcodec")
def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no clip" * 99)
    load = load_frames_by("torchcodec", device=torch.device("cpu"))
    assert load is not None
    with pytest.raises(MediaError, match="not a readable clip"):
        load([str(tmp_path / "a.mp4")], "video", SMALL)


def test_a_decoder_that_nothing_would_use_is_refused() -> None:
    with pytest.raises(InputError, match="no encoder of frames is tuned"):
        check_clip_decoder("torchcodec", model("frozen"), SMALL)
    dense = Preprocessing(sampling="dense")
    with pytest.raises(InputError, match=r"expected preprocessing.sampling = uniform, not dense"):
        check_clip_decoder("torchcodec", model("full"), dense)
    check_clip_decoder("pyav", model("frozen"), dense)


def test_without_torchcodec_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(InputError, match=r"setpoint\[torchcodec\].*apt-get install ffmpeg"):
        check_clip_decoder("torchcodec", model("full"), SMALL)


@pytest.mark.usefixtures("torchcodec")
@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a CUDA device")
def test_without_a_gpu_there_is_no_nvdec() -> None:
    with pytest.raises(InputError, match="no CUDA device"):
        check_clip_decoder("nvdec", model("full"), SMALL)


@pytest.mark.usefixtures("torchcodec")
def test_training_posts_are_decoded_by_it_and_validation_is_not(
    arguments: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments(tune="full", clip_decoder="torchcodec", trainer={"max_epochs": 1})
    given["split"] = shutil.copytree(given["split"], tmp_path / "split")
    for part in ("train", "validation"):
        clip = write_clip(given["split"] / part / f"{part}.mp4", "libx264", num_frames=20)
        path = given["split"] / part / "items.parquet"
        first = pl.int_range(pl.len()) < 2
        items = read_items(path).with_columns(
            media=pl.when(first).then(pl.lit([clip])).otherwise("media"),
            media_type=pl.when(first).then(pl.lit("video")).otherwise("media_type"),
        )
        write_items(items, path)
    decoded: list[str] = []
    original = train.inputs.fast_clips._decoded
    monkeypatch.setattr(
        train.inputs.fast_clips, "_decoded", lambda path, *others: decoded.append(path) or original(path, *others)
    )
    assert train.run.train(**given).ok
    assert {Path(path).name for path in decoded} == {"train.mp4"}
    assert len(decoded) == 2
    kept = read_checkpoint(given["out"] / "checkpoints" / "best.ckpt")[KEY]
    assert kept["preprocessing"]["clip_decoder"] == "pyav"
    assert kept["config"]["clip_decoder"] == "torchcodec"
