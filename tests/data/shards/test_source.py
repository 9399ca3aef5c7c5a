import io
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import InputError
from data.items import read_items
from data.media import MediaError, load_frames
from data.preprocessing import Preprocessing
from data.shards.ahead import FetchAhead
from data.shards.index import read_index
from data.shards.names import PREFIX, place_of
from data.shards.opening import media_bytes
from data.shards.source import Shards, open_shards, place_items

Pack = Callable[..., Path]
SMALL = Preprocessing(height=8, width=8, num_frames=2)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Shards]:
    return lambda url, limit=10**9: open_shards(str(url), cache_dir=tmp_path / "cache", limit=limit)


def assert_media_are_those_of_files(posts: Path, shards: Shards) -> None:
    items = read_items(posts)
    placed = place_items(items, shards)
    assert placed.missing == []
    assert placed.items["item_id"].to_list() == items["item_id"].to_list()
    assert placed.items.columns == items.columns
    pairs = zip(items["media"].to_list(), placed.items["media"].to_list(), strict=True)
    for item_id, media_type, (files, names) in zip(items["item_id"], items["media_type"], pairs, strict=True):
        assert all(name.startswith(PREFIX) for name in names)
        if item_id in ("post07", "post11"):
            continue
        assert [media_bytes(name) for name in names] == [Path(file).read_bytes() for file in files]
        ours, theirs = load_frames(names, media_type, SMALL), load_frames(files, media_type, SMALL)
        assert np.array_equal(ours.frames, theirs.frames)
        assert np.array_equal(ours.times, theirs.times)


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_media_from_shards_are_the_media_of_files(
    pack: Pack, posts: Path, opened: Callable[..., Shards], memory: Callable[[Path], str], kind: str
) -> None:
    out = pack(format=kind)
    assert_media_are_those_of_files(posts, opened(out))
    assert_media_are_those_of_files(posts, opened(memory(out)))


def test_an_item_that_could_not_be_packed_says_why(pack: Pack, posts: Path, opened: Callable[..., Shards]) -> None:
    placed = place_items(read_items(posts), opened(pack())).items
    [names] = placed.filter(pl.col("item_id") == "post11")["media"].to_list()
    with pytest.raises(MediaError, match=r"cannot be opened: the file is empty"):
        load_frames(names, "photo", SMALL)


def test_items_that_the_shards_do_not_hold_are_named_and_others_counted(
    pack: Pack, posts: Path, opened: Callable[..., Shards]
) -> None:
    items = read_items(posts).head(10)
    more = pl.concat([items, items.head(1).with_columns(item_id=pl.lit("new"))])
    placed = place_items(more, opened(pack()))
    assert placed.missing == ["new"]
    assert placed.num_others == 30
    assert placed.items["media"][10].to_list() == items["media"][0].to_list()


