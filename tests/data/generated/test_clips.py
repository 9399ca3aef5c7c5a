"""Clips are measured, not trusted: brightness of the decoded frames over time."""

import av
import numpy as np
import pytest

from data.generated.clips import write_clip
from data.generated.plan import Alteration, Medium

FLASHES_PER_SECOND = 3.0


def brightness(path):
    """Mean grey level of each frame, and the clip's length in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert float(stream.average_rate) == 20.0
        assert not container.streams.audio
        levels = [frame.to_ndarray(format="gray").mean() for frame in container.decode(video=0)]
    return np.array(levels), len(levels) / 20.0


def flashes_per_second(path):
    """Changes of sign of the brightness around its middle, two to a flash, where it swings by over 4 grey levels."""
    levels, seconds = brightness(path)
    middle = (levels.max() + levels.min()) / 2
    if np.ptp(levels) < 4:
        return 0.0
    signs = np.sign(levels - middle)
    return np.count_nonzero(np.diff(signs[signs != 0])) / 2 / seconds


def film(tmp_path, motion, seed, **other):
    medium = Medium("clip.mp4", f"{motion} {seed}", motion=motion, **other)
    write_clip(medium, tmp_path)
    return tmp_path / medium.name


@pytest.mark.parametrize("motion", ["flash", "flash_in_part"])
@pytest.mark.parametrize("hard_motion", [False, True])
def test_violating_clips_flash_more_than_three_times_a_second(tmp_path, motion, hard_motion):
    for seed in range(6):
        path = film(tmp_path, motion, seed, hard_motion=hard_motion)
        assert flashes_per_second(path) > FLASHES_PER_SECOND, seed


@pytest.mark.parametrize("motion", ["slow_flash", "cuts", "spot", "calm"])
def test_look_alikes_flash_more_slowly(tmp_path, motion):
    for seed in range(6):
        assert flashes_per_second(film(tmp_path, motion, seed)) < FLASHES_PER_SECOND, seed


def test_a_small_lamp_blinks_fast_but_moves_the_brightness_of_the_frame_little(tmp_path):
    for seed in range(4):
        levels, _ = brightness(film(tmp_path, "lamp", seed))
        assert np.ptp(levels) < 8


def test_clips_last_about_a_second_and_are_small(tmp_path):
    path = film(tmp_path, "calm", 0, text="phone", thing="other")
    _, seconds = brightness(path)
    assert 0.8 < seconds < 1.2
    assert path.stat().st_size < 100_000


def test_a_near_duplicate_flashes_as_its_original_does(tmp_path):
    alteration = Alteration(shift_x=0.03, shift_y=-0.02, brightness=0.9, coarser=True)
    original = flashes_per_second(film(tmp_path, "flash", 1))
    assert flashes_per_second(film(tmp_path, "flash", 1, alteration=alteration)) == original
