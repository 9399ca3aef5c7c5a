"""Training on a copy of real posts of which some are damaged: left out, counted, never replaced; too many: a stop."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.annotations import read_annotations
from data.errors import InputError
from data.items import read_items, write_items
from data.loading import MediaBrokeError
from data.policy import load_policies
from data.preprocessing import Preprocessing
from data.tables import write_parquet
from scripts.cli import run
from train.job.module import PolicyClassifier
from train.run import train
from train.settings import FusionSettings, ImageSettings, ModelSettings, OptimSettings

TRAINER = {"_target_": "lightning.Trainer", "accelerator": "cpu", "devices": 1, "max_epochs": 2}
NUM_PHOTOS, NUM_CLIPS = 92, 8
EPOCHS = 2


@dataclass
class Posts:
    """A split with files of its own.

    Attributes:
        split: its folder, with the policies beside its parts.
        media: item_id to file.
    """

    split: Path
    media: dict[str, Path]

    def damage(self, share: float) -> set[str]:
        """Damage this share of the files, each way in turn; the item_ids."""
        generator = np.random.default_rng(7)
        item_ids = sorted(self.media)
        hit = generator.choice(item_ids, round(share * len(item_ids)), replace=False)
        for number, item_id in enumerate(hit):
            DAMAGES[number % len(DAMAGES)](self.media[item_id])
        return {str(item_id) for item_id in hit}


DAMAGES: list[Callable[[Path], Any]] = [
    lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 4]),
    lambda path: path.write_bytes(bytes(path.stat().st_size)),
    lambda path: path.write_text("<html>404 Not Found</html>"),
    lambda path: path.write_bytes(b""),
    lambda path: path.unlink(),
]


@pytest.fixture(scope="module")
def whole(moderation_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Posts:
    """A seeded sample of real posts for the policy firearms, copied."""
    folder = tmp_path_factory.mktemp("posts")
    (folder / "policies").mkdir()
    shutil.copy(moderation_mini / "policies" / "firearms.yaml", folder / "policies")
    items = read_items(moderation_mini / "items.parquet")
    policies = load_policies(moderation_mini / "policies")
    annotations = read_annotations(moderation_mini / "annotations.parquet", items, policies)
    annotations = annotations.filter(pl.col("policy_id") == "firearms")
    known = items.filter(pl.col("item_id").is_in(annotations["item_id"].to_list()))
    photos = known.filter(pl.col("media_type") == "photo").sample(NUM_PHOTOS, seed=0)
    clips = items.filter(pl.col("media_type") == "video").sample(NUM_CLIPS, seed=0)
    chosen = pl.concat([photos, clips]).with_columns(creator_id=pl.col("item_id"), cluster_id=pl.col("item_id"))
    media = {}
    for item_id, (name,) in chosen.select("item_id", "media").iter_rows():
        media[item_id] = Path(shutil.copy(name, folder))
    chosen = chosen.with_columns(
        media=pl.col("item_id").replace_strict({key: [str(path)] for key, path in media.items()})
    )
    validation = chosen.gather_every(4)
    training = chosen.join(validation, on="item_id", how="anti", maintain_order="left")
    for part, rows in (("validation", validation), ("train", training)):
        (folder / part).mkdir()
        write_items(rows, folder / part / "items.parquet")
        write_parquet(annotations.join(rows, on="item_id", how="semi"), folder / part / "annotations.parquet")
    return Posts(folder, media)


@pytest.fixture
def posts(whole: Posts, tmp_path: Path) -> Posts:
    """The posts, to be damaged."""
    copy = Path(shutil.copytree(whole.split, tmp_path / "posts"))
    return Posts(copy, {item_id: copy / path.name for item_id, path in whole.media.items()})


@pytest.fixture
def given(posts: Posts, encoder_folder: Callable[[str], str], small: Preprocessing, tmp_path: Path) -> Any:
    """Arguments of `train`, by tuning."""

    def make(tune: str, num_workers: int = 0) -> dict[str, Any]:
        return {
            "split": posts.split,
            "policies": posts.split / "policies",
            "out": tmp_path / "run",
            "preprocessing": small,
            "model": ModelSettings(
                image=ImageSettings(source=encoder_folder("timm"), tune=tune),
                text=None,
                fusion=FusionSettings(width=16, num_heads=2),
            ),
            "optim": OptimSettings(batch_size=16, probe_strength=1.0, num_workers=num_workers),
            "trainer": {**TRAINER, "max_epochs": EPOCHS},
            "cache_dir": tmp_path / "cache",
        }

    return make


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of the training part that steps were made on."""
    rows: list[int] = []
    begun = PolicyClassifier.on_train_batch_start

    def watched(self: PolicyClassifier, batch: Any, batch_idx: int) -> Any:
        rows.extend(batch.index.tolist())
        return begun(self, batch, batch_idx)

    monkeypatch.setattr(PolicyClassifier, "on_train_batch_start", watched)
    return rows


