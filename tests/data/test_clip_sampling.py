"""Which frames of a clip each sampling gives, and what it decodes for them."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import data.clip
import data.clip_packets
from data.media import Frames, MediaError, load_frames
from data.preprocessing import SAMPLINGS, Preprocessing

UNIFORM = Preprocessing(height=16, width=24, num_frames=4)
KEYFRAMES = Preprocessing(height=16, width=24, num_frames=4, sampling="keyframes")
DENSE = Preprocessing(height=16, width=24, num_frames=4, sampling="dense", frame_rate=5.0)


def clip(path: Path, num_frames: int, *, codec: str = "libx264", gop: int = 12, rate: int = 10) -> str:
    """A clip whose frame k is grey of level k % 250: B-frames and all that the encoder does by default."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = gop
        if codec == "libx264":
            stream.options = {"sc_threshold": "0", "qp": "4"}
        for index in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index % 250, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def times(loaded: Frames) -> list[float]:
    return [round(float(time), 3) for time in loaded.times]


def levels(loaded: Frames) -> list[int]:
    return [round(float(frame.mean())) for frame in loaded.frames]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """40 seconds at 10 frames a second, a key frame every 3 seconds."""
    return clip(tmp_path_factory.mktemp("long") / "a.mp4", 400, gop=30)


def test_key_frames_are_those_before_the_middles(long_clip: str) -> None:
    loaded = load_frames([long_clip], "video", KEYFRAMES)
    assert times(loaded) == [3.0, 15.0, 24.0, 33.0]  # middles at 5, 15, 25 and 35
    assert levels(loaded) == pytest.approx([30, 150, 240, 80], abs=3)


@pytest.mark.parametrize(
    ("codec", "name"),
    [*itertools.product(["libx264", "mpeg4"], ["a.mp4", "a.mkv", "a.ts", "a.avi"]), ("libvpx", "a.mkv")],
)
def test_key_frames_are_the_same_sought_and_read(tmp_path: Path, monkeypatch, codec: str, name: str) -> None:
    path = clip(tmp_path / name, 100, codec=codec, gop=13)
    sought = load_frames([path], "video", KEYFRAMES)
    monkeypatch.setattr(data.clip, "seek_key_frames", lambda *given: iter(()))
    read = load_frames([path], "video", KEYFRAMES)
    assert np.array_equal(sought.frames, read.frames)
    assert sought.times == pytest.approx(read.times, abs=0.11)  # without an index the header may start earlier
    assert len(read.times) == 4


def test_a_key_frame_comes_once_and_is_decoded_once(tmp_path: Path, monkeypatch) -> None:
    path = clip(tmp_path / "a.mp4", 100, gop=60)
    decoded = []
    original = data.clip.upright_frame
    monkeypatch.setattr(data.clip, "upright_frame", lambda *given: decoded.append(1) or original(*given))
    loaded = load_frames([path], "video", KEYFRAMES)
    assert times(loaded) == [0.0, 6.0]
    assert len(decoded) == 2


