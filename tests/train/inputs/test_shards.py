import json
import resource
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from data.errors import InputError
from data.items import read_items, write_items
from data.preprocessing import Preprocessing
from data.shards.index import read_index
from data.shards.packing import shard
from train.inputs.order import RankBatches
from train.inputs.shards import ShardOrder
from train.job.checkpoint import read_checkpoint
from train.run import train
from train.settings import FusionSettings, ImageSettings, ModelSettings, OptimSettings, TextSettings

SETTINGS: dict[str, Any] = {"seed": 0, "workers": 2}
TRAINER = {"_target_": "lightning.Trainer", "accelerator": "cpu", "devices": 1, "max_epochs": 2}
Arguments = Callable[..., dict[str, Any]]
Stopped = Callable[[int], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def packed(split_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The train part of the split in eight shards."""
    out = tmp_path_factory.mktemp("packed") / "shards"
    shard(items=split_folder / "train" / "items.parquet", out=out, format="tar", shard_mb=0.007, **SETTINGS)
    assert len(read_index(out).shards) == 8
    return out


@pytest.fixture(scope="session")
def away(split_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The split without the media of its train part."""
    folder = tmp_path_factory.mktemp("away") / "split"
    shutil.copytree(split_folder, folder)
    shutil.rmtree(folder / "train" / "media")
    return folder


@pytest.fixture
def arguments(
    encoder_folder: Callable[[str], str], away: Path, packed: Path, small: Preprocessing, tmp_path: Path
) -> Arguments:
    """Arguments of `train` on shards for a run of a second; `tune` is of the image encoder."""

    def make(tune: str = "full", workers: int = 0, **changes: Any) -> dict[str, Any]:
        model = ModelSettings(
            image=ImageSettings(source=encoder_folder("timm"), tune=tune),
            text=TextSettings(source=encoder_folder("bert"), layers=(-1, -2)),
            fusion=FusionSettings(width=16, num_heads=2),
        )
        return {
            "split": away,
            "policies": away / "policies",
            "out": tmp_path / "run",
            "preprocessing": small,
            "model": model,
            "optim": OptimSettings(batch_size=4, learning_rate=1e-3, num_workers=workers, probe_strength=0.1),
            "trainer": {**TRAINER, "num_sanity_val_steps": 0},
            "cache_dir": tmp_path / "cache",
            "shards": str(packed),
            "shards_mixed": 2,
            **changes,
        }

    return make


def weights(arguments: dict[str, Any]) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read_checkpoint(arguments["out"] / "checkpoints" / "last.ckpt")["state_dict"]
    return state


def assert_same_weights(first: dict[str, Any], second: dict[str, Any]) -> None:
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    for name, held in ours.items():
        assert torch.equal(held, theirs[name]), name


@pytest.mark.slow
def test_frozen_encoders_find_in_shards_what_they_find_in_files(
    arguments: Arguments, split_folder: Path, tmp_path: Path
) -> None:
    summary = train(**arguments("frozen"))
    assert "media from 8 shards: 32 train items, 0 of 16 validation items" in summary.lines
    files = arguments("frozen", split=split_folder, shards=None, out=tmp_path / "files")
    (tmp_path / "cache" / "shards").rename(tmp_path / "no shards")
    train(**files)
    assert_same_weights(arguments("frozen"), files)
    assert not (tmp_path / "cache" / "shards").exists()


@pytest.mark.slow
def test_a_tuned_run_learns_from_remote_shards_as_from_local_ones(
    arguments: Arguments, packed: Path, tmp_path: Path, web: str
) -> None:
    local = arguments(out=tmp_path / "local")
    train(**local)
    (tmp_path / "bucket").symlink_to(packed)
    remote = arguments(workers=2, out=tmp_path / "remote", shards=f"{web}/bucket", cache_dir=tmp_path / "other")
    largest = max(one.bytes for one in read_index(packed).shards)
    with pytest.raises(InputError, match=r"4 shards are read in turns or come next, .* GB; raise it"):
        train(**{**remote, "shards_cache_gb": largest / 1e9})
    train(**{**remote, "shards_cache_gb": 4 * largest / 1e9})
    assert_same_weights(local, remote)
    copies = list((tmp_path / "other").glob("shards/*/shard-*.tar"))
    assert 0 < sum(file.stat().st_size for file in copies) <= 4 * largest


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "step"), [(0, 3), (0, 13)])
def test_a_stopped_run_on_shards_ends_like_one_that_was_not(
    arguments: Arguments, tmp_path: Path, stopped_before: Stopped, workers: int, step: int
) -> None:
    whole, stopped = arguments(out=tmp_path / "whole"), arguments(workers=workers, out=tmp_path / "stopped")
    train(**whole)
    with stopped_before(step):
        train(**stopped)
    train(**stopped)
    assert_same_weights(whole, stopped)