def quarantined(arguments: dict[str, Any]) -> dict[str, str]:
    found = json.loads((arguments["out"] / "quarantine.json").read_text())["items"]
    return {one["item_id"]: one["reason"] for one in found}


@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_five_percent_are_left_out_and_nothing_takes_their_place(
    posts: Posts, given: Any, drawn: list[int], tune: str
) -> None:
    damaged = posts.damage(0.05)
    assert len(damaged) == 5
    arguments = given(tune)
    summary = train(**arguments)
    reasons = quarantined(arguments)
    assert set(reasons) == damaged
    assert {"no such file", "the file is empty"} < set(reasons.values())
    assert str(posts.split) not in str(reasons)
    assert "5 quarantined" in summary.title
    in_order = read_items(posts.split / "train" / "items.parquet")["item_id"].to_list()
    readable = [item_id for item_id in in_order if item_id not in damaged]
    assert f"on {len(readable)} items" in summary.title
    for epoch in range(EPOCHS):
        rows = drawn[epoch * len(readable) : (epoch + 1) * len(readable)]
        assert sorted(rows) == list(range(len(readable)))
    assert len(drawn) == EPOCHS * len(readable)


@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_fifty_percent_are_a_clear_stop(
    posts: Posts, encoder_folder: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str], tune: str
) -> None:
    posts.damage(0.5)
    out = tmp_path / "run"
    arguments = [
        "train",
        f"split={posts.split}",
        f"policies={posts.split / 'policies'}",
        f"out={out}",
        f"cache_dir={tmp_path / 'cache'}",
        f"model.image.source={encoder_folder('timm')}",
        f"model.image.tune={tune}",
        "model.text=null",
        "logger=none",
        *(f"data.preprocessing.{side}=32" for side in ("height", "width")),
        "data.preprocessing.num_frames=3",
    ]
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert "50 of 100 items cannot be read, more than max_unreadable_fraction=0.05" in said
    assert "Traceback" not in said
    assert not out.exists() or not list(out.rglob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_file_that_breaks_during_training_ends_it_with_its_name(
    posts: Posts, given: Any, monkeypatch: pytest.MonkeyPatch, num_workers: int
) -> None:
    in_order = read_items(posts.split / "train" / "items.parquet")["item_id"].to_list()
    broken = posts.media[in_order[3]]
    content = broken.read_bytes()

    start = PolicyClassifier.on_train_start

    def breaks(self: PolicyClassifier) -> None:
        start(self)
        broken.write_bytes(b"gone")

    monkeypatch.setattr(PolicyClassifier, "on_train_start", breaks)
    arguments = given("full", num_workers)
    with pytest.raises(MediaBrokeError) as stopped:
        train(**arguments)
    said = str(stopped.value)
    assert said.startswith(f"item {in_order[3]!r}, {broken}: not a photo")
    assert "could be read when the run began" in said
    assert "Traceback" not in said
    assert isinstance(stopped.value, InputError)
    if num_workers == 0:
        monkeypatch.undo()
        broken.write_bytes(content)
        assert f"{EPOCHS} epochs" in train(**arguments).title


def test_a_run_does_not_go_on_with_other_items(posts: Posts, given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = given("frozen")

    class StoppedError(RuntimeError):
        pass

    begun = PolicyClassifier.on_train_epoch_start

    def dies(self: PolicyClassifier) -> None:
        begun(self)
        if self.current_epoch == 1:
            raise StoppedError

    monkeypatch.setattr(PolicyClassifier, "on_train_epoch_start", dies)
    with pytest.raises(StoppedError):
        train(**arguments)
    monkeypatch.undo()
    item_id, path = next(iter(posts.media.items()))
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(InputError, match=f"item '{item_id}' cannot be read any more"):
        train(**arguments)
    path.write_bytes(content)
    assert f"{EPOCHS} epochs" in train(**arguments).title
