from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms.v2 import functional

from data.augment import MIDDLE, Augment, Augmentation, AugmentSettings, Draw, load_augmented, recoloured
from data.media import MediaError, load_frames
from data.preprocessing import Preprocessing

SMALL = Preprocessing(height=24, width=30, num_frames=4)
DENSE = replace(SMALL, sampling="dense", frame_rate=10.0)
UNCHANGED = Augmentation(1, 1, 0, 0, flip=False, brightness=1, contrast=1, saturation=1, place=MIDDLE)
ALL = AugmentSettings(
    crop_area=0.5,
    crop_stretch=1.5,
    horizontal_flip=True,
    brightness=0.2,
    contrast=0.3,
    saturation=0.4,
    dense_place="random",
)


def augment(settings: AugmentSettings = ALL, seed: int = 0, may_flip: bool = True) -> Augment:
    return Augment(settings, np.array([may_flip, may_flip]), seed)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """240 x 192 pixels: red rises to the right, green downwards."""
    pixels = np.full((192, 240, 3), 100, np.uint8)
    pixels[..., 0] = np.arange(240)
    pixels[..., 1] = np.arange(192)[:, None]
    path = tmp_path_factory.mktemp("photo") / "a.png"
    Image.fromarray(pixels).save(path)
    return str(path)


