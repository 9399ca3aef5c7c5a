"""Photos of every mode, turned, large, broken: what comes back of them."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from media_files import BLUE, GRAY, GREEN, RED, SMALL, clip, corners, load_photo, photo, png_header_only, quadrants
from PIL import Image, ImageOps

from data.media import Frames, MediaError, Preprocessing, load_frames


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
