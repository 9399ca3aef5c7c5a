"""The benchmark of decoding compares like with like, and fails where a claim does."""

import sys
from pathlib import Path

import numpy as np
import pytest

from data.media import load_frames
from scripts import bench_media


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moderation_mini: Path) -> Path:
    """Small stand-ins for the large photos and clips."""
    monkeypatch.setattr(bench_media, "MINI", moderation_mini / "items.parquet")
    monkeypatch.setattr(bench_media, "MINI_FILES", 2)
    picture = bench_media._picture
    monkeypatch.setattr(
        bench_media, "_picture", lambda height, width, seed: picture(min(height, 1800), min(width, 1000), seed)
    )
    return tmp_path


def test_all_sides_see_the_same_pixels(files: Path) -> None:
    photo = bench_media._write_photo(files / "a.jpg", 0)
    ours = load_frames([str(photo)], "photo", bench_media.UNIFORM).frames[0].astype(int)
    assert np.abs(bench_media._simplejpeg(photo).transpose(2, 0, 1) - ours).mean() < 1
    assert np.abs(bench_media._torchvision(photo) - ours).mean() < 2
    clip = bench_media._write_clip(files / "a.mp4", 0, seconds=3)
    for bare, settings in (
        (bench_media._bare_exact, bench_media.UNIFORM),
        (bench_media._bare_keyframes, bench_media.KEYFRAMES),
    ):
        images = np.stack([np.asarray(image) for image in bare(clip)])
        assert np.array_equal(images.transpose(0, 3, 1, 2), load_frames([str(clip)], "video", settings).frames)


@pytest.mark.slow
def test_it_prints_every_claim_and_fails_where_one_is_not_kept(files, capsys, monkeypatch) -> None:
    monkeypatch.setattr(bench_media, "FULL_DECODE_FACTOR", 1e9)
    monkeypatch.setattr(bench_media, "KEYFRAME_FACTOR", 0.01)
    monkeypatch.setattr(bench_media, "MOST_OVERHEAD", 100.0)
    monkeypatch.setattr(bench_media, "MOST_GROWTH", 100.0)
    speed = bench_media.media_speed
    monkeypatch.setattr(bench_media, "media_speed", lambda **given: speed(**given, seconds=1, turns=1))
    monkeypatch.setattr(sys, "argv", ["bench_media", "--photos", "1", "--clips", "1", "--items", "20"])
    assert bench_media.main() == 1
    said = capsys.readouterr().out
    failed = [line for line in said.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 1
    assert failed[0].startswith("FAILED 12 MP photos: torchvision / ours")
    for what in (
        "ours / simplejpeg",
        "exact frames / key frames",
        "ours / PyAV alone",
        "memory held after 20 items",
    ):
        assert what in said
    monkeypatch.setattr(bench_media, "media_speed", lambda **given: [])
    assert bench_media.main() == 0


def test_memory_that_grows_is_seen(files: Path, monkeypatch: pytest.MonkeyPatch, moderation_mini: Path) -> None:
    leak = "import numpy\nkept = []\n" + bench_media.DECODE_ALL.replace(
        "    most = max", "    kept.append(numpy.ones(1_000_000, numpy.uint8))\n    most = max"
    )
    monkeypatch.setattr(bench_media, "DECODE_ALL", leak)
    photo = bench_media._write_photo(files / "a.jpg", 0)
    mix = bench_media._write_mix(files / "mix.parquet", {"photo": [photo] * 50}, [photo], [photo])
    early, late, most = bench_media._held(mix, 50)
    assert late - early > 30
    assert most > late - 1
