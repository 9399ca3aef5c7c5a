import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from data.augment import Draw
from data.errors import Preempted
from train.inputs.order import EpochOrder, RankBatches
from train.job.checkpoint import read_checkpoint
from train.run import train
from train.settings import OptimSettings

DRIVER = Path(__file__).with_name("drive_kills.py")
HOOKS = ("on_train_batch_start", "on_before_optimizer_step", "on_train_batch_end", "on_validation_batch_end")


def checkpoint(out: Path, name: str) -> dict[str, Any]:
    return read_checkpoint(out / "checkpoints" / f"{name}.ckpt")


def seen_in(out: Path) -> tuple[dict[tuple[int, int], list[int]], list[tuple[int, int]]]:
    """Items by epoch and batch, and the places at which runs began."""
    items: dict[tuple[int, int], list[int]] = {}
    begun, fresh = [], True
    for line in (out / "seen.jsonl").read_text().splitlines():
        if line == "started":
            fresh = True
            continue
        read = json.loads(line)
        place = (read["epoch"], read["batch"])
        assert items.setdefault(place, read["items"]) == read["items"], "a batch came again with other items"
        if fresh:
            begun.append(place)
        fresh = False
    return items, begun


def assert_same_weights(whole: Path, killed: Path) -> None:
    for name in ("best", "last"):
        first, second = checkpoint(whole, name), checkpoint(killed, name)
        for key, held in first["state_dict"].items():
            assert torch.equal(held, second["state_dict"][key]), (name, key)
        for one, other in zip(first["optimizer_states"], second["optimizer_states"], strict=True):
            for index, state in one["state"].items():
                assert all(torch.equal(held, other["state"][index][key]) for key, held in state.items())
        assert first["lr_schedulers"] == second["lr_schedulers"]
        assert first["callbacks"].keys() == second["callbacks"].keys()
        assert first["global_step"] == second["global_step"]
        assert first["epoch"] == second["epoch"]
    assert (whole / "metrics.json").read_bytes() == (killed / "metrics.json").read_bytes()


def assert_same_run(whole: Path, killed: Path) -> None:
    assert_same_weights(whole, killed)
    assert seen_in(whole)[0] == seen_in(killed)[0]


class Signals(lightning.Callback):
    """Sends this process a signal within a step."""

    def __init__(self, signum: int, step: int) -> None:
        self.signum, self.step = signum, step

    def on_before_optimizer_step(self, trainer: Any, *others: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.signum)


@pytest.mark.parametrize(
    ("signum", "changes"),
    [
        pytest.param(signal.SIGTERM, {}, marks=pytest.mark.slow),
        (signal.SIGINT, {"accumulate_grad_batches": 2, "val_check_interval": 0.5}),
    ],
)
def test_a_signal_ends_the_step_keeps_its_state_and_leaves(
    arguments: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals, changes: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, "signals_of_this_test", sys.modules[__name__])
    target = {"_target_": "signals_of_this_test.Signals", "signum": int(signum), "step": 4}
    given = arguments(checkpoint_every_n_minutes=None)
    given["trainer"] = {**given["trainer"], "max_epochs": 3, **changes}
    before = signal.getsignal(signum)
    train(**{**given, "out": tmp_path / "whole"})
    with pytest.raises(Preempted, match=f"stopped by {signum.name} after step 5") as stopped:
        train(**given, callbacks={"signals": target})
    assert stopped.value.exit_code == 128 + signum
    assert signal.getsignal(signum) is before
    last = checkpoint(given["out"], "last")
    assert last["global_step"] == 5
    assert not (given["out"] / "metrics.json").exists()
    train(**given)
    assert_same_weights(tmp_path / "whole", given["out"])


