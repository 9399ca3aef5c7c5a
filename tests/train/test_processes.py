"""Two processes over gloo on the CPU against one with the whole batch.

Tolerances: gradients are sums in another order, so they differ by up to 1e-5 of a step's largest. AdamW divides by
their size, so weights with hardly any gradient may differ by a share of the rate: 2e-5. Metrics are the same.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from train.checkpoint import load_checkpoint, read_checkpoint
from train.run import train
from train.settings import FusionSettings, OptimSettings

HERE = Path(__file__).parent
EPOCHS = 2


@pytest.fixture
def uneven(split_folder: Path, tmp_path: Path) -> Path:
    """The split with 31 training and 15 validation posts, half of whose labels are unknown, spread unevenly."""
    import shutil

    shutil.copytree(split_folder, tmp_path / "split")
    for part in ("train", "validation"):
        items = pl.read_parquet(tmp_path / "split" / part / "items.parquet")[:-1]
        items.write_parquet(tmp_path / "split" / part / "items.parquet")
        annotations = pl.read_parquet(tmp_path / "split" / part / "annotations.parquet")
        kept = annotations.filter(pl.col("item_id").is_in(items["item_id"].implode()))
        keep = np.random.default_rng(1).random(len(kept)) < 0.6
        kept.filter(pl.Series(keep)).write_parquet(tmp_path / "split" / part / "annotations.parquet")
    return tmp_path / "split"


def settings(given: dict[str, Any], tune: str) -> list[str]:
    """The command line of a run."""
    model, optim = given["model"], given["optim"]
    return [
        f"split={given['split']}",
        f"policies={given['policies']}",
        f"out={given['out']}",
        f"cache_dir={given['cache_dir']}",
        "preprocessing={height: 32, width: 32, num_frames: 3, max_tokens: 8}",
        f"model.image.source={model.image.source}",
        f"model.text.source={model.text.source}",
        f"model.image.tune={tune}",
        f"model.text.tune={tune}",
        "model.text.layers=[-1,-2]",
        "model.fusion={width: 16, num_layers: 1, num_heads: 2, dropout: 0.0, modality_dropout: 0.0}",
        f"optim.batch_size={optim.batch_size}",
        f"optim.learning_rate={optim.learning_rate}",
        "optim.num_workers=0",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
        f"trainer.max_epochs={EPOCHS}",
        "logger=none",
    ]


def run(*command: str, given: dict[str, Any], recorder: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    named = [f"+callbacks.recorder.{name}={value}" for name, value in recorder.items()]
    return subprocess.run(
        [sys.executable, "-m", *command, *named],
        env={**os.environ, "PYTHONPATH": f"{HERE.parents[1]}:{HERE}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def without_dropout(given: dict[str, Any], batch_size: int) -> dict[str, Any]:
    fusion = FusionSettings(width=16, num_heads=2, dropout=0.0, modality_dropout=0.0)
    model = given["model"].model_copy(update={"fusion": fusion})
    trainer = {**given["trainer"], "max_epochs": EPOCHS}
    return {**given, "model": model, "trainer": trainer, "optim": OptimSettings(batch_size=batch_size)}


def assert_alike(one: Path, two: Path, first: Path, second: Path) -> None:
    """Runs with the same gradients, weights and metrics."""
    steps, others = (torch.load(path, weights_only=True) for path in (first, second))
    assert len(steps) == len(others) == 4 * EPOCHS
    for step, other in zip(steps, others, strict=True):
        assert step.keys() == other.keys()
        largest = max(float(grad.abs().max()) for grad in step.values())
        for name, grad in step.items():
            torch.testing.assert_close(other[name], grad, atol=1e-5 * largest, rtol=1e-3, msg=name)
    assert json.loads((one / "metrics.json").read_text()) == json.loads((two / "metrics.json").read_text())
    weights, others = (read_checkpoint(out / "checkpoints" / "last.ckpt")["state_dict"] for out in (one, two))
    for name, held in weights.items():
        torch.testing.assert_close(others[name], held, atol=2e-5, rtol=1e-3, msg=name)


@pytest.mark.slow
def test_torchrun_with_two_processes_trains_as_one_does(
    arguments: Callable[..., dict[str, Any]], uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    recorder = {"_target_": "recorder.Recorder", "path": str(tmp_path / "one.pt")}
    whole = without_dropout(arguments(out=tmp_path / "one", split=uneven), 8)
    train(**whole, callbacks={"recorder": recorder})
    given = without_dropout(arguments(out=tmp_path / "two", split=uneven, cache_dir=tmp_path / "other"), 4)
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "scripts.cli", "train"]
    done = run(*torchrun, *settings(given, "frozen"), given=given, recorder={**recorder, "path": tmp_path / "two.pt"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(f"train: {EPOCHS} epochs on 31 items") == 1
    assert_alike(tmp_path / "one", tmp_path / "two", tmp_path / "one.pt", tmp_path / "two.pt")


@pytest.mark.slow
def test_fsdp2_on_two_processes_stops_on_a_signal_goes_on_and_ends_as_one_process_does(
    arguments: Callable[..., dict[str, Any]], uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through Lightning's own launcher; the signal comes to the second process."""
    monkeypatch.syspath_prepend(str(HERE))
    recorder = {"_target_": "recorder.Recorder", "path": str(tmp_path / "one.pt")}
    whole = without_dropout(arguments("full", out=tmp_path / "one", split=uneven), 8)
    train(**whole, callbacks={"recorder": recorder})
    given = without_dropout(arguments("full", out=tmp_path / "two", split=uneven), 4)
    strategy = ["strategy._target_=lightning.pytorch.strategies.ModelParallelStrategy"]
    strategy += ["strategy.save_distributed_checkpoint=false"]
    command = ["scripts.cli", "train", *settings(given, "full"), "~trainer.strategy"]
    command += [f"+trainer.{one}" for one in strategy]
    stopped = run(*command, given=given, recorder={**recorder, "stop_at": 5, "rank": 1})
    assert stopped.returncode == 143, stopped.stderr[-3000:]
    assert stopped.stderr.count("stopped by SIGTERM after step 6") == 1
    assert read_checkpoint(given["out"] / "checkpoints" / "last.ckpt")["global_step"] == 6
    done = run(*command, given=given, recorder={**recorder, "path": tmp_path / "two.pt"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert "continued from" in done.stdout
    weights, others = (
        load_checkpoint(tmp_path / name / "checkpoints" / "best.ckpt").network for name in ("one", "two")
    )
    for name, held in weights.state_dict().items():
        torch.testing.assert_close(others.state_dict()[name], held, atol=2e-5, rtol=1e-3, msg=name)
