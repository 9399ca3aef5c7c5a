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
from data.preprocessing import Preprocessing
from export.bundle import bundle_predict


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
