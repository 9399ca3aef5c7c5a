"""What photos and clips share: addresses, hostile bytes, settings, and what they stand on."""

import ast
import io
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from media_files import (
    BLUE,
    GRAY,
    GREEN,
    RED,
    SMALL,
    clip,
    corners,
    load_photo,
    photo,
    quadrants,
)
from PIL import Image

import data.clip
from data.media import MediaError, Preprocessing, load_frames

CLIP_PARTS = ("clip_packets", "clip_frames", "clip_pixels")


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
