"""Every loss trains where violations are rare and most labels unknown, in float32 and in bfloat16."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.policy import load_policies
from scripts.make_imbalanced import write_imbalanced
from scripts.verbs import run_verb
from train.inputs.parts import read_split
from train.job.checkpoint import read_checkpoint
from train.losses.settings import Asymmetric, ClassBalanced, Focal
from train.run import train

LOGGED = ["logger=csv", "trainer.log_every_n_steps=1"]


def check(out: Path) -> None:
    """All is finite, and the loss of the last third of the steps is below that of the first."""
    [metrics] = out.rglob("metrics.csv")
    with metrics.open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]
    assert len(losses) >= 9
    assert np.isfinite(losses).all()
    third = len(losses) // 3
    assert np.mean(losses[-third:]) < np.mean(losses[:third])
    weights = read_checkpoint(out / "checkpoints" / "last.ckpt")["state_dict"]
    assert all(held.isfinite().all() for held in weights.values() if torch.is_floating_point(held))


@pytest.fixture(scope="module")
def rare(moderation_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a split of the real posts whose train part is imbalanced 1:200, with 70 % unknown."""
    root = tmp_path_factory.mktemp("rare")
    run_verb("split", ["data=moderation_mini", f"data.folder={moderation_mini}", f"root={root}"])
    part = root / "split" / "train"
    write_imbalanced(part / "items.parquet", part / "annotations.parquet", moderation_mini / "policies", part)
    labels = read_split(root / "split", load_policies(moderation_mini / "policies")).train.labels
    assert np.isnan(labels).mean() >= 0.7
    assert np.nansum(labels) / (~np.isnan(labels)).sum() < 1 / 170
    return root


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("loss", ["bce", "focal", "asymmetric", "class_balanced"])
def test_the_real_posts_with_rare_violations(
    rare: Path, moderation_mini: Path, tmp_path: Path, loss: str, precision: str
) -> None:
    """On captions alone: no photo has to be decoded."""
    data = ["data=moderation_mini", f"data.folder={moderation_mini}", f"root={rare}", f"cache_dir={rare / 'cache'}"]
    model = ["model.image=null", "model.respect_evidence=false", "optim.probe_strength=0", "optim.learning_rate=1e-3"]
    trainer = ["trainer.max_epochs=4", f"trainer.precision={precision}"]
    run_verb("train", [*data, *model, *trainer, *LOGGED, f"loss={loss}", f"out={tmp_path / 'run'}"])
    check(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [Focal(name="focal"), Asymmetric(name="asymmetric"), ClassBalanced(name="class_balanced", hard_negatives=3.0)],
)
def test_tuned_encoders_in_bfloat16(
    arguments: Callable[..., dict[str, Any]], split_folder: Path, tmp_path: Path, loss: Any
) -> None:
    shutil.copytree(split_folder, tmp_path / "split")
    part = tmp_path / "split" / "train"
    names = (part / "items.parquet", part / "annotations.parquet", split_folder / "policies")
    write_imbalanced(*names, part, one_in=5, unknown=0.5)
    logger = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path / "run")}
    trainer = {"precision": "bf16-mixed", "log_every_n_steps": 1, "max_epochs": 12}
    given = arguments("full", split=tmp_path / "split", loss=loss, trainer=trainer)
    # All items in a batch: with so few labels the loss of a part of them says nothing of the whole.
    given["optim"] = given["optim"].model_copy(update={"batch_size": 32, "learning_rate": 3e-3})
    train(**given, logger={**logger, "name": "csv", "version": ""})
    check(tmp_path / "run")
