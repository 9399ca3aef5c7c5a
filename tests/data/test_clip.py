"""Clips of every kind, long, turned, cut off: what comes back of them."""

import gc
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import BLUE, GRAY, GREEN, RED, SMALL, clip, corners, load_levels, quadrants
from PIL import Image

import data.clip
from data.media import MediaError, load_frames


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mpeg4"), ("a.mkv", "mpeg4"), ("a.avi", "mpeg4"), ("a.webm", "libvpx-vp9")]
)
def test_clip_is_sampled_in_the_middle_of_equal_parts(tmp_path, name, codec):
    path = clip(tmp_path / name, [6 * index for index in range(40)], codec=codec)
    levels, times = load_levels(path)
    assert times == [0.5, 1.5, 2.5, 3.5]
    assert levels == pytest.approx([30, 90, 150, 210], abs=3)


def test_h264_with_reordered_frames(tmp_path):
    path = clip(tmp_path / "a.mp4", [6 * index for index in range(40)], codec="libx264")
    levels, times = load_levels(path)
    assert times == [0.5, 1.5, 2.5, 3.5]
    assert levels == pytest.approx([30, 90, 150, 210], abs=3)


def test_variable_frame_rate_is_sampled_by_time(tmp_path):
    # Nine frames in the first 0.9 s, then frames at 1, 2, 3 … 7 s: equal steps by index would crowd at the start.
    stamps = [*range(9), *range(10, 80, 10)]
    path = clip(tmp_path / "a.mkv", [10 * index for index in range(16)], stamps=stamps, codec="libx264")
    levels, times = load_levels(path)
    assert times[0] in (0.8, 1.0)
    assert times[1:] == [3.0, 5.0, 7.0] or times[1:] == [2.0, 4.0, 6.0]
    assert levels == sorted(set(levels))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_short_clip_gives_each_frame_once(tmp_path, count):
    levels, times = load_levels(clip(tmp_path / "a.mp4", [40 * (index + 1) for index in range(count)]))
    assert levels == pytest.approx([40 * (index + 1) for index in range(count)], abs=3)
    assert times == [index / 10 for index in range(count)]


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_seeking_finds_the_frames_that_reading_on_finds(tmp_path, monkeypatch, codec, name):
    path = clip(tmp_path / name, [(7 * index) % 251 for index in range(200)], codec=codec, gop=30)
    assert data.clip.SEEK_FROM_SECONDS_PER_PLACE * 4 < 200 / 10
    sought = []
    original = data.clip.seek_runs
    monkeypatch.setattr(data.clip, "seek_runs", lambda *given: sought.append(1) or original(*given))
    by_seeking = load_frames([path], "video", SMALL)
    assert sought
    monkeypatch.setattr(data.clip, "SEEK_FROM_SECONDS_PER_PLACE", 1e9)
    reading_on = load_frames([path], "video", SMALL)
    assert np.array_equal(by_seeking.times, reading_on.times)
    assert np.array_equal(by_seeking.frames, reading_on.frames)


ONE = 1 << 16
LAST = 1 << 30


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([ONE, 0, 0, 0, ONE, 0, 0, 0, LAST], [RED, GREEN, BLUE, GRAY]),
        ([0, ONE, 0, -ONE, 0, 0, 0, 0, LAST], [BLUE, RED, GRAY, GREEN]),  # a phone held upright: clockwise
        ([-ONE, 0, 0, 0, -ONE, 0, 0, 0, LAST], [GRAY, BLUE, GREEN, RED]),
        ([0, -ONE, 0, ONE, 0, 0, 0, 0, LAST], [GREEN, GRAY, RED, BLUE]),
        ([-ONE, 0, 0, 0, ONE, 0, 0, 0, LAST], [GREEN, RED, GRAY, BLUE]),  # mirrored left to right
        ([ONE, 0, 0, 0, -ONE, 0, 0, 0, LAST], [BLUE, GRAY, RED, GREEN]),  # upside down mirrored
        ([0, ONE, 0, ONE, 0, 0, 0, 0, LAST], [RED, BLUE, GREEN, GRAY]),  # x and y swapped
    ],
)
def test_display_matrix_is_honoured(tmp_path, matrix, expected):
    path = clip(tmp_path / "a.mp4", [0] * 3, images=[quadrants()] * 3, matrix=matrix)
    with av.open(path) as container:
        sides = next(container.decode(video=0)).side_data
        assert len(sides) == 1 or matrix[0] == ONE == matrix[4]
    pixels = load_frames([path], "video", SMALL).frames[0].transpose(1, 2, 0)
    assert corners(pixels) == expected


def test_truncated_clip_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8)
    images = [Image.fromarray(frame) for frame in noise]
    path = Path(clip(tmp_path / "a.mp4", [0] * 60, images=images))
    whole = path.read_bytes()
    head, tail = whole.index(b"mdat") - 4, whole.index(b"moov") - 4
    assert head < tail, "moov is behind: move it to the front so that only frames are cut off"
    shifted = bytearray(whole[tail:])
    at = shifted.index(b"stco") + 12
    (offset,) = struct.unpack_from(">I", shifted, at)
    struct.pack_into(">I", shifted, at, offset + len(shifted))
    faststart = whole[:head] + bytes(shifted) + whole[head:tail]
    path.write_bytes(faststart)
    assert len(load_levels(str(path))[0]) == 4
    path.write_bytes(faststart[: len(faststart) // 2])
    with pytest.raises(MediaError):
        load_levels(str(path))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError):
        load_levels(str(path))


def test_audio_alone_is_no_clip(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.planes[0].update(bytes(4096))
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"^no video stream$"):
        load_frames([str(path)], "video", SMALL)


def test_playlists_are_not_followed(tmp_path):
    real = clip(tmp_path / "real.ts", [50] * 60, codec="mpeg2video", rate=25)
    playlists = {
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{real}\n#EXT-X-ENDLIST\n",
        "concat.mp4": f"ffconcat version 1.0\nfile {Path(real).name}\n",
    }
    for name, text in playlists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(MediaError):
            load_frames([str(tmp_path / name)], "video", SMALL)
    assert len(load_frames([real], "video", SMALL).frames) == 4


def test_no_frame_waits_for_the_garbage_collector(tmp_path):
    path = clip(tmp_path / "a.mp4", [6 * index for index in range(40)], codec="libx264")
    gc.collect()
    gc.disable()
    try:
        load_frames([path], "video", SMALL)
        assert not [each for each in gc.get_objects() if isinstance(each, av.VideoFrame)]
    finally:
        gc.enable()