def test_missing_truncated_and_unindexed_shards_are_said_at_once(
    pack: Pack, opened: Callable[..., Shards], tmp_path: Path
) -> None:
    out = pack()
    (out / "shard-00001.tar").unlink()
    os.truncate(out / "shard-00002.tar", 700)
    with pytest.raises(InputError, match=r"2 of \d+ shards.*\n.*00001.tar: missing\n.*00002.tar: 700 bytes"):
        opened(out)
    (out / "index.parquet").unlink()
    with pytest.raises(InputError, match=r"index.parquet: missing, truncated or changed"):
        opened(out)
    with pytest.raises(InputError, match=r"no such folder"):
        opened(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no .tar or .parquet file there; found nothing"):
        opened(tmp_path / "empty")
    with pytest.raises(InputError, match=r"gdrive:// needs a package that is not here.*gdrive"):
        opened("gdrive://bucket/shards")
    with pytest.raises(InputError, match=r"nosuch"):
        opened("nosuch://bucket/shards")


def names_of(posts: Path, shards: Shards) -> list[str]:
    media = place_items(read_items(posts), shards).items["media"].to_list()
    return [name for names in media for name in names if "/unreadable/" not in name]


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_a_changed_shard_is_never_read_as_if_it_were_the_same(
    pack: Pack, posts: Path, opened: Callable[..., Shards], kind: str
) -> None:
    out = pack(format=kind, shard_mb=1)
    names = names_of(posts, opened(out))
    file = out / f"shard-00000.{kind}"
    content = bytearray(file.read_bytes())
    wanted = next(name for name in names if name.endswith("/2.0.png"))
    content[bytes(content).index(media_bytes(wanted)) + 20] ^= 1
    file.write_bytes(content)
    with pytest.raises(MediaError, match=f"shard-00000.{kind} does not hold what its index says"):
        load_frames([wanted], "photo", SMALL)
    assert media_bytes(names[0])


def test_a_pattern_takes_some_of_the_shards(pack: Pack, posts: Path, opened: Callable[..., Shards]) -> None:
    out = pack()
    some = opened(f"{out}/shard-0000*.tar")
    assert len(some.index.shards) == min(10, len(read_index(out).shards))
    first = opened(f"{out}/*00001.tar")
    assert [one.name for one in first.index.shards] == ["shard-00001.tar"]
    held = set(first.index.items["item_id"])
    placed = place_items(read_items(posts), first)
    assert held
    assert not held & set(placed.missing)
    assert all(place_of(name).shard == "shard-00001.tar" for name in names_of(posts, first) if PREFIX in name)


def test_copies_of_remote_shards_are_whole_kept_and_within_their_limit(
    pack: Pack, posts: Path, opened: Callable[..., Shards], memory: Callable[[Path], str]
) -> None:
    url = memory(pack())
    largest = max(one.bytes for one in opened(url).index.shards)
    shards = opened(url, limit=3 * largest)
    names = names_of(posts, shards)
    for name in names:
        media_bytes(name)
        copies = list(shards.home.glob("shard-*.tar"))
        assert sum(copy.stat().st_size for copy in copies) <= 3 * largest
    last = place_of(names[-1]).shard
    os.truncate(shards.home / last, 600)
    assert media_bytes(names[-1])
    damaged = bytearray((shards.home / last).read_bytes())
    damaged[place_of(names[-1]).at] ^= 1
    (shards.home / last).write_bytes(damaged)
    assert media_bytes(names[-1])
    fsspec.filesystem("memory").store.clear()
    assert media_bytes(names[-1]), "a whole copy needs no remote"
    gone = next(name for name in names if not (shards.home / place_of(name).shard).exists())
    with pytest.raises(MediaError, match=r"cannot be opened: shard-.*tar cannot be fetched"):
        load_frames([gone], "photo", SMALL)


def test_a_remote_shard_that_changed_behind_its_index_is_refused(
    pack: Pack, posts: Path, opened: Callable[..., Shards], memory: Callable[[Path], str]
) -> None:
    shards = opened(memory(pack()))
    name = names_of(posts, shards)[0]
    files = fsspec.filesystem("memory")
    content = bytearray(files.cat_file(f"/remote/{place_of(name).shard}"))
    content[place_of(name).at] ^= 1
    files.pipe_file(f"/remote/{place_of(name).shard}", bytes(content))
    with pytest.raises(MediaError, match=r"truncated or not what the index says"):
        load_frames([name], "photo", SMALL)
    assert not (shards.home / place_of(name).shard).exists()


def test_shards_of_coming_batches_are_fetched_before_they_are_asked_for(
    pack: Pack, opened: Callable[..., Shards], memory: Callable[[Path], str]
) -> None:
    shards = opened(memory(pack()))
    names = [one.name for one in shards.index.shards][:6]
    batches = [[number] for number in range(6)]
    passed = FetchAhead(shards.home, names, depth=2)(iter(batches))
    assert next(passed) == [0]
    wait_for = [shards.home / name for name in names[:3]]
    deadline = time.monotonic() + 20
    while not all(file.exists() for file in wait_for) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(shards.home.glob("shard-*")) == wait_for
    fsspec.filesystem("memory").store.clear()
    assert list(passed) == batches[1:], "what cannot be fetched is left to whoever reads it"


def test_shards_are_read_from_a_web_server(
    pack: Pack, posts: Path, opened: Callable[..., Shards], web: str, tmp_path: Path
) -> None:
    pack(out=tmp_path / "web", shard_mb=0.005)
    assert_media_are_those_of_files(posts, opened(f"{web}/web"))
    (tmp_path / "web/index.json").unlink()
    with pytest.raises(InputError, match=r"the size of shard-00000.tar is not told there"):
        opened(f"{web}/web")


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def test_shards_of_others_are_read_once_and_known_after(
    posts: Path, opened: Callable[..., Shards], tmp_path: Path, memory: Callable[[Path], str]
) -> None:
    """webdataset tar files with __key__ = item_id, and Parquet as `datasets` writes images."""
    items = read_items(posts).filter(~pl.col("item_id").is_in(["post07", "post11", "a/b.c"]))
    rows = [
        (item_id, [Path(one).read_bytes() for one in media])
        for item_id, media in items.select("item_id", "media").iter_rows()
    ]
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with tarfile.open(theirs / "train-0.tar", "w") as archive:
        for item_id, media in rows[:20]:
            add(archive, f"{item_id}.txt", b"a caption")
            for number, content in enumerate(media):
                add(archive, f"{item_id}.{number}.png", content)
            add(archive, f"{item_id}.cls", b"1")
    table = {
        "item_id": [one[0] for one in rows[20:]],
        "image": [[{"bytes": content, "path": None} for content in one[1]] for one in rows[20:]],
    }
    pq.write_table(pa.table(table), theirs / "train-1.parquet", row_group_size=4)
    for url in (str(theirs), memory(theirs)):
        shards = opened(url)
        placed = place_items(items, shards)
        assert placed.missing == []
        for names, (_, media) in zip(placed.items["media"].to_list(), rows, strict=True):
            assert [media_bytes(name) for name in names] == media
        assert opened(url).index.made_of == shards.index.made_of
    pq.write_table(pa.table({"id": [1], "image": [b""]}), theirs / "train-2.parquet")
    with pytest.raises(InputError, match=r"train-2.parquet has no column item_id or __key__; found id, image"):
        opened(theirs)
    (theirs / "train-2.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"train-2.parquet is truncated or no parquet file"):
        opened(theirs)
    (theirs / "train-2.parquet").unlink()
    content = (theirs / "train-0.tar").read_bytes()
    (theirs / "train-0.tar").write_bytes(content[: len(content) // 2 + 100])
    with pytest.raises(InputError, match=r"train-0.tar is truncated or no tar file"):
        opened(theirs)
    (theirs / "train-0.tar").write_bytes(content)
    (theirs / "train-3.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"share an item_id"):
        opened(theirs)


@pytest.mark.slow
def test_datasets_streams_what_was_packed(pack: Pack, posts: Path) -> None:
    """Parquet shards are ordinary ones: Hugging Face's `datasets` reads them and splits them among ranks."""
    datasets = pytest.importorskip("datasets", reason="pip install datasets")
    from datasets.distributed import split_dataset_by_node

    out = pack(format="parquet")
    index = read_index(out)
    files = [str(out / one.name) for one in index.shards]
    stream = datasets.load_dataset("parquet", data_files={"train": files}, split="train", streaming=True)
    halves = [[row["item_id"] for row in split_dataset_by_node(stream, rank, 2)] for rank in (0, 1)]
    assert sorted(halves[0] + halves[1]) == sorted(index.items["item_id"])
    row = next(iter(stream))
    media = dict(read_items(posts).select("item_id", "media").iter_rows())
    assert row["media"] == [Path(file).read_bytes() for file in media[row["item_id"]]]
