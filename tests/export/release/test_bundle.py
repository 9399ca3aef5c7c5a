"""predict.py decodes as training does, whatever frames preprocess.json asks for."""

import json
import sys
import types
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from data.media import load_frames
from data.preprocessing import LogMel, Preprocessing
from export.release.bundle import bundle_predict


@pytest.fixture(scope="module")
def predict() -> types.ModuleType:
    module = types.ModuleType("bundled_predict")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(bundle_predict(), "predict.py", "exec"), module.__dict__)
    return module


@pytest.mark.parametrize(
    "settings",
    [
        Preprocessing(height=16, width=24, num_frames=3),
        Preprocessing(height=16, width=24, num_frames=3, sampling="keyframes"),
        Preprocessing(height=16, width=24, num_frames=3, sampling="dense", frame_rate=7.5, num_clips=2),
    ],
    ids=lambda settings: settings.sampling,
)
def test_it_shows_the_model_the_same_frames(predict, settings: Preprocessing, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.gop_size = 64, 48, "yuv420p", 9
        for index in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 6 * index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    ours = load_frames([str(path)], "video", settings)
    written = json.loads(json.dumps(settings.to_dict()))
    theirs = predict.load_frames([str(path)], "video", predict.Preprocessing.from_dict(written))
    assert len(ours.times) == settings.most_frames
    assert np.array_equal(ours.frames, theirs.frames)
    assert np.array_equal(ours.times, theirs.times)


def test_it_lets_the_model_hear_the_same_sound(predict, tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    tone = (8000 * np.sin(np.arange(12_000) / 7)).astype(np.int16)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width = video.height = 32
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        container.mux(video.encode())
        heard = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        heard.sample_rate = 16_000
        container.mux(audio.encode(heard))
        container.mux(audio.encode())
    settings = Preprocessing(height=16, width=16, audio_seconds=2, log_mel=LogMel("ast", 32, -4.0, 5.0))
    ours = load_frames([str(path)], "video", settings)
    written = json.loads(json.dumps(settings.to_dict()))
    theirs = predict.load_frames([str(path)], "video", predict.Preprocessing.from_dict(written))
    assert ours.log_mel is not None
    assert ours.log_mel.shape == (32, 73)
    assert np.array_equal(ours.log_mel, theirs.log_mel)
    none = np.zeros((1, 1), np.int64)
    batch = predict.collate([theirs], none, none.astype(bool), size=(16, 16), pad_token_id=0).arrays()
    assert list(batch)[-2:] == ["log_mel", "audio_mask"]
    assert batch["audio_mask"].tolist() == [[True] * 73]