@pytest.mark.parametrize("sampling", ["uniform", "keyframes", "dense"])
def test_a_clip_that_ends_before_its_header_says_is_refused(long_clip: str, tmp_path: Path, sampling: str) -> None:
    whole = tmp_path / "whole.mp4"
    with av.open(long_clip) as source, av.open(str(whole), "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    settings = Preprocessing(height=16, width=24, num_frames=4, sampling=sampling)
    assert len(load_frames([str(whole)], "video", settings).frames) == 4
    (tmp_path / "half.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    if sampling == "dense":  # from the middle on nothing is there
        settings = Preprocessing(height=16, width=24, num_frames=16, sampling=sampling, frame_rate=2.0)
    with pytest.raises(MediaError, match="truncated clip"):
        load_frames([str(tmp_path / "half.mp4")], "video", settings)


def test_dense_frames_follow_each_other_at_their_rate(long_clip: str) -> None:
    loaded = load_frames([long_clip], "video", DENSE)
    assert np.diff(loaded.times) == pytest.approx([0.2] * 3, abs=1e-4)
    assert 19.5 < loaded.times[0] < loaded.times[-1] < 20.5


@pytest.mark.parametrize(("place", "first"), [(0.0, 0.1), (0.5, 19.7), (1.0, 39.3)])
def test_dense_frames_start_where_they_are_told_to(long_clip: str, place: float, first: float) -> None:
    loaded = load_frames([long_clip], "video", DENSE, place=place)
    assert loaded.times[0] == pytest.approx(first, abs=0.11)
    assert len(loaded.times) == 4


def test_a_clip_of_fewer_frames_a_second_gives_its_own(long_clip: str) -> None:
    settings = Preprocessing(height=16, width=24, num_frames=5, sampling="dense", frame_rate=60.0)
    assert np.diff(load_frames([long_clip], "video", settings).times) == pytest.approx([0.1] * 4, abs=1e-4)


def test_several_dense_clips_are_spread_over_time(long_clip: str) -> None:
    settings = Preprocessing(height=16, width=24, num_frames=4, sampling="dense", frame_rate=5.0, num_clips=5)
    loaded = load_frames([long_clip], "video", settings)
    assert loaded.frames.shape[0] == settings.most_frames == 20
    assert loaded.times.reshape(5, 4).mean(1) == pytest.approx([4, 12, 20, 28, 36], abs=0.15)
    assert (np.diff(loaded.times) > 0).all()


def test_clips_that_would_overlap_become_fewer(tmp_path: Path) -> None:
    settings = Preprocessing(height=16, width=24, num_frames=4, sampling="dense", frame_rate=5.0, num_clips=5)
    loaded = load_frames([clip(tmp_path / "a.mp4", 20)], "video", settings)  # 2 s: room for two of 0.8 s
    assert len(loaded.times) == 8
    assert len(set(times(loaded))) == 8
    shortest = load_frames([clip(tmp_path / "b.mp4", 3)], "video", settings)
    assert times(shortest) == [0.1]  # of 0.3 s: the next would be at 0.3


@pytest.mark.parametrize("settings", [DENSE, UNIFORM], ids=["dense", "uniform"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_seeking_finds_what_reading_on_finds(tmp_path: Path, monkeypatch, settings: Preprocessing, name: str) -> None:
    path = clip(tmp_path / name, 200, gop=30)
    by_seeking = load_frames([path], "video", settings)
    monkeypatch.setattr(data.clip, "SEEK_FROM_SECONDS_PER_PLACE", 1e9)
    reading_on = load_frames([path], "video", settings)
    assert np.array_equal(by_seeking.times, reading_on.times)
    assert np.array_equal(by_seeking.frames, reading_on.frames)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_that_nobody_sees_are_not_decoded_and_change_no_pixel(tmp_path: Path, monkeypatch, codec: str) -> None:
    path = clip(tmp_path / "a.mp4", 100, codec=codec, gop=50)
    counts = []
    original = data.clip.decoded_frames
    monkeypatch.setattr(
        data.clip, "decoded_frames", lambda *given: (counts.append(1) or found for found in original(*given))
    )
    fast = load_frames([path], "video", UNIFORM)
    num_fast = len(counts)
    counts.clear()
    monkeypatch.setattr(data.clip, "without_unseen", lambda packets, stream, targets: packets)
    slow = load_frames([path], "video", UNIFORM)
    assert np.array_equal(fast.frames, slow.frames)
    assert np.array_equal(fast.times, slow.times)
    assert num_fast < 0.8 * len(counts) or codec == "mpeg4"  # which has no frames to leave out


@pytest.mark.parametrize("settings", [UNIFORM, KEYFRAMES, DENSE], ids=lambda settings: settings.sampling)
def test_a_clip_too_large_to_hold_is_read_twice(tmp_path: Path, monkeypatch, settings: Preprocessing) -> None:
    path = clip(tmp_path / "a.mp4", 30)
    monkeypatch.setattr(data.clip, "seek_key_frames", lambda *given: iter(()))
    held = load_frames([path], "video", settings)
    monkeypatch.setattr(data.clip_packets, "MAX_HELD_BYTES", 0)
    read_twice = load_frames([path], "video", settings)
    assert np.array_equal(held.frames, read_twice.frames)
    assert np.array_equal(held.times, read_twice.times)


def test_photos_know_no_sampling(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (40, 30), (9, 99, 9)).save(tmp_path / "a.png")
    loaded = [load_frames([str(tmp_path / "a.png")], "photo", one) for one in (UNIFORM, KEYFRAMES, DENSE)]
    assert all(np.array_equal(one.frames, loaded[0].frames) for one in loaded)


def test_settings_written_before_there_was_a_choice_are_uniform() -> None:
    old = Preprocessing().to_dict()
    assert old["sampling"] == "uniform: the frame on screen at the middle of each of num_frames equal parts"
    assert set(old) & {"frame_rate", "num_clips"} == set()
    assert Preprocessing.from_dict(old) == Preprocessing()
    assert (
        Preprocessing.from_dict({name: held for name, held in old.items() if name != "sampling"}) == Preprocessing()
    )


@pytest.mark.parametrize("settings", [UNIFORM, KEYFRAMES, DENSE], ids=lambda settings: settings.sampling)
def test_sampling_survives_json(settings: Preprocessing) -> None:
    written = settings.to_dict()
    assert written["sampling"] == SAMPLINGS[settings.sampling]
    assert Preprocessing.from_dict(written) == settings


def test_sampling_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="sampling = 'random': this version knows"):
        Preprocessing.from_dict({**Preprocessing().to_dict(), "sampling": "random"})
    with pytest.raises(ValueError, match="expected uniform, keyframes, dense"):
        Preprocessing(sampling="random")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="frame_rate is missing"):
        Preprocessing.from_dict({**Preprocessing().to_dict(), "sampling": SAMPLINGS["dense"]})
    with pytest.raises(ValueError, match="frame_rate = 0"):
        Preprocessing(frame_rate=0)
    with pytest.raises(ValueError, match="several clips need sampling = dense"):
        Preprocessing(num_clips=2)