def test_posts_that_shards_lack_stop_the_run_and_unreadable_ones_are_counted(
    arguments: Arguments, split_folder: Path, tmp_path: Path
) -> None:
    posts = read_items(split_folder / "train" / "items.parquet")
    (tmp_path / "media").mkdir()
    broken, gone = tmp_path / "media" / "broken.png", tmp_path / "media" / "gone.png"
    broken.write_bytes(b"no photo")
    media = [[str(broken)], [str(gone)], *posts["media"].to_list()[2:]]
    write_items(posts.with_columns(media=pl.Series(media)), tmp_path / "items.parquet")
    shard(
        items=tmp_path / "items.parquet", out=tmp_path / "shards", format="parquet", shard_mb=0.01, seed=0, workers=2
    )
    given = arguments(shards=str(tmp_path / "shards"))
    assert "2 quarantined" in train(**given).title
    assert json.loads((given["out"] / "quarantine.json").read_text())["items"] == [
        {"part": "train", "item_id": "train00", "reason": "not a photo of a known format"},
        {"part": "train", "item_id": "train01", "reason": "no such file"},
    ]
    write_items(posts.head(30), tmp_path / "items.parquet")
    shard(items=tmp_path / "items.parquet", out=tmp_path / "fewer", format="tar", shard_mb=1, **SETTINGS)
    with pytest.raises(InputError, match=r"2 of 32 items of the train part are in no shard, e.g. 'train30'"):
        train(**arguments(shards=str(tmp_path / "fewer"), out=tmp_path / "other run"))


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_shards_only(arguments: Arguments, packed: Path, tmp_path: Path) -> None:
    given = arguments()
    train(**given)
    (given["out"] / "metrics.json").unlink()
    for changes in ({"shards_mixed": 3}, {"shards": f"{packed}/shard-0*.tar", "split": tmp_path / "nowhere"}):
        with pytest.raises(InputError, match=r"another configuration|no such folder"):
            train(**{**given, **changes})


def order(world_size: int = 1, **changes: Any) -> ShardOrder:
    sizes = [7, 1, 12, 9, 3, 8, 5, 11]
    numbers = np.random.default_rng(5).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return ShardOrder(numbers, **{"seed": 0, "mixed": 2, "batch_size": 4, "world_size": world_size, **changes})


def test_an_epoch_holds_every_item_once_in_an_order_of_seed_and_epoch() -> None:
    first, again, later, other = order(), order(), order(), order(seed=1)
    later.set_epoch(1)
    assert sorted(first.draws()) == list(range(56))
    assert first.draws().tolist() == again.draws().tolist() == first.draws().tolist()
    assert first.draws().tolist() != later.draws().tolist()
    assert first.draws().tolist() != other.draws().tolist()


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_share_the_items_and_open_few_shards_at_a_time(world_size: int) -> None:
    opened: list[set[int]] = []
    seen: list[int] = []
    lengths = set()
    for rank in range(world_size):
        given = order(world_size)
        batches = list(RankBatches(given, batch_size=4, rank=rank, world_size=world_size))
        lengths.add(len(batches))
        mine = [draw.index for batch in batches for draw in batch]
        seen += mine
        shards = given.shard_N[mine]
        opened.append(set(shards.tolist()))
        last = {number: int(np.flatnonzero(shards == number)[-1]) for number in opened[-1]}
        first = {number: int(np.flatnonzero(shards == number)[0]) for number in opened[-1]}
        at_once = [sum(first[one] <= place <= last[one] for one in last) for place in range(len(mine))]
        assert max(at_once) <= given.mixed
    assert sorted(seen) == list(range(56))
    assert len(lengths) == 1
    assert sum(len(numbers) for numbers in opened) <= 8 + world_size - 1


def test_an_order_goes_on_from_any_batch() -> None:
    whole = list(RankBatches(order(2), batch_size=4, rank=1, world_size=2))
    for batch in range(len(whole)):
        resumed = RankBatches(order(2), batch_size=4, rank=1, world_size=2, start=(0, batch))
        assert list(resumed) == whole[batch:]


@pytest.mark.slow
def test_memory_stays_flat_over_many_shards(tmp_path: Path) -> None:
    """Reading 400 MB of media by their names takes no more memory than the first 40 MB did."""
    from data.shards.opening import media_bytes
    from data.shards.source import open_shards, place_items

    (tmp_path / "media").mkdir()
    content = np.random.default_rng(0).bytes(400_000)
    (tmp_path / "media" / "one.bin").write_bytes(content)
    rows = [{"item_id": f"{row}", "media": ["media/one.bin"], "media_type": "photo"} for row in range(1000)]
    pl.DataFrame(rows).write_parquet(tmp_path / "items.parquet")
    for kind in ("tar", "parquet"):
        shard(items=tmp_path / "items.parquet", out=tmp_path / kind, format=kind, shard_mb=20, **SETTINGS)  # type: ignore[arg-type]
        shards = open_shards(str(tmp_path / kind), cache_dir=tmp_path / "cache", limit=1)
        placed = place_items(read_items(tmp_path / "items.parquet"), shards).items
        names = [names[0] for names in placed["media"].to_list()]
        after: list[int] = []
        for count, name in enumerate(names):
            assert len(media_bytes(name)) == len(content)
            if count in (100, 999):
                after.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        assert after[1] - after[0] < 60_000, kind