@pytest.mark.slow
def test_slurm_requeues_what_it_signals(arguments: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "signals_of_this_test", sys.modules[__name__])
    (tmp_path / "bin").mkdir()
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/asked\n")
    scontrol.chmod(0o755)
    slurm = {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "0"}
    slurm |= {"SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NTASKS_PER_NODE": "1"}
    for name, value in {**slurm, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}.items():
        monkeypatch.setenv(name, value)
    given = arguments()
    target = {"_target_": "signals_of_this_test.Signals", "signum": int(signal.SIGUSR1), "step": 4}
    with pytest.raises(Preempted, match="the job is requeued"):
        train(**given, callbacks={"signals": target})
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    assert sorted(path.name for path in given["out"].glob("**/*.ckpt")) == ["best.ckpt", "last.ckpt"]
    assert any("continued from" in line for line in train(**given).lines)


def test_what_was_skipped_is_not_loaded() -> None:
    loaded: list[int] = []

    class Items(Dataset[int]):
        def __getitem__(self, draw: Draw) -> int:
            loaded.append(draw.index)
            return draw.index

    order = EpochOrder([np.arange(20)], 20, 0)
    whole = [[draw.index for draw in batch] for batch in RankBatches(order, batch_size=4)]
    batches = RankBatches(EpochOrder([np.arange(20)], 20, 0), batch_size=4, start=(0, 3))
    loader: DataLoader[int] = DataLoader(Items(), batch_sampler=batches)
    assert [batch.tolist() for batch in loader] == whole[3:]
    assert loaded == [item for batch in whole[3:] for item in batch]
    with_workers: DataLoader[int] = DataLoader(Items(), batch_sampler=batches, num_workers=1)
    assert [batch.tolist() for batch in with_workers] == whole[3:]


@pytest.mark.slow
def test_twenty_kills_leave_runs_that_end_like_one_never_stopped(
    arguments: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 at random steps: identical weights, moments, metrics and sampled order."""
    monkeypatch.syspath_prepend(str(DRIVER.parent))
    from drive_kills import Death, Trial

    trainer = {**arguments()["trainer"], "max_epochs": 2}
    often = {"checkpoint_every_n_steps": 1, "trainer": {**trainer, "val_check_interval": 0.5}}
    accumulating = {**trainer, "accumulate_grad_batches": 2, "val_check_interval": 0.25}
    variants: list[dict[str, Any]] = [
        often,
        {"checkpoint_every_n_steps": 2, "trainer": accumulating, "sampler": "policy_balanced"},
        {"checkpoint_every_n_steps": None},
        {**often, "tune": "full", "num_workers": 2},
    ]
    num_deaths = (6, 6, 6, 2)  # workers take seconds to start
    generator = np.random.default_rng(4)
    trials: list[Trial] = []
    pairs: list[tuple[Path, Path]] = []
    for number, changes in enumerate(variants):
        loading = {name: changes.pop(name) for name in ("sampler", "num_workers") if name in changes}
        optim = OptimSettings(batch_size=3, learning_rate=1e-3, probe_strength=0.1, **loading)
        given = arguments(**{"trainer": trainer, **changes, "optim": optim, "out": tmp_path / f"whole{number}"})
        if "tune" not in changes:  # text alone loads fastest
            given["model"] = given["model"].model_copy(update={"image": None, "respect_evidence": False})
        trials.append(Trial(given))
        num_steps = 11 * 2 // given["trainer"].get("accumulate_grad_batches", 1)
        steps = sorted(generator.choice(np.arange(1, num_steps), num_deaths[number], replace=False).tolist())
        deaths = [Death(str(generator.choice(HOOKS)), step) for step in steps]
        if number < 2:
            deaths[-1] = Death(seconds=float(generator.uniform(0, 0.05)))
        out = tmp_path / f"killed{number}"
        pairs.append((given["out"], out))
        trials.append(Trial({**given, "out": out}, tuple(deaths)))
    assert sum(len(trial.deaths) for trial in trials) == 20
    (tmp_path / "trials").write_bytes(pickle.dumps(trials))
    paths = os.pathsep.join([str(DRIVER.parent), str(DRIVER.parents[3])])
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(tmp_path / "trials")],
        check=False,
        timeout=250,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    begun = []
    for whole, killed in pairs:
        assert_same_run(whole, killed)
        begun += seen_in(killed)[1][1:]
    # Most of them went on within an epoch: what was skipped was not loaded again.
    assert sum(batch > 0 for _, batch in begun) >= 10
