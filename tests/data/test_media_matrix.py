"""One picture in every kind of file: it comes back upright, and as a decoder that takes no short cut gives it."""

import os

import numpy as np
import pytest
from media_files import BLUE, GRAY, GREEN, RED, corners
from media_matrix import MediaMatrix
from PIL import Image, ImageOps

import data.clip
from data.media import Preprocessing, load_frames

SETTINGS = Preprocessing(height=12, width=20, num_frames=4)


def plainly_read(path) -> np.ndarray:
    """Decoded whole, turned and put on white by Pillow's own means; uint8 [H, W, 3]."""
    with Image.open(path) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright) // 256).astype(np.uint8))
    pixels = upright.convert("RGBA").resize((SETTINGS.width, SETTINGS.height), Image.Resampling.BILINEAR)
    return np.asarray(Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels).convert("RGB"))


def test_every_photo_is_what_pillow_alone_makes_of_it(media_matrix: MediaMatrix) -> None:
    differences = {}
    for name, path in media_matrix.photos.items():
        pixels = load_frames([str(path)], "photo", SETTINGS).frames[0].transpose(1, 2, 0)
        differences[name] = np.abs(pixels.astype(int) - plainly_read(path)).mean()
    assert len(differences) > 90
    # Large JPEG are decoded at an eighth of their size, which blurs edges a little.
    assert {
        name: far for name, far in differences.items() if far > (2.5 if name.endswith(("jpg", "mpo")) else 1)
    } == {}


def test_every_turned_photo_is_upright(media_matrix: MediaMatrix) -> None:
    turned = {name: path for name, path in media_matrix.photos.items() if name.startswith("turned_")}
    seen = {
        name: corners(load_frames([str(path)], "photo", SETTINGS).frames[0].transpose(1, 2, 0))
        for name, path in turned.items()
    }
    assert len(seen) == 40
    assert {name: found for name, found in seen.items() if found != [RED, GREEN, BLUE, GRAY]} == {}


@pytest.mark.parametrize("sampling", ["uniform", "dense"])
def test_every_clip_is_read_as_by_decoding_all_of_it(
    media_matrix: MediaMatrix, monkeypatch: pytest.MonkeyPatch, sampling
) -> None:
    """Neither seeking nor leaving out frames that nothing shows changes a pixel."""
    settings = Preprocessing(height=12, width=20, num_frames=4, sampling=sampling)
    quick = {name: load_frames([str(path)], "video", settings) for name, path in media_matrix.clips.items()}
    monkeypatch.setattr(data.clip, "SEEK_FROM_SECONDS_PER_PLACE", 1e9)
    monkeypatch.setattr(data.clip, "without_unseen", lambda packets, stream, targets: packets)
    wrong = []
    for name, path in media_matrix.clips.items():
        found, whole = quick[name], load_frames([str(path)], "video", settings)
        if not (np.array_equal(found.frames, whole.frames) and np.array_equal(found.times, whole.times)):
            wrong.append(f"{name}: {found.times} where decoding all gives {whole.times}")
        if any(corners(frame.transpose(1, 2, 0)) != [RED, GREEN, BLUE, GRAY] for frame in found.frames):
            wrong.append(f"{name}: not upright")
    assert len(quick) > 40
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no such call on this system")
def test_writing_clips_leaves_no_real_time_thread_behind(media_matrix: MediaMatrix) -> None:
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
