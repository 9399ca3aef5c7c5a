"""Small pictures for people: upright, in proportion, without metadata, the same bytes each time; or a reason."""

import io
from pathlib import Path

import numpy as np
import pytest
from media_files import clip, corners, photo, quadrants
from PIL import Image

from data import thumbnails
from data.preprocessing import MediaError
from data.thumbnails import GAP, SIDE, SIDE_BY_SIDE, thumbnail

QUARTER_TURN = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "WEBP"
    return image


def test_a_photo_keeps_its_proportions_and_loses_its_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010E] = "taken at home"
    path = photo(tmp_path / "a.jpg", quadrants(640, 320), exif=exif)
    data = thumbnail([path], "photo")
    image = opened(data)
    assert image.size == (SIDE // 2, SIDE)
    turned = quadrants(640, 320).transpose(Image.Transpose.ROTATE_270)
    assert corners(np.asarray(image.convert("RGB"))) == corners(np.asarray(turned))
    assert b"taken at home" not in data
    assert not image.getexif()
    assert thumbnail([path], "photo") == data


def test_several_photos_stand_side_by_side(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{place}.png", quadrants(80, 80)) for place in range(6)]
    assert opened(thumbnail(paths, "photo")).size == (4 * SIDE_BY_SIDE + 3 * GAP, SIDE_BY_SIDE)


@pytest.mark.parametrize("gop", [1, 5, 100])
def test_a_clip_becomes_a_row_of_frames(tmp_path: Path, gop: int) -> None:
    """Also where it has one key frame alone, as short clips do."""
    path = clip(tmp_path / "a.mp4", [20] * 5 + [90] * 5 + [160] * 5 + [230] * 5, gop=gop)
    sheet = np.asarray(opened(thumbnail([path], "video")).convert("L"), np.int64)
    assert sheet.shape == (60, 4 * SIDE_BY_SIDE + 3 * GAP)
    levels = [sheet[30, 40 + place * (SIDE_BY_SIDE + GAP)] for place in range(4)]
    assert np.abs(np.array(levels) - [20, 90, 160, 230]).max() < 12


def test_a_clip_on_its_side_is_shown_upright(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", [90] * 4, matrix=QUARTER_TURN)
    assert opened(thumbnail([path], "video")).height == SIDE_BY_SIDE


@pytest.mark.parametrize(
    ("media", "kind", "reason"),
    [
        (["absent.jpg"], "photo", "no such file"),
        (["broken.jpg"], "photo", "not a photo"),
        (["broken.jpg"], "video", "not a readable clip"),
        (["empty.jpg"], "photo", "empty"),
        (["https://example.test/a.jpg"], "photo", "at an address"),
        (["s3://bucket/a.mp4"], "video", "at an address"),
        (["."], "photo", "not a file"),
        (["a\0b.jpg"], "photo", "."),
        (["x" * 5000], "photo", "."),
        ([], "photo", "names no file"),
        (["broken.jpg"], "song", "neither"),
    ],
)
def test_what_cannot_be_shown_has_a_reason(tmp_path: Path, monkeypatch, media, kind: str, reason: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    Path("empty.jpg").touch()
    with pytest.raises(MediaError, match=reason):
        thumbnail(media, kind)


def test_what_is_too_large_is_not_decoded(tmp_path: Path, monkeypatch) -> None:
    path = photo(tmp_path / "a.png", quadrants(400, 300))
    limits = thumbnails.replace(thumbnails.LIMITS, max_pixels=1000)
    monkeypatch.setattr(thumbnails, "LIMITS", limits)
    with pytest.raises(MediaError, match="over the limit of 1,000"):
        thumbnail([path], "photo")
