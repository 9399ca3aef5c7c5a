"""Experiments, debug modes, searches and launchers of the command line, for real, on the tiny split.

What an experiment asks of GPUs is put back to one CPU process; that part waits for a machine that has them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from data.errors import InputError
from data.preprocessing import Preprocessing
from scripts.cli import run
from scripts.verbs import find_verb, groups_of
from train.job.checkpoint import read_checkpoint
from train.run import train

TRAIN = find_verb("train")
assert TRAIN is not None
GROUPS = groups_of(TRAIN)
PROJECT = Path(__file__).resolve().parent.parent.parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
SIZES = ("height", "width", "num_frames", "max_tokens")
QUICK = ("demo", "ddp")  # one for one device, one for several; a rehearsal on a CPU tells the others little apart
ON_CPU = ["trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=1", "trainer.strategy=auto"]


@pytest.fixture
def tiny(
    encoder_folder: Callable[[str], str],
    split_folder: Path,
    small: Preprocessing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Overrides of `setpoint train` for a run of a second in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return [
        *(f"split={split_folder}", f"policies={split_folder}/policies", "project=tiny", "cache_dir=cache"),
        *(
            f"data.preprocessing.{key}={getattr(small, key)}"
            for key in ("height", "width", "num_frames", "max_tokens")
        ),
        *(f"model.image.source={encoder_folder('timm')}", f"model.text.source={encoder_folder('bert')}"),
        *("model.fusion.width=16", "model.fusion.num_heads=2", "optim.num_workers=0", "optim.batch_size=8"),
    ]


@pytest.mark.parametrize(
    "experiment",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in GROUPS["experiment"]],
)
def test_every_experiment_survives_a_rehearsal(
    experiment: str, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", f"experiment={experiment}", "debug=fdr", *ON_CPU, *tiny]) == 0
    assert "fast_dev_run went through; nothing was kept" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if path.name != "split"] == ["cache"]


def test_a_rehearsal_leaves_a_finished_run_alone(tiny: list[str], tmp_path: Path) -> None:
    finished = tmp_path / "outputs/tiny/train/metrics.json"
    finished.parent.mkdir(parents=True)
    finished.write_text("{}")
    assert run(["train", "debug=fdr", *ON_CPU, *tiny]) == 0
    assert [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()] == [finished]
    assert finished.read_text() == "{}"


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped(
    precision: str, arguments: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from train.job.module import PolicyClassifier

    norms: list[float] = []

    def measure(self: PolicyClassifier, *given: Any) -> None:
        gradients = [weight.grad for weight in self.parameters() if weight.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))

    monkeypatch.setattr(PolicyClassifier, "on_train_batch_end", measure)
    train(**arguments(trainer={"precision": precision, "gradient_clip_val": 0.01, "max_epochs": 1}))
    assert len(norms) == 4
    assert max(norms) == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(InputError, match="use bf16-mixed, or gradient_clip_val=null"):
        train(**arguments(trainer={"precision": "16-mixed", "gradient_clip_val": 1.0}))


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 1, reason="no CUDA device")
@pytest.mark.parametrize("experiment", ["gpu", "ddp", "fsdp2"])
def test_gpu_experiments_survive_a_rehearsal_on_gpus(experiment: str, tiny: list[str]) -> None:
    devices = 1 if experiment == "gpu" else torch.cuda.device_count()
    assert run(["train", f"experiment={experiment}", "debug=fdr", f"trainer.devices={devices}", *tiny]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", [mode for mode in GROUPS["debug"] if mode != "fdr"])
def test_debug_modes_have_a_folder_of_their_own_and_may_be_repeated(
    mode: str, tiny: list[str], tmp_path: Path
) -> None:
    given = ["train", f"debug={mode}", "trainer.limit_train_batches=2", "trainer.limit_val_batches=2", *tiny]
    given += ["trainer.max_epochs=1"]
    out = tmp_path / "outputs/tiny/debug" / mode
    for _ in range(2):
        assert run(given) == 0
        assert (out / "metrics.json").is_file()
        assert (out / "logs/csv/version_0/metrics.csv").is_file()
    assert list((tmp_path / "outputs/tiny").iterdir()) == [out.parent]
    assert bool(list(out.glob("*profile*"))) == mode.startswith("profiler")
    assert run([*given, f"out={tmp_path / 'mine'}"]) == 0
    assert run([*given, f"out={tmp_path / 'mine'}", "seed=1"]) == 2  # a run of yours is not replaced


@pytest.mark.slow
def test_two_batches_can_be_learned_by_heart(tiny: list[str], tmp_path: Path) -> None:
    given = ["optim.learning_rate=3e-3", "trainer.log_every_n_steps=1", "optim.probe_strength=0"]
    assert run(["train", "debug=overfit", *tiny, *given]) == 0
    curves = pl.read_csv(tmp_path / "outputs/tiny/debug/overfit/logs/csv/version_0/metrics.csv")
    losses = curves.drop_nulls("train/loss").sort("step")["train/loss"]
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.slow
def test_a_search_climbs_and_names_its_best(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searched = ["hydra.sweeper.n_trials=3", "logger=none", "trainer.max_epochs=1", "optim.probe_strength=0"]
    assert run(["train", "experiment=optuna", *tiny, *searched]) == 0
    out = tmp_path / "outputs/tiny/train"
    found = yaml.safe_load((out / "optimization_results.yaml").read_text())
    means = []
    for trial in range(3):
        metrics = json.loads((out / str(trial) / "metrics.json").read_text())["validation"]
        known = [one["average_precision"] for one in metrics.values()]
        means.append(sum(known) / len(known))
    assert found["best_value"] == pytest.approx(max(means))
    configs = [yaml.safe_load((out / str(trial) / "config.yaml").read_text()) for trial in range(3)]
    best = configs[means.index(max(means))]
    assert best["optim"]["learning_rate"] == pytest.approx(found["best_params"]["optim.learning_rate"])
    assert len({config["optim"]["learning_rate"] for config in configs}) == 3
    assert f"best: {max(means):.4f} with " in capsys.readouterr().out


@pytest.mark.slow
def test_a_failed_trial_ends_a_search_with_its_message(tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    given = ["train", "hparams_search=random", *tiny, "policies=nowhere", "hydra.sweeper.n_trials=2"]
    assert run(given) == 2
    said = capsys.readouterr().err
    assert "nowhere: no such folder" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_submitit_launches_processes_that_run_and_fail_as_they_would_here(
    tiny: list[str], split_folder: Path, tmp_path: Path
) -> None:
    given = ["train", "launcher=local", "logger=none", "trainer.max_epochs=1", *tiny]
    assert run([*given, f"policies={split_folder}/policies,nowhere"]) == 2
    out = tmp_path / "outputs/tiny"
    assert (out / "train/0/metrics.json").is_file()
    assert not (out / "train/1").is_dir() or not list((out / "train/1").iterdir())
    said = "".join(path.read_text() for path in (out / "launched").rglob("*_log.*"))
    assert "train: 1 epochs on 32 items" in said
    assert "nowhere: no such folder" in said


@pytest.mark.slow
def test_each_job_of_a_sweep_starts_a_process_for_each_device(tiny: list[str], tmp_path: Path) -> None:
    """Lightning starts the second one by the command of the first, which in a sweep is that of the job alone.

    Without a sweep: tests/train/job/test_processes.py.
    """
    given = ["train", "trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=1", "logger=none", *tiny]
    command = [sys.executable, "-m", "scripts.cli", *given, "-m", "seed=0,1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **ONE_THREAD})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("train: 1 epochs on 32 items") == 2
    out = tmp_path / "outputs/tiny/train"
    for folder in (out / "0", out / "1"):
        assert json.loads((folder / "metrics.json").read_text())["epochs"] == 1
        assert read_checkpoint(folder / "checkpoints/last.ckpt")["global_step"] == 2  # 32 posts, 2 x 8 a step
    assert len(list(out.rglob("metrics.json"))) == 2
