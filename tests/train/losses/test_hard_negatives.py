import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.augment import Draw
from data.loading import ItemDataset
from data.policy import load_policies
from train.inputs.parts import read_split
from train.job.callbacks import KeepBestAndLast
from train.job.checkpoint import read_checkpoint
from train.losses.hard_negatives import KEY, hard_negative_weights
from train.losses.settings import BCE
from train.run import train
from train.settings import FusionSettings

Arguments = Callable[..., dict[str, Any]]
Stopped = Callable[[int], AbstractContextManager[None]]
NAN = float("nan")


def test_weights_follow_the_highest_harmless_score() -> None:
    logits = np.array([[0, 50], [-50, 0], [50, 50], [NAN, NAN], [0, 0]], dtype=np.float32)
    labels = np.array([[0, 0], [0, 0], [1, NAN], [0, 0], [0, 1]], dtype=np.float32)
    weights = hard_negative_weights(logits, labels, 4.0)
    np.testing.assert_allclose(weights, [5.0, 3.0, 1.0, 1.0, 3.0])
    np.testing.assert_array_equal(hard_negative_weights(logits, labels, 0.0), np.ones(5))


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The items that training asks for, in order, from now on."""
    seen: list[int] = []
    get = ItemDataset.__getitem__

    def noted(self: ItemDataset, key: Draw | int) -> Any:
        if len(self) == 32:  # the training part
            seen.append(key.index if isinstance(key, Draw) else key)
        return get(self, key)

    monkeypatch.setattr(ItemDataset, "__getitem__", noted)
    return seen


def test_hard_negatives_are_drawn_more_often(arguments: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(loss=BCE(hard_negatives=30.0))
    given["optim"] = given["optim"].model_copy(update={"learning_rate": 1e-9, "probe_strength": 0.0})
    seen = drawn(monkeypatch)
    train(**given)
    content = read_checkpoint(given["out"] / "checkpoints" / "last.ckpt")[KEY]
    labels = read_split(given["split"], load_policies(given["policies"])).train.labels
    expected = hard_negative_weights(content["logits"].numpy(), labels, 30.0)
    np.testing.assert_array_equal(content["weights"].numpy(), expected)
    # The probe reads each item once; then come three epochs of 32.
    first, *others = np.array(seen[-96:]).reshape(3, 32)
    assert sorted(first) == list(range(32))
    harmless = (labels == 0).any(1)
    assert np.bincount(np.concatenate(others), minlength=32)[harmless].mean() > 2.0


@pytest.mark.parametrize("step", [5, 8])
def test_a_stopped_run_mines_like_one_that_was_not(
    arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_before: Stopped, step: int
) -> None:
    """Cut within the first epoch that draws by weight, and between two of them."""
    settings = {"loss": BCE(hard_negatives=30.0), "checkpoint_every_n_steps": 1}
    whole, stopped = (arguments(out=tmp_path / name, **settings) for name in ("whole", "stopped"))
    with monkeypatch.context() as patch:
        expected = drawn(patch)
        train(**whole)
    with stopped_before(step):
        train(**stopped)
    found = drawn(monkeypatch)
    summary = train(**stopped)
    assert any("continued from" in line for line in summary.lines)
    assert found[32:] == expected[-(96 - 8 * step) :]  # after the linear fit read each item once
    first, second = (read_checkpoint(one["out"] / "checkpoints" / "last.ckpt") for one in (whole, stopped))
    for key, held in first["state_dict"].items():
        assert torch.equal(held, second["state_dict"][key]), key
    for key, held in first[KEY].items():
        assert torch.equal(held, second[KEY][key]), key


def test_going_on_from_the_best_epoch_draws_as_the_run_did(
    arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """best.ckpt is written before an epoch's end weighs the items anew."""
    whole, other = (arguments(out=tmp_path / name, loss=BCE(hard_negatives=30.0)) for name in ("whole", "other"))
    end = KeepBestAndLast.on_validation_end

    def copies(self: KeepBestAndLast, trainer: Any, module: Any) -> None:
        end(self, trainer, module)
        if trainer.current_epoch == 0:
            shutil.copy(tmp_path / "whole" / "checkpoints" / "best.ckpt", tmp_path / "first.ckpt")

    with monkeypatch.context() as patch:
        patch.setattr(KeepBestAndLast, "on_validation_end", copies)
        train(**whole)
    train(**other, ckpt_path=str(tmp_path / "first.ckpt"))
    first, second = (read_checkpoint(one["out"] / "checkpoints" / "last.ckpt") for one in (whole, other))
    for key, held in first["state_dict"].items():
        assert torch.equal(held, second["state_dict"][key]), key


@pytest.mark.slow
def test_processes_share_what_they_saw(arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "job"))
    from drive_processes import Run, together

    given = arguments(loss=BCE(hard_negatives=30.0), trainer={"devices": 2, "strategy": "ddp", "max_epochs": 2})
    given["optim"] = given["optim"].model_copy(update={"batch_size": 4, "learning_rate": 1e-9})
    given["model"] = given["model"].model_copy(
        update={"fusion": FusionSettings(width=16, num_heads=2, dropout=0.0, modality_dropout=0.0)}
    )
    together(tmp_path, Run(given, (0, 0)))
    held = read_checkpoint(given["out"] / "checkpoints" / "last.ckpt")[KEY]
    assert held["logits"].isfinite().all()  # each process saw half of them in the first epoch
    # The network hardly moves and drops nothing: one process sees the same logits, and draws by the same weights.
    alone = arguments(loss=given["loss"], model=given["model"], out=tmp_path / "alone", trainer={"max_epochs": 2})
    alone["optim"] = given["optim"].model_copy(update={"batch_size": 8})
    train(**alone)
    expected = read_checkpoint(alone["out"] / "checkpoints" / "last.ckpt")[KEY]
    torch.testing.assert_close(held["logits"], expected["logits"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(held["weights"], expected["weights"], atol=1e-5, rtol=1e-5)
