"""Loggers really write: wandb offline under one id over a resume, nothing of the machine; CSV, TensorBoard too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import auc, precision_recall_curve

from train.monitoring.loggers import WANDB_RUN_ID, curve_points
from train.run import train

Arguments = Callable[..., dict[str, Any]]


class StoppedError(RuntimeError):
    pass


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, "")  # so that what the code sets is undone
        monkeypatch.delenv(name)


def stop_in_second_epoch(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until step 5, and die there."""
    from train.job.module import PolicyClassifier

    def dies(self: PolicyClassifier, batch: Any, batch_idx: int) -> None:
        if self.global_step == 5:
            raise StoppedError
        return start(self, batch, batch_idx)

    start = PolicyClassifier.on_train_batch_start
    with monkeypatch.context() as patched, pytest.raises(StoppedError):
        patched.setattr(PolicyClassifier, "on_train_batch_start", dies)
        train(**given)


def records(folder: Path) -> bytes:
    [file] = folder.glob("*.wandb")
    return file.read_bytes()


@pytest.mark.slow
def test_wandb_writes_offline_and_goes_on_under_its_id(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    logger = {
        "_target_": "train.monitoring.loggers.wandb_logger",
        "run": str(out),
        "project": "p",
        "save_dir": str(tmp_path),
    }
    artifact = {"artifact": {"_target_": "train.monitoring.loggers.CheckpointArtifact"}}
    given = arguments(
        logger={**logger, "system_metrics": False}, callbacks=artifact, trainer={"log_every_n_steps": 1}
    )
    stop_in_second_epoch(given, monkeypatch)
    run_id = (out / WANDB_RUN_ID).read_text().strip()
    train(**given)
    assert (out / WANDB_RUN_ID).read_text().strip() == run_id
    parts = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(parts) == 2
    assert all(part.name.endswith(f"-{run_id}") for part in parts)
    for part in parts:
        content = records(part)
        for words in (b"train/loss", b"val/mean_average_precision", b"val/red/precision_recall", b"encoder_learning"):
            assert words in content
        for secret in ("machine-that-trains", str(Path.home()), str(Path.cwd())):
            assert secret.encode() not in content
        assert list(part.glob("files/requirements.txt")) == []
        assert list(part.glob("files/wandb-metadata.json")) == []
    assert b"best.ckpt" in records(parts[1])
    assert "best.ckpt" not in str(records(parts[0]))
    said = capfd.readouterr()
    assert "wandb" not in said.out + said.err


@pytest.mark.parametrize("kind", ["csv", pytest.param("tensorboard", marks=pytest.mark.slow)])
def test_a_resumed_run_keeps_what_was_logged(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    logs = tmp_path / "run" / "logs"
    name = {"csv": "CSVLogger", "tensorboard": "TensorBoardLogger"}[kind]
    logger = {"_target_": f"lightning.pytorch.loggers.{name}", "save_dir": str(logs), "name": kind, "version": None}
    given = arguments(logger=logger, trainer={"log_every_n_steps": 1})
    stop_in_second_epoch(given, monkeypatch)
    train(**given)
    first, second = logs / kind / "version_0", logs / kind / "version_1"
    assert "learning_rate" in (second / "hparams.yaml").read_text()
    if kind == "csv":
        steps = [pl.read_csv(folder / "metrics.csv", infer_schema_length=None)["step"] for folder in (first, second)]
        assert steps[0].min() == 0
        assert steps[1].max() == 11
    else:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        curves = EventAccumulator(str(second)).Reload()
        assert "train/loss" in curves.Tags()["scalars"]
        assert "val/red/precision_recall" in curves.Tags()["tensors"]
        assert "train/loss" in EventAccumulator(str(first)).Reload().Tags()["scalars"]
    train(**given | {"overwrite": True, "logger": None})
    assert not logs.exists()


def test_a_thinned_curve_keeps_its_area_and_its_ends() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(5000) < 0.2
    scores = rng.normal(truth * 1.5).astype(np.float32)
    points = np.array(curve_points(truth, scores))
    precisions, recalls, thresholds = precision_recall_curve(truth, scores)
    assert len(points) == 200
    assert points[0].tolist() == [thresholds[0], precisions[0], recalls[0]]
    assert points[-1].tolist() == [thresholds[-1], precisions[-2], recalls[-2]]
    assert auc(points[:, 2], points[:, 1]) == pytest.approx(auc(recalls, precisions), abs=0.01)
