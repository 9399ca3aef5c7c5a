"""Media that cannot be read, through the command line: quarantined, counted, and the run goes on up to a limit."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
from PIL import Image

from scripts.cli import run


def huge_png(path: Path) -> None:
    """A PNG that says 30,000 x 30,000 in its header and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 90_001)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 44_100, 0, Fraction(1, 44_100)
        container.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.fixture
def spoiled(posts: Path) -> Path:
    """Forty readable posts and five that are not."""
    folder = posts.parent
    Image.new("RGB", (640, 480), (9, 99, 9)).save(folder / "whole.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:900])
    (folder / "zero.jpg").touch()
    (folder / "text.mp4").write_text("this is no clip")
    huge_png(folder / "huge.png")
    sound_only(folder / "sound.mp4")
    kinds = {"truncated.jpg": "photo", "zero.jpg": "photo", "text.mp4": "video", "huge.png": "photo"}
    rows = [
        {"item_id": name, "media": [name], "media_type": kind, "caption": None}
        for name, kind in {**kinds, "sound.mp4": "video"}.items()
    ]
    pl.concat([pl.read_parquet(posts), pl.DataFrame(rows, schema_overrides={"caption": pl.String})]).write_parquet(
        posts
    )
    return posts


def test_five_kinds_of_bad_media_are_quarantined_and_the_run_goes_on(
    hand_made_model: Path, spoiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["score", f"model={hand_made_model}", f"items={spoiled}", f"out={tmp_path / 'out'}"]
    assert run([*given, "max_unreadable_fraction=0.2"]) == 0
    assert "40 items scored, 5 quarantined" in capsys.readouterr().out
    failures = pl.read_parquet(tmp_path / "out/failures.parquet")
    reasons = dict(failures.select("item_id", "reason").iter_rows())
    assert set(reasons) == {"truncated.jpg", "zero.jpg", "text.mp4", "huge.png", "sound.mp4"}
    assert "truncated" in reasons["truncated.jpg"]
    assert "900000000 pixels" in reasons["huge.png"]
    assert "no video stream" in reasons["sound.mp4"]
    assert len(pl.read_parquet(tmp_path / "out/scores.parquet")) == 40


def test_above_the_limit_the_run_stops_and_names_the_first(
    hand_made_model: Path, spoiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score", f"model={hand_made_model}", f"items={spoiled}", f"out={tmp_path / 'out'}"]) == 2
    message = capsys.readouterr().err
    assert "max_unreadable_fraction=0.05" in message
    assert "truncated.jpg" in message
    assert not list((tmp_path / "out").glob("*.parquet"))