def write(path: Path, frames: list[np.ndarray], **options: str) -> None:
    """A clip of ten frames a second, of which every tenth is a key frame."""
    with av.open(path, "w", options=options) as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1", "g": "10", "preset": "ultrafast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two seconds of the same noise."""
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    write(path, [noise] * 20)
    return str(path)


@given(
    area=st.floats(0.08, 1),
    stretch=st.floats(1, 2),
    number=st.integers(0, 2**40),
    height=st.integers(16, 400),
    width=st.integers(16, 400),
)
@settings(max_examples=300, deadline=None)
def test_crops_keep_their_limits(area: float, stretch: float, number: int, height: int, width: int) -> None:
    drawn = augment(AugmentSettings(crop_area=area, crop_stretch=stretch)).of(Draw(0, 3, number))
    assert 0 < drawn.height <= 1 + 1e-12
    assert 0 < drawn.width <= 1 + 1e-12
    assert area - 1e-12 <= drawn.height * drawn.width <= 1 + 1e-12
    assert 1 / stretch - 1e-12 <= drawn.width / drawn.height <= stretch + 1e-12
    assert 0 <= drawn.top <= 1
    assert 0 <= drawn.left <= 1


def test_draws_cover_their_limits_evenly() -> None:
    drawn = [augment().of(Draw(0, 0, number)) for number in range(2000)]
    areas = np.array([one.height * one.width for one in drawn])
    assert np.quantile(areas, [0.01, 0.5, 0.99]) == pytest.approx([0.505, 0.75, 0.995], abs=0.02)
    for name, strength in (("brightness", 0.2), ("contrast", 0.3), ("saturation", 0.4)):
        factors = np.array([getattr(one, name) for one in drawn])
        assert 1 - strength <= factors.min() < 1 - 0.95 * strength
        assert 1 + 0.95 * strength < factors.max() <= 1 + strength
    assert 900 < sum(one.flip for one in drawn) < 1100
    assert np.mean([one.place for one in drawn]) == pytest.approx(0.5, abs=0.03)
    ratios = np.array([one.width / one.height for one in drawn])
    assert np.median(ratios) == pytest.approx(1, abs=0.02)
    assert ratios.max() > 1.4


def test_an_augmentation_hangs_on_seed_epoch_and_draw_alone() -> None:
    first = augment().of(Draw(0, 2, 7))
    assert first == augment().of(Draw(1, 2, 7))
    others = [augment().of(Draw(0, 2, 8)), augment().of(Draw(0, 3, 7)), augment(seed=1).of(Draw(0, 2, 7))]
    assert len({first, *others}) == 4
    # What is off takes no random number from what is on.
    cropped = augment(AugmentSettings(crop_area=0.5, crop_stretch=1.5)).of(Draw(0, 2, 7))
    assert cropped == replace(UNCHANGED, **{k: getattr(first, k) for k in ("height", "width", "top", "left")})
    assert not any(augment(may_flip=False).of(Draw(0, 0, number)).flip for number in range(50))


def test_nothing_changes_where_all_is_off(photo: str, clip: str) -> None:
    off = augment(AugmentSettings(), may_flip=False).of(Draw(0, 0, 5))
    for media, media_type in ((photo, "photo"), (clip, "video")):
        plain = load_frames([media], media_type, SMALL)
        loaded = load_augmented([media], media_type, SMALL, augmentation=off)
        assert loaded.frames.tobytes() == plain.frames.tobytes()
        assert loaded.times.tobytes() == plain.times.tobytes()


def test_a_crop_shows_its_part_at_the_size_of_the_model(photo: str) -> None:
    crop = replace(UNCHANGED, height=0.5, width=0.75, top=1.0, left=0.5)
    frame = load_augmented([photo], "photo", SMALL, augmentation=crop).frames[0]
    assert frame.shape == (3, 24, 30)
    assert frame.dtype == np.uint8
    # The lower half, and three quarters in the middle: red from 30 to 210, green from 96 to 192.
    assert frame[0, 0, [0, -1]] == pytest.approx([30 + 3, 210 - 3], abs=2)
    assert frame[1, [0, -1], 0] == pytest.approx([96 + 2, 192 - 2], abs=2)
    mirrored = load_augmented([photo], "photo", SMALL, augmentation=replace(crop, flip=True)).frames[0]
    assert np.array_equal(mirrored, frame[..., ::-1])
    assert mirrored.flags.c_contiguous


@pytest.mark.parametrize("preprocessing", [SMALL, DENSE])
def test_all_frames_of_a_clip_share_their_augmentation(clip: str, preprocessing: Preprocessing) -> None:
    changed = 0
    plain = load_frames([clip], "video", preprocessing)
    for number in range(4):
        loaded = load_augmented([clip], "video", preprocessing, augmentation=augment().of(Draw(0, 0, number)))
        assert loaded.frames.shape == plain.frames.shape
        assert loaded.frames.dtype == np.uint8
        # The clip stands still.
        assert np.abs(loaded.frames.astype(int) - loaded.frames[:1]).max() < 12
        changed += np.abs(loaded.frames.astype(int) - plain.frames).max() > 60
    assert changed == 4


def test_an_item_without_media_has_no_frames() -> None:
    loaded = load_augmented([], "photo", SMALL, augmentation=augment().of(Draw(0, 0, 0)))
    assert loaded.frames.shape == (0, 3, 24, 30)


@pytest.mark.parametrize(
    ("brightness", "contrast", "saturation"), [(1.3, 1, 1), (1, 0.6, 1), (1, 1, 1.5), (1, 1, 0.2), (0.7, 1.4, 1.4)]
)
def test_colours_change_as_those_of_torchvision(brightness: float, contrast: float, saturation: float) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 12)).astype(np.uint8)
    before = frames.copy()
    ours = recoloured(frames, replace(UNCHANGED, brightness=brightness, contrast=contrast, saturation=saturation))
    theirs = torch.from_numpy(frames) / 255
    theirs = functional.adjust_brightness(theirs, brightness)
    theirs = functional.adjust_contrast(theirs, contrast)
    theirs = functional.adjust_saturation(theirs, saturation) * 255
    assert ours.dtype == np.uint8
    assert np.array_equal(frames, before)
    assert np.abs(ours - theirs.numpy()).max() <= 0.52  # rounded; their weights of green and blue have four digits


def test_dense_frames_lie_elsewhere_and_in_the_middle_where_that_cannot_be_read(clip: str, tmp_path: Path) -> None:
    late = replace(UNCHANGED, place=0.9)
    wanted = load_augmented([clip], "video", DENSE, augmentation=late).times
    assert wanted[0] > load_frames([clip], "video", DENSE).times[0]

    pixels = np.random.default_rng(0).integers(0, 255, (80, 32, 32, 3), np.uint8)
    write(tmp_path / "whole.mp4", list(pixels), movflags="faststart")
    whole = (tmp_path / "whole.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: int(0.7 * len(whole))])
    with pytest.raises(MediaError, match="truncated"):
        load_frames([str(path)], "video", DENSE, place=0.9)
    middle = load_frames([str(path)], "video", DENSE)
    loaded = load_augmented([str(path)], "video", DENSE, augmentation=late)
    assert np.array_equal(loaded.times, middle.times)
    assert np.array_equal(loaded.frames, middle.frames)
    with pytest.raises(MediaError, match="no such file"):
        load_augmented([f"{path}.gone"], "video", DENSE, augmentation=late)


def test_wrong_settings_are_named() -> None:
    for name, value in (("crop_area", 0.01), ("crop_stretch", 3), ("horizontal_flip", "often"), ("contrast", 1)):
        with pytest.raises(ValidationError, match=name):
            AugmentSettings.model_validate({name: value})
    with pytest.raises(ValidationError, match="rotation"):
        AugmentSettings.model_validate({"rotation": 10})
    assert AugmentSettings.model_validate({"horizontal_flip": "auto"}).horizontal_flip == "auto"
