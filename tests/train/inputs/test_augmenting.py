"""Augmentation in training: which items, which encoders, and the same on any number of workers and after a stop."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import polars as pl
import pytest
import torch
from torch.utils.data import DataLoader

import data.loading
from data.augment import AugmentSettings, Draw
from data.errors import InputError, Preempted
from data.loading import Batch, Collate, ItemDataset
from data.policy import Policy, load_policies
from data.preprocessing import Preprocessing
from train.inputs.augmenting import augment_line, augment_of, check_augment, text_counts
from train.inputs.order import RankBatches, order_of
from train.inputs.parts import Part, read_split
from train.inputs.workers import worker_settings
from train.job.checkpoint import read_checkpoint
from train.run import train
from train.settings import ImageSettings, ModelSettings, OptimSettings, TextSettings

MILD = AugmentSettings(
    crop_area=0.7, crop_stretch=1.2, horizontal_flip="auto", brightness=0.1, contrast=0.1, saturation=0.1
)
NAN = np.nan


@pytest.fixture(scope="module")
def policies(split_folder: Path) -> list[Policy]:
    """`both` (visual and text), `red` (visual), `rude` (text)."""
    return load_policies(split_folder / "policies")


@pytest.fixture(scope="module")
def part(split_folder: Path, policies: list[Policy]) -> Part:
    return read_split(split_folder, policies).train


def test_no_mirror_where_text_counts(part: Part, policies: list[Policy]) -> None:
    labels = np.array([[NAN, 1, NAN], [0, 1, NAN], [NAN, 0, 0], [NAN, 0, NAN], [NAN, 0, NAN], [NAN] * 3])
    shares = labels.copy()
    shares[4, 2] = 0.5  # annotators disagreed: no label, but it was judged by the text
    ocr = pl.Series("ocr_text", [None, None, None, "SALE", " ", ""])
    changed = Part(part.items.head(6).with_columns(ocr), labels, shares, {})
    assert text_counts(changed, policies).tolist() == [False, True, True, True, True, False]

    allowed = {}
    for flip in ("auto", True, False):
        made = augment_of(MILD.model_copy(update={"horizontal_flip": flip}), changed, policies, 3)
        assert made is not None
        assert made.seed == 3
        allowed[flip] = made.may_flip.tolist()
        assert bool(augment_line(made)) == (flip is not False)
    assert allowed == {"auto": [True, False, False, False, False, True], True: [True] * 6, False: [False] * 6}
    assert augment_of(AugmentSettings(), changed, policies, 3) is None


def test_frozen_encoders_of_pictures_are_refused_before_anything_loads(arguments: Any) -> None:
    with pytest.raises(InputError, match=r"augment: model\.image\.tune is frozen.*augment=none"):
        train(**arguments(augment=MILD, split=Path("nowhere")))
    frozen, full = ImageSettings(source="gone"), ImageSettings(source="gone", tune="lora")
    text = TextSettings(source="gone", tune="full")
    with pytest.raises(InputError, match=r"model\.clip\.tune is frozen.*for image and clip"):
        check_augment(MILD, ModelSettings(image=full, clip=frozen, text=text))
    with pytest.raises(InputError, match="the model sees no pictures"):
        check_augment(MILD, ModelSettings(image=None, text=text))
    check_augment(MILD, ModelSettings(image=full, clip=full, text=None))
    check_augment(AugmentSettings(), ModelSettings(image=frozen, text=text))


def batches(part: Part, policies: list[Policy], settings: AugmentSettings, **changes: Any) -> list[Batch]:
    """Two epochs of batches, or what is asked for."""
    small = Preprocessing(height=16, width=16, num_frames=2)
    augment = augment_of(settings, part, policies, seed=5)
    dataset = ItemDataset(part.items, part.labels, preprocessing=small, augment=augment)
    options = {"batch_size": 4, "epochs": range(2), "num_workers": 0, "sampler": "shuffled"} | changes
    order = order_of(options.pop("sampler"), part.labels, seed=5)
    epochs, workers = options.pop("epochs"), worker_settings(options.pop("num_workers"), seed=0, pin_memory=False)
    sampler = RankBatches(order, **options)
    loader: DataLoader[Any] = DataLoader(dataset, batch_sampler=sampler, collate_fn=Collate(None, small), **workers)
    found = []
    for epoch in epochs:
        order.set_epoch(epoch)
        found += list(loader)
    return found


def pictures(found: list[Batch]) -> list[bytes]:
    """Of each item with its row, in order."""
    rows = [(int(row), one) for batch in found for row, one in zip(batch.index, batch.frames, strict=True)]
    return [bytes([row]) + one.numpy().tobytes() for row, one in rows]


def test_pictures_hang_on_seed_epoch_and_draw_alone(part: Part, policies: list[Policy]) -> None:
    whole = pictures(batches(part, policies, MILD))
    assert len(set(whole)) == 64
    assert whole == pictures(batches(part, policies, MILD))
    resumed = batches(part, policies, MILD, epochs=[1], start=(1, 3))
    assert pictures(resumed) == whole[32 + 3 * 4 :]
    ranks = [pictures(batches(part, policies, MILD, batch_size=2, rank=rank, world_size=2)) for rank in (0, 1)]
    assert [one for both in zip(*ranks, strict=True) for one in both] == whole
    # Where rare items come several times an epoch, each time they look different.
    balanced = pictures(batches(part, policies, MILD, epochs=[0], sampler="policy_balanced"))
    assert len({one[0] for one in balanced}) < len(balanced) == len(set(balanced))


def test_off_changes_no_byte(part: Part, policies: list[Policy]) -> None:
    found = pictures(batches(part, policies, AugmentSettings()))
    dataset = ItemDataset(part.items, part.labels, preprocessing=Preprocessing(height=16, width=16, num_frames=2))
    plain = {index: dataset[index].frames for index in range(32)}
    assert found == [one[:1] + plain[one[0]].tobytes() for one in found]
    augmented = ItemDataset(
        part.items,
        part.labels,
        preprocessing=dataset.preprocessing,
        augment=augment_of(MILD, part, policies, 0),
    )
    assert np.array_equal(augmented[3].frames, plain[3])
    assert not np.array_equal(augmented[Draw(3, 0, 0)].frames, plain[3])


def test_training_alone_is_augmented(arguments: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments("full", augment=MILD, trainer={"max_epochs": 2})
    load, seen = data.loading.load_augmented, []

    def noted(media: list[str], *others: Any, **options: Any) -> Any:
        seen.append(Path(media[0]))
        return load(media, *others, **options)

    monkeypatch.setattr(data.loading, "load_augmented", noted)
    lines = train(**given).lines
    assert len(seen) == 2 * 32
    assert {path.parents[1].name for path in seen} == {"train"}
    assert "mirrored at times: 4 of 32 training items" in lines  # nobody judged them
    content = read_checkpoint(given["out"] / "checkpoints" / "last.ckpt")
    assert content["setpoint"]["config"]["augment"] == MILD.model_dump(mode="json")
    (given["out"] / "metrics.json").unlink()
    with pytest.raises(InputError, match="another configuration"):
        train(**{**given, "augment": MILD.model_copy(update={"brightness": 0.2})})


class Stops(lightning.Callback):
    """Asks this process to stop within a step."""

    def on_before_optimizer_step(self, trainer: Any, *others: Any) -> None:
        if trainer.global_step == 5:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
def test_a_stopped_run_with_workers_ends_as_one_without(
    arguments: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stops_of_this_test", sys.modules[__name__])
    given = arguments("full", augment=MILD, trainer={"max_epochs": 2})
    train(**{**given, "out": tmp_path / "whole"})
    train(**{**given, "out": tmp_path / "plain", "augment": AugmentSettings()})
    given["optim"] = OptimSettings(**{**given["optim"].model_dump(), "num_workers": 2})
    with pytest.raises(Preempted):
        train(**given, callbacks={"stops": {"_target_": "stops_of_this_test.Stops"}})
    train(**given)
    weights = {
        out.name: read_checkpoint(out / "checkpoints" / "last.ckpt")["state_dict"]
        for out in (tmp_path / "whole", tmp_path / "plain", given["out"])
    }
    for name, held in weights["whole"].items():
        assert torch.equal(held, weights["run"][name]), name
    assert any(not torch.equal(held, weights["plain"][name]) for name, held in weights["whole"].items())
