"""Two processes over gloo on the CPU against one with the whole batch.

Tolerances: gradients are sums in another order, so they differ by up to 1e-5 of a step's largest. AdamW divides by
their size, so weights with hardly any gradient may differ by a share of the rate: 2e-5. Metrics are the same.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from train.job.checkpoint import load_checkpoint, read_checkpoint
from train.optim.averaging import TRAINED
from train.run import train
from train.settings import FusionSettings, ImageSettings, ModelSettings, OptimSettings, TextSettings

HERE = Path(__file__).parent
EPOCHS = 2


@pytest.fixture
def uneven(split_folder: Path, tmp_path: Path) -> Path:
    """The split with 31 training and 15 validation posts: half the labels unknown, half the captions empty.

    So in some batches one process has nothing to read and another has.
    """
    shutil.copytree(split_folder, tmp_path / "split")
    for part in ("train", "validation"):
        items = pl.read_parquet(tmp_path / "split" / part / "items.parquet")[:-1]
        reads = pl.Series(np.random.default_rng(2).random(len(items)) < 0.5)
        items = items.with_columns(pl.when(reads).then("caption").alias("caption"))
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
        f"optim.probe_strength={optim.probe_strength}",
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
        env={**os.environ, "PYTHONPATH": f"{HERE.parents[2]}:{HERE}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def without_dropout(given: dict[str, Any], batch_size: int) -> dict[str, Any]:
    fusion = FusionSettings(width=16, num_heads=2, dropout=0.0, modality_dropout=0.0)
    model = given["model"].model_copy(update={"fusion": fusion})
    trainer = {**given["trainer"], "max_epochs": EPOCHS}
    return {
        **given,
        "model": model,
        "trainer": trainer,
        "optim": OptimSettings(batch_size=batch_size, probe_strength=0.1),
    }


def assert_alike(one: Path, two: Path, first: Path, second: Path) -> None:
    """Runs with the same gradients, weights and metrics."""
    steps, others = (torch.load(path, weights_only=True) for path in (first, second))
    assert len(steps) == 4 * EPOCHS
    steps = steps[-len(others) :]
    for step, other in zip(steps, others, strict=True):
        assert step.keys() == other.keys()
        largest = max(float(grad.abs().max()) for grad in step.values())
        for name, grad in step.items():
            torch.testing.assert_close(other[name], grad, atol=1e-5 * largest, rtol=1e-3, msg=name)
    assert json.loads((one / "metrics.json").read_text()) == json.loads((two / "metrics.json").read_text())
    weights, others = (load_checkpoint(out / "checkpoints" / "best.ckpt").network.state_dict() for out in (one, two))
    for name, held in weights.items():
        torch.testing.assert_close(others[name], held, atol=2e-5, rtol=1e-3, msg=name)
    last, other = (read_checkpoint(out / "checkpoints" / "last.ckpt") for out in (one, two))
    for part in {"state_dict", TRAINED} & last.keys():
        assert last[part].keys() == other[part].keys()
        for name, held in last[part].items():
            torch.testing.assert_close(other[part][name], held, atol=2e-5, rtol=1e-3, msg=name)


@pytest.fixture
def still(encoder_folder: Callable[[str], str], tmp_path: Path) -> Callable[[str], str]:
    """Makes the folder of a tiny random encoder that drops nothing out: what is dropped hangs on the process."""

    def folder_of(kind: str) -> str:
        shutil.copytree(encoder_folder(kind), tmp_path / kind)
        path = tmp_path / kind / "config.json"
        config = json.loads(path.read_text())
        none = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
        path.write_text(json.dumps({**config, **none}))
        return str(tmp_path / kind)

    return folder_of


STRATEGIES: dict[str, Any] = {
    "ddp": "ddp",
    "fsdp2": {"_target_": "lightning.pytorch.strategies.ModelParallelStrategy", "save_distributed_checkpoint": False},
}


@pytest.mark.slow
def test_a_run_of_lightnings_launcher_stops_on_a_signal_and_goes_on_under_torchrun_as_one_process_does(
    arguments: Callable[..., dict[str, Any]], uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes to the second process."""
    monkeypatch.syspath_prepend(str(HERE))
    recorder = {"_target_": "recorder.Recorder", "path": str(tmp_path / "one.pt")}
    whole = without_dropout(arguments(out=tmp_path / "one", split=uneven), 8)
    train(**whole, callbacks={"recorder": recorder})
    given = without_dropout(arguments(out=tmp_path / "two", split=uneven, cache_dir=tmp_path / "other"), 4)
    command = ["scripts.cli", "train", *settings(given, "frozen")]
    stopped = run(*command, given=given, recorder={**recorder, "stop_at": 1, "rank": 1})
    assert stopped.returncode == 143, stopped.stderr[-3000:]
    assert stopped.stderr.count("stopped by SIGTERM after step 2") == 1
    assert read_checkpoint(given["out"] / "checkpoints" / "last.ckpt")["global_step"] == 2
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *command]
    done = run(*torchrun, given=given, recorder={**recorder, "path": tmp_path / "two.pt"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(f"train: {EPOCHS} epochs on 31 items") == done.stdout.count("continued from") == 1
    assert_alike(tmp_path / "one", tmp_path / "two", tmp_path / "one.pt", tmp_path / "two.pt")


@pytest.mark.slow
def test_ddp_and_fsdp2_with_everything_on_stop_go_on_and_end_as_one_process_does(
    arguments: Callable[..., dict[str, Any]],
    still: Callable[[str], str],
    uneven: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Averages, unfreezing, an encoder tuned as a whole and one by adapters; and processes that die or hang."""
    monkeypatch.syspath_prepend(str(HERE))
    from drive_processes import Run, together

    model = ModelSettings(
        image=ImageSettings(source=still("vit"), tune="full", unfreeze_over=0.8),
        text=TextSettings(source=still("bert"), tune="lora", unfreeze_over=0.8),
        fusion=FusionSettings(width=16, num_heads=2, dropout=0.0, modality_dropout=0.0),
    )
    optim = OptimSettings(batch_size=8, encoder_learning_rate=1e-4, ema_decay=0.9, probe_strength=0.1)
    one = arguments(model=model, optim=optim, split=uneven, out=tmp_path / "one", trainer={"max_epochs": EPOCHS})

    def watched(given: dict[str, Any], **changes: Any) -> dict[str, Any]:
        path = f"{given['out']}.pt"
        return {**given, "callbacks": {"recorder": {"_target_": "recorder.Recorder", "path": path, **changes}}}

    runs = [Run(watched(one), (0,))]
    stopped, killed = 128 + signal.SIGTERM, -signal.SIGKILL
    for name, strategy in STRATEGIES.items():
        two = {**one, "out": tmp_path / name, "optim": optim.model_copy(update={"batch_size": 4})}
        two["trainer"] = {**one["trainer"], "devices": 2, "strategy": strategy}
        runs += [Run(watched(two, stop_at=5, rank=1), (stopped, stopped)), Run(watched(two), (0, 0))]
        lost = {**two, "out": tmp_path / "lost", "overwrite": True}
        runs.append(Run(watched(lost, stop_at=2, rank=1, signum=int(signal.SIGKILL)), (2, killed)))
        runs.append(Run(watched(lost, stop_at=2, rank=1, signum=int(signal.SIGSTOP)), (2, killed), longest_step=3))
    said = together(tmp_path, *runs)
    for name in STRATEGIES:
        assert_alike(tmp_path / "one", tmp_path / name, tmp_path / "one.pt", tmp_path / f"{name}.pt")
    assert said.count("process 0 lost another of this run, which ended or hangs") == 4
