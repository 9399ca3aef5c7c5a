"""Forty posts of one to three photos and a clip, packed into shards."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest
from PIL import Image

from data.shards.packing import shard

Pack = Callable[..., Path]


@pytest.fixture(scope="session")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An items file; post07 has a missing photo and post11 one of no bytes."""
    import av

    folder = tmp_path_factory.mktemp("posts")
    (folder / "media").mkdir()
    generator = np.random.default_rng(0)
    rows = []
    for number in range(40):
        media = []
        for photo in range(1 + number % 3):
            media.append(f"media/{number}.{photo}.png")
            pixels = generator.integers(0, 255, (9, 7, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / media[-1])
        rows.append({"item_id": f"post{number:02d}", "media": media, "media_type": "photo"})
    rows[3] = {"item_id": "a/b.c", "media": ["media/clip.mp4"], "media_type": "video"}
    with av.open(str(folder / "media/clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        for value in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 40 * value, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (folder / "media/7.0.png").unlink()
    (folder / "media/11.0.png").write_bytes(b"")
    pl.DataFrame(rows).write_parquet(folder / "items.parquet")
    return folder / "items.parquet"


@pytest.fixture
def pack(posts: Path, tmp_path: Path) -> Pack:
    """Packs the posts into shards of a few posts; keyword arguments replace those of the verb."""

    def packed(**changes: Any) -> Path:
        given: dict[str, Any] = {"items": posts, "out": tmp_path / "shards", "format": "tar"}
        shard(**{**given, "shard_mb": 0.002, "seed": 0, "workers": 2, **changes})
        return Path(changes.get("out", given["out"]))

    return packed


@pytest.fixture
def memory() -> Iterator[Callable[[Path], str]]:
    """Copies a folder to fsspec's memory file system and returns its URL."""
    files = fsspec.filesystem("memory")

    def copied(folder: Path) -> str:
        for file in folder.iterdir():
            files.pipe_file(f"/remote/{file.name}", file.read_bytes())
        return "memory://remote"

    yield copied
    files.store.clear()
