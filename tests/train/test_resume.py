import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from train.checkpoint import read_checkpoint
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


def assert_same_run(whole: Path, killed: Path) -> None:
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
    assert seen_in(whole)[0] == seen_in(killed)[0]


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
        steps = sorted(generator.choice(np.arange(1, num_steps), 5, replace=False).tolist())
        deaths = [Death(str(generator.choice(HOOKS)), step) for step in steps]
        if number < 2:
            deaths[-1] = Death(seconds=float(generator.uniform(0, 0.05)))
        out = tmp_path / f"killed{number}"
        pairs.append((given["out"], out))
        trials.append(Trial({**given, "out": out}, tuple(deaths)))
    assert sum(len(trial.deaths) for trial in trials) == 20
    (tmp_path / "trials").write_bytes(pickle.dumps(trials))
    paths = os.pathsep.join([str(DRIVER.parent), str(DRIVER.parents[2])])
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
