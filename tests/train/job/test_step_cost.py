"""What a step leaves out to be cheap changes nothing that is drawn, called or logged; and it is left out."""

import csv
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, ClassVar

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, LambdaCallback
from lightning.pytorch.profilers import PassThroughProfiler, SimpleProfiler

from train.job.idle_hooks import STEP_HOOKS, NoProfiler, leave_out_idle_hooks
from train.job.module import PolicyClassifier, batch_seeds, seed_device
from train.job.trainer import build_trainer
from train.network.precision import without_autocast
from train.run import train

Arguments = Callable[..., dict[str, Any]]
CPU = {"_target_": "lightning.Trainer", "accelerator": "cpu", "devices": 1}
# Calls of Python functions, from the end of a step to that of the next: Lightning's, the job's, the monitor's.
MOST_CALLS = {"lightning": 520, "train/job": 80, "train/monitoring": 10}


def test_seeding_the_device_draws_what_seeding_everything_draws() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    seed_device(torch.device("cpu"), 7)
    assert torch.equal(torch.rand(3), expected)


def test_seeds_of_batches_hang_on_run_epoch_process_and_batch_alone() -> None:
    seeds = batch_seeds(3, 1, 0, 100)
    assert batch_seeds(3, 1, 0, 5).tolist() == seeds[:5].tolist()
    assert batch_seeds(3, 1, 0, 100).tolist() == seeds.tolist()
    others = [batch_seeds(*place, 100) for place in ((4, 1, 0), (3, 2, 0), (3, 1, 1))]
    assert len(np.unique(np.concatenate([seeds, *others]))) == 400


class LossOfStep(Callback):
    """Reads the loss as callbacks do that stop on it."""

    read: ClassVar[list[float]] = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.read.append(float(trainer.callback_metrics["train/loss"]))


@pytest.mark.parametrize(("accumulated", "expected"), [(1, [2, 5, 8, 11]), (2, [2, 5])])
def test_the_loss_is_logged_once_every_so_many_steps(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch, accumulated: int, expected: list[int]
) -> None:
    monkeypatch.setitem(sys.modules, "loss_of_this_test", sys.modules[__name__])
    LossOfStep.read.clear()
    given = arguments(callbacks={"loss": {"_target_": "loss_of_this_test.LossOfStep"}})
    given["trainer"] |= {"log_every_n_steps": 3, "accumulate_grad_batches": accumulated}  # 12 batches, 4 an epoch
    given["logger"] = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(given["out"])}
    train(**given)
    (logged,) = given["out"].rglob("metrics.csv")
    with logged.open() as file:
        losses = {int(row["step"]): float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]}
    assert list(losses) == expected
    assert len(LossOfStep.read) == 3
    assert LossOfStep.read[-1] == pytest.approx(losses[expected[-1]], rel=1e-4)


class Calls(Callback):
    """Counts calls of Python functions by folder, from the end of the third step to that of the fourth."""

    counted: ClassVar[Counter[str]] = Counter()

    def on_train_batch_end(self, trainer: lightning.Trainer, *given: Any) -> None:
        sys.setprofile(self._count if trainer.global_step == 3 else None)

    def _count(self, frame: FrameType, event: str, given: Any) -> None:
        if event == "call":
            self.counted.update(one for one in MOST_CALLS if f"/{one}/" in frame.f_code.co_filename)


def test_a_step_calls_few_functions(arguments: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calls_of_this_test", sys.modules[__name__])
    Calls.counted.clear()
    train(**arguments(callbacks={"calls": {"_target_": "calls_of_this_test.Calls"}}))
    assert all(0 < Calls.counted[folder] <= most for folder, most in MOST_CALLS.items()), Calls.counted


class Before(Callback):
    """Overrides one hook of a step."""

    def on_before_optimizer_step(self, *given: Any) -> None:
        """Does nothing, but is asked to."""


def test_only_hooks_that_nobody_overrides_are_left_out() -> None:
    idle, own, lent = Callback(), Before(), LambdaCallback(on_after_backward=lambda *given: None)
    trainer = lightning.Trainer(accelerator="cpu", logger=False, barebones=True)
    trainer.callbacks = [idle, own, lent]  # type: ignore[attr-defined]
    job = lightning.LightningModule()
    leave_out_idle_hooks(trainer, job)

    def called(owner: object) -> list[str]:
        return [name for name in STEP_HOOKS if callable(getattr(owner, name))]

    assert [called(one) for one in (idle, own, lent, job)] == [
        [],
        ["on_before_optimizer_step"],
        ["on_after_backward"],
        [],
    ]
    assert callable(PolicyClassifier.on_train_batch_start)
    assert callable(idle.on_train_epoch_end)


def test_a_profiler_that_was_asked_for_stays(tmp_path: Any) -> None:
    def profiler_of(asked: str | None) -> Any:
        trainer = {**CPU, "profiler": asked}
        made = build_trainer(trainer, callbacks=[], extra_callbacks=None, logged=False, out=tmp_path)
        return made.profiler  # type: ignore[attr-defined]

    assert isinstance(profiler_of("simple"), SimpleProfiler)
    assert isinstance(profiler_of(None), NoProfiler)
    assert isinstance(profiler_of(None), PassThroughProfiler)


@pytest.mark.parametrize("is_on", [True, False])
def test_autocast_is_off_where_it_must_be_and_back_after(is_on: bool) -> None:
    around: AbstractContextManager[Any] = torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_on)
    left = torch.ones(2, 2)
    with around:
        with without_autocast("cpu"):
            assert (left @ left).dtype == torch.float32
        assert (left @ left).dtype == (torch.bfloat16 if is_on else torch.float32)
