"""Photos and clips written here with Pillow and PyAV, and what must come back of them."""

import ast
import io
import random
import struct
import sys
import warnings
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

import data.clip
from data.media import Frames, MediaError, Preprocessing, load_frames

CLIP_PARTS = ("clip_packets", "clip_frames", "clip_pixels")
SMALL = Preprocessing(height=16, width=24, num_frames=4)
RED, GREEN, BLUE, GRAY = (200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128)


def photo(path: Path, image: Image.Image, **options) -> str:
    image.save(path, **options)
    return str(path)


def load_photo(path: str | Path, settings: Preprocessing = SMALL) -> np.ndarray:
    """uint8 [H, W, 3]."""
    loaded = load_frames([str(path)], "photo", settings)
    assert loaded.frames.shape == (1, 3, settings.height, settings.width)
    assert loaded.times.tolist() == [0.0]
    return loaded.frames[0].transpose(1, 2, 0)


def quadrants(width: int = 64, height: int = 48) -> Image.Image:
    """Red and green above, blue and grey below."""
    image = Image.new("RGB", (width, height), GRAY)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def corners(pixels: np.ndarray) -> list[tuple[int, int, int]]:
    """The nearest of the four colours at top left, top right, bottom left, bottom right."""
    height, width, _ = pixels.shape
    places = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    colors = (RED, GREEN, BLUE, GRAY)
    return [min(colors, key=lambda color: np.abs(pixels[at].astype(int) - color).sum()) for at in places]


