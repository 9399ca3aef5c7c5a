import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data.errors import InputError
from data.files import sha256_of_file
from data.items import read_items
from data.shards.index import read_index
from data.shards.packing import shard

Pack = Callable[..., Path]


def digests(folder: Path) -> dict[str, str]:
    return {file.name: sha256_of_file(file) for file in folder.iterdir()}


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_one_plan_gives_the_same_bytes_and_another_seed_another_order(pack: Pack, tmp_path: Path, kind: str) -> None:
    first, second = (digests(pack(out=tmp_path / name, format=kind)) for name in ("a", "b"))
    assert first == second
    assert len(first) > 5
    other = read_index(pack(out=tmp_path / "c", format=kind, seed=1))
    assert other.items["item_id"].to_list() != read_index(tmp_path / "a").items["item_id"].to_list()
    assert set(other.items["item_id"]) == set(read_index(tmp_path / "a").items["item_id"])


def test_what_cannot_be_opened_is_listed_and_the_rest_is_all_there(pack: Pack, posts: Path) -> None:
    index = read_index(pack())
    reasons = {one.item_id: one.reason for one in index.unreadable}
    assert reasons == {"post07": "no such file", "post11": "the file is empty"}
    assert set(index.items["item_id"]) | set(reasons) == set(read_items(posts)["item_id"])
    assert sum(one.items for one in index.shards) == len(index.items) == 38


def test_media_behind_urls_are_packed_too(posts: Path, tmp_path: Path, memory: Callable[[Path], str]) -> None:
    url = memory(posts.parent / "media")
    rows = (
        read_items(posts)
        .head(9)
        .with_columns(
            pl.col("media").list.eval(pl.concat_str(pl.lit(f"{url}/"), pl.element().str.extract("([^/]*)$")))
        )
    )
    rows.write_parquet(tmp_path / "items.parquet")
    shard(items=tmp_path / "items.parquet", out=tmp_path / "out", format="tar", shard_mb=1, seed=0, workers=3)
    index = read_index(tmp_path / "out")
    assert [(one.item_id, one.reason) for one in index.unreadable] == [("post07", "no such file")]
    assert len(index.items) == 8
    row = index.items.row(0, named=True)
    with (tmp_path / "out" / "shard-00000.tar").open("rb") as file:
        file.seek(row["at"][0])
        assert file.read(row["size"][0]) == (posts.parent / "media" / row["file"][0]).read_bytes()


def test_shards_are_as_large_as_was_asked_for(pack: Pack, posts: Path) -> None:
    out = pack(format="tar", shard_mb=0.002)
    index = read_index(out)
    media = index.items.group_by("shard").agg(pl.col("size").list.sum().sum()).sort("shard")["size"]
    assert max(media) <= 2000 or len(index.items.filter(pl.col("shard") == media.arg_max())) == 1
    assert [(out / one.name).stat().st_size for one in index.shards] == [one.bytes for one in index.shards]
    assert [sha256_of_file(out / one.name) for one in index.shards] == [one.sha256 for one in index.shards]


def test_a_tar_shard_is_what_webdataset_reads(pack: Pack, posts: Path) -> None:
    out = pack(shard_mb=1)
    with tarfile.open(out / "shard-00000.tar") as archive:
        names = archive.getnames()
        stated = json.loads(archive.extractfile("a%2Fb%2Ec.json").read())  # type: ignore[union-attr]
        clip = archive.extractfile("a%2Fb%2Ec.0.mp4").read()  # type: ignore[union-attr]
    assert {"post02.json", "post02.0.png", "post02.1.png", "post02.2.png"} <= set(names)
    assert stated == {"item_id": "a/b.c", "media_type": "video", "file": ["clip.mp4"]}
    assert clip == (posts.parent / "media/clip.mp4").read_bytes()


def test_a_folder_of_other_shards_is_refused_and_the_same_is_left_alone(pack: Pack, posts: Path) -> None:
    out = pack()
    before = digests(out)
    with pytest.raises(InputError, match="holds shards of other items or settings"):
        pack(seed=5)
    title = shard(items=posts, out=out, format="tar", shard_mb=0.002, seed=0, workers=2).title
    assert "already" in title
    assert digests(out) == before


KILLER = """
import os, signal, sys
from pathlib import Path
import data.shards.packing as packing

write, count = packing.write_shard, 0
def dies(path, items, kind):
    global count
    count += 1
    if count == 4:
        path.write_bytes(b"half a shard")
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, items, kind)

packing.write_shard = dies
packing.shard(items=Path(sys.argv[1]), out=Path(sys.argv[2]), format="tar", shard_mb=.002, seed=0, workers=2)
"""


def test_a_killed_job_goes_on_with_the_first_shard_that_is_not_whole(
    pack: Pack, posts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "killed"
    killed = subprocess.run([sys.executable, "-c", KILLER, str(posts), str(out)], check=False, cwd=Path.cwd())
    assert killed.returncode == -signal.SIGKILL
    assert not (out / "index.json").exists()
    whole = sorted(out.glob("shard-*.tar"))
    assert len(whole) == 3
    times = [file.stat().st_mtime_ns for file in whole]
    os.truncate(whole[1], 100)
    pack(out=out)
    assert digests(out) == digests(pack(out=tmp_path / "whole"))
    assert whole[0].stat().st_mtime_ns == times[0]
    assert whole[1].stat().st_mtime_ns != times[1]