def clip(
    path: Path,
    levels: list[int],
    *,
    stamps: list[int] | None = None,
    rate: int = 10,
    codec: str = "mpeg4",
    pixel_format: str = "yuv420p",
    matrix: list[int] | None = None,
    images: list[Image.Image] | None = None,
    gop: int = 12,
) -> str:
    """A clip of grey frames of these levels at `stamps` / `rate` seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        stream.codec_context.gop_size = gop
        if matrix is not None:
            stream.set_display_matrix(matrix)
        for index, level in enumerate(levels):
            image = images[index] if images else Image.new("RGB", (64, 48), (level, level, level))
            frame = av.VideoFrame.from_image(image)
            frame.pts = stamps[index] if stamps else index
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def load_levels(path: str, settings: Preprocessing = SMALL) -> tuple[list[int], list[float]]:
    loaded = load_frames([path], "video", settings)
    assert loaded.frames.dtype == np.uint8
    assert loaded.times.dtype == np.float32
    levels = loaded.frames.reshape(len(loaded.frames), -1).mean(axis=1)
    return [round(float(level)) for level in levels], [round(float(time), 3) for time in loaded.times]


def png_header_only(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


@pytest.mark.parametrize(
    ("mode", "name", "level", "expected"),
    [
        ("RGB", "photo.png", (10, 200, 90), (10, 200, 90)),
        ("RGBA", "clear.png", (10, 200, 90, 0), (255, 255, 255)),
        ("RGBA", "half.png", (0, 0, 0, 128), (127, 127, 127)),
        ("RGBA", "clear.webp", (10, 200, 90, 0), (255, 255, 255)),
        ("L", "gray.png", 77, (77, 77, 77)),
        ("1", "bits.png", 1, (255, 255, 255)),
        ("LA", "gray_clear.png", (77, 0), (255, 255, 255)),
        ("I;16", "sixteen.png", 77 * 257, (77, 77, 77)),
        ("CMYK", "print.jpg", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", "print_black.jpg", (0, 0, 0, 255), (0, 0, 0)),
        ("CMYK", "print.tiff", (255, 0, 0, 0), (0, 255, 255)),
        ("L", "gray.jpg", 77, (77, 77, 77)),
        ("RGB", "photo.webp", (120, 120, 120), (120, 120, 120)),
        ("RGB", "photo.bmp", (1, 2, 3), (1, 2, 3)),
    ],
)
def test_every_mode_of_photo_becomes_rgb(tmp_path, mode, name, level, expected):
    pixels = load_photo(photo(tmp_path / name, Image.new(mode, (40, 30), level)))
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_transparent_palette_is_white(tmp_path):
    image = Image.new("P", (40, 30), 1)
    image.putpalette([0, 0, 0, 10, 200, 90])
    opaque = load_photo(photo(tmp_path / "a.png", image))
    clear = load_photo(photo(tmp_path / "b.png", image, transparency=1))
    assert opaque[0, 0].tolist() == [10, 200, 90]
    assert clear[0, 0].tolist() == [255, 255, 255]


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (40, 30), color) for color in (RED, GREEN)]
    path = photo(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert corners(load_photo(path)) == [RED] * 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.png"])
def test_exif_orientation_is_undone(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = photo(tmp_path / name, quadrants(), exif=exif)
    with Image.open(path) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert corners(load_photo(path)) == corners(np.asarray(expected))


def test_orientation_beyond_eight_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 77
    assert corners(load_photo(photo(tmp_path / "a.jpg", quadrants(), exif=exif))) == [RED, GREEN, BLUE, GRAY]


def test_resize_is_pillows_antialiased_stretch(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 50, 3), dtype=np.uint8))
    pixels = load_photo(photo(tmp_path / "a.png", noise))
    assert np.array_equal(pixels, np.asarray(noise.resize((24, 16), Image.Resampling.BILINEAR)))


def test_large_jpeg_in_draft_mode_looks_like_the_whole_one(tmp_path):
    waves = np.sin(np.arange(2000) / 40.0)[None, :, None] * np.cos(np.arange(1500) / 50.0)[:, None, None]
    image = Image.fromarray((127 + 120 * waves * np.ones((1, 1, 3))).astype(np.uint8))
    settings = Preprocessing(height=64, width=64)
    path = photo(tmp_path / "a.jpg", image, quality=95)
    with Image.open(path) as whole:
        expected = np.asarray(whole.resize((64, 64), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(load_photo(path, settings).astype(int) - expected).mean() < 1.0


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (11_000, 11_000), (10_000, 9_500)])
def test_size_is_checked_on_the_header_and_pillow_says_nothing(tmp_path, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header_only(width, height))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(MediaError) as refused:
            load_photo(path)
    if width * height > SMALL.max_pixels:
        assert "pixels" in str(refused.value)


def test_truncated_photo_is_refused(tmp_path):
    for name in ("a.jpg", "a.png", "a.webp"):
        path = Path(photo(tmp_path / name, quadrants(640, 480)))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(MediaError, match="not a"):
            load_photo(path)


@pytest.mark.parametrize("media_type", ["photo", "video"])
def test_what_is_no_media_is_refused_with_a_reason(tmp_path, media_type):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("this is no clip\n" * 50)
    (tmp_path / "folder.mp4").mkdir()
    reasons = {}
    for name in ("empty.mp4", "text.mp4", "folder.mp4", "absent.mp4", "nul\0.mp4"):
        with pytest.raises(MediaError) as refused:
            load_frames([str(tmp_path / name)], media_type, SMALL)
        reasons[name] = str(refused.value)
        assert str(tmp_path) not in reasons[name]
    assert reasons["empty.mp4"] == "the file is empty"
    assert reasons["folder.mp4"] == "not a file"
    assert reasons["absent.mp4"] == "no such file"


def test_max_bytes(tmp_path):
    path = photo(tmp_path / "a.png", quadrants())
    with pytest.raises(MediaError, match="over the limit of 50"):
        load_photo(path, Preprocessing(max_bytes=50))


def test_a_clip_is_no_photo_and_a_photo_no_clip(tmp_path):
    with pytest.raises(MediaError, match="known format"):
        load_frames([clip(tmp_path / "a.mp4", [50] * 5)], "photo", SMALL)
    with pytest.raises(MediaError, match="not a readable clip"):
        load_frames([photo(tmp_path / "a.jpg", quadrants())], "video", SMALL)


def test_carousel_is_thinned_evenly(tmp_path):
    paths = [photo(tmp_path / f"{index}.png", Image.new("L", (9, 9), index * 10)) for index in range(10)]
    loaded = load_frames(paths, "photo", SMALL)
    assert loaded.frames[:, 0, 0, 0].tolist() == [10, 30, 60, 80]
    assert loaded.times.tolist() == [0.0] * 4
    assert load_frames(paths[:3], "photo", SMALL).frames[:, 0, 0, 0].tolist() == [0, 10, 20]


def test_one_unreadable_photo_of_a_carousel_is_named(tmp_path):
    paths = [photo(tmp_path / "a.png", quadrants()), str(tmp_path / "gone.png")]
    with pytest.raises(MediaError, match=r"^photo 2 of 2 \(gone.png\): no such file$"):
        load_frames(paths, "photo", SMALL)


def test_item_without_media_has_no_frames():
    loaded = load_frames([], "photo", SMALL)
    assert isinstance(loaded, Frames)
    assert loaded.frames.shape == (0, 3, 16, 24)
    assert loaded.times.shape == (0,)


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


def test_video_items_have_one_file_and_types_are_two(tmp_path):
    with pytest.raises(MediaError, match="2 files, expected one clip"):
        load_frames(["a.mp4", "b.mp4"], "video", SMALL)
    with pytest.raises(MediaError, match="expected photo or video"):
        load_frames(["a.mp4"], "audio", SMALL)


def test_urls_are_opened_through_fsspec(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    buffer = io.BytesIO()
    quadrants().save(buffer, "PNG")
    with fsspec.open("memory://setpoint/a.png", "wb") as file:
        file.write(buffer.getvalue())
    with fsspec.open("memory://setpoint/a.mp4", "wb") as file:
        file.write(Path(clip(tmp_path / "a.mp4", [90] * 9)).read_bytes())
    assert corners(load_photo("memory://setpoint/a.png")) == [RED, GREEN, BLUE, GRAY]
    assert len(load_frames(["memory://setpoint/a.mp4"], "video", SMALL).frames) == 4
    with pytest.raises(MediaError, match="no such file"):
        load_photo("memory://setpoint/absent.png")
    with pytest.raises(MediaError, match="cannot be opened"):
        load_photo("nosuchprotocol://absent.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "p.png", "a.mp4", "b.mp4", "a.webm"])
def test_flipped_bytes_raise_media_errors_and_nothing_else(tmp_path, name):
    path = tmp_path / name
    media_type = "video" if path.suffix in (".mp4", ".webm") else "photo"
    if media_type == "video":
        codec = {"a.mp4": "libx264", "b.mp4": "mpeg4", "a.webm": "libvpx"}[name]
        clip(path, [20 * index for index in range(10)], codec=codec)
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        photo(path, quadrants().convert("P" if name[0] == "p" else "RGB"), exif=exif)
    whole = path.read_bytes()
    random_bytes = random.Random(name)
    reasons = []
    for _ in range(150 if media_type == "video" else 300):
        broken = bytearray(whole)
        for _ in range(random_bytes.choice([1, 1, 3, 20])):
            broken[random_bytes.randrange(len(broken))] = random_bytes.randrange(256)
        if random_bytes.random() < 0.2:
            del broken[random_bytes.randrange(len(broken)) :]
        path.write_bytes(broken)
        try:
            loaded = load_frames([str(path)], media_type, SMALL)
        except MediaError as error:
            reasons.append(str(error))
        else:
            assert 1 <= len(loaded.frames) <= 4
            assert np.isfinite(loaded.times).all()
            assert (loaded.times >= 0).all()
    assert reasons
    assert all(0 < len(reason) < 200 and str(tmp_path) not in reason for reason in reasons)


def test_settings_survive_json_and_foreign_ones_are_refused():
    settings = Preprocessing(height=32, num_frames=3)
    assert Preprocessing.from_dict({**settings.to_dict(), "note": "kept elsewhere"}) == settings
    with pytest.raises(ValueError, match="filter = 'bicubic'"):
        Preprocessing.from_dict({**settings.to_dict(), "filter": "bicubic"})
    with pytest.raises(ValueError, match="width is missing"):
        Preprocessing.from_dict({"height": 32})
    with pytest.raises(ValueError, match="num_frames = 0"):
        Preprocessing(num_frames=0)
    with pytest.raises(ValueError, match="height = True"):
        Preprocessing(height=True)


@pytest.mark.parametrize("name", ["preprocessing", "photo", "clip", *CLIP_PARTS, "sound", "media", "text"])
def test_what_predict_carries_stands_on_serving_packages_alone(name):
    tree = ast.parse(Path(data.clip.__file__).with_name(f"{name}.py").read_text())
    allowed = set(sys.stdlib_module_names) | {"numpy", "PIL", "av", "tokenizers", "data", "fsspec"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert str(node.module).split(".")[0] in allowed
            if str(node.module).startswith("data."):
                carried = ("preprocessing", "photo", "clip", *CLIP_PARTS, "sound")
                assert node.module in {f"data.{name}" for name in carried}
