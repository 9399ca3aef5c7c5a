"""What a run logs beside its files: curves, settings, precision-recall curves, the best checkpoint.

`metrics.json` never hangs on a logger. Loggers are Lightning's; what is here makes Weights & Biases work without a
key or a network, resume, and keep to itself what machine it runs on.
"""

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import numpy.typing as npt
import wandb
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger
from sklearn.metrics import precision_recall_curve

from data.files import atomic_file
from train.job.callbacks import is_rehearsal
from train.job.module import PolicyClassifier

STEP = "trainer/global_step"
CURVE_POINTS = 200
LOGS = "logs"  # folder in a run's own for loggers that write files
WANDB_RUN_ID = "wandb_run_id"
# No program path, git remote, command line, host, account, requirements or code of the machine that trains.
PRIVATE: dict[str, Any] = {
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "host": "-",
    "x_disable_meta": True,
    "x_save_requirements": False,
}


def wandb_logger(
    *,
    run: str,
    project: str,
    save_dir: str,
    name: str | None = None,
    entity: str | None = None,
    group: str | None = None,
    tags: list[str] | None = None,
    notes: str | None = None,
    offline: bool | None = None,
    system_metrics: bool = True,
) -> Logger:
    """Open a Weights & Biases run that needs neither key nor network and prints nothing.

    Args:
        run: the run's folder. The id of the wandb run is kept in it, so that a resumed run goes on under that id;
            offline, each part of it is a folder of its own, and `wandb sync` joins them.
        project: its name.
        save_dir: for the folder `wandb`.
        name: of the run in lists; None leaves it to wandb.
        entity: user or team; None for the default of the key.
        group: puts runs together.
        tags: to find it by.
        notes: shown beside it.
        offline: None for offline unless WANDB_API_KEY is set. WANDB_MODE goes before.
        system_metrics: use of processor, memory and GPU.
    """
    if offline is None:
        offline = "WANDB_API_KEY" not in os.environ
    mode = os.environ.get("WANDB_MODE", "offline" if offline else "online")
    # What waits for an upload stays beside the run; wandb would keep it in the home folder.
    os.environ.setdefault("WANDB_DATA_DIR", str(Path(save_dir).resolve() / "wandb"))
    (Path(save_dir) / "wandb").mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {"project": project, "dir": save_dir, "name": name, "entity": entity, "group": group}
    given |= {"tags": tags, "notes": notes, "id": _run_id(Path(run)), "resume": "allow", "reinit": "finish_previous"}
    settings = {**PRIVATE, "silent": True, "console": "off", "x_disable_stats": not system_metrics}
    try:
        opened = wandb.init(**given, mode=cast(Any, mode), settings=wandb.Settings(**settings))
    except Exception as error:  # wandb's own errors differ from version to version
        if mode != "online":
            raise
        print(f"wandb: cannot be reached ({type(error).__name__}); logging offline", file=sys.stderr)
        opened = wandb.init(**given, mode="offline", settings=wandb.Settings(**settings))
    opened.define_metric(STEP)
    opened.define_metric("*", step_metric=STEP, step_sync=True)
    return WandbLogger(project=project, save_dir=save_dir, experiment=opened)


def _run_id(run: Path) -> str:
    path = run / WANDB_RUN_ID
    if not path.exists():
        with atomic_file(path) as temporary:
            temporary.write_text(secrets.token_hex(4) + "\n")
    return path.read_text().strip()


@contextmanager
def logging_to(
    trainer: lightning.Trainer, open_logger: Callable[[], Logger] | None, config: dict[str, Any]
) -> Iterator[None]:
    """Give a trainer its logger with the run's settings, and close it when the block ends, however it does.

    Args:
        trainer: a rehearsal logs nothing.
        open_logger: makes the logger of the first process; None logs nothing.
        config: the settings, resolved.
    """
    if open_logger is not None and trainer.is_global_zero and not is_rehearsal(trainer):
        trainer.logger = open_logger()
        trainer.logger.log_hyperparams(config)
    else:
        trainer.logger = DummyLogger()
    try:
        yield
    finally:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish()  # else the next run of this process would go on in it


def needs_logger(callback: Callback) -> bool:
    """Whether a callback has nothing to do, or fails, without a logger."""
    return isinstance(callback, LearningRateMonitor | CheckpointArtifact)


class LogCurves(Callback):
    """Logs the precision-recall curve of each policy after each validation, where the logger can draw."""

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw, on the first process alone."""
        assert isinstance(pl_module, PolicyClassifier)
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        logits_NP, labels_NP = pl_module.validation_scores
        for logger in trainer.loggers:
            for column, policy_id in enumerate(pl_module.targets):
                known = ~np.isnan(labels_NP[:, column])
                truth, scores = labels_NP[known, column] > 0.5, logits_NP[known, column]
                if truth.any() and not truth.all():
                    _draw(logger, f"val/{policy_id}/precision_recall", truth, scores, trainer.global_step)


def _draw(logger: Logger, key: str, truth: npt.NDArray[np.bool_], scores: npt.NDArray[np.float32], step: int) -> None:
    if isinstance(logger, TensorBoardLogger):
        probabilities = 1 / (1 + np.exp(-scores.astype(np.float64)))
        logger.experiment.add_pr_curve(key, truth, probabilities, step)
    if isinstance(logger, WandbLogger):
        table = wandb.Table(["threshold", "precision", "recall"], curve_points(truth, scores))
        drawn = wandb.plot.line(table, x="recall", y="precision", title=key)
        logger.experiment.log({key: drawn, STEP: step})


def curve_points(truth: npt.NDArray[np.bool_], scores: npt.NDArray[np.float32]) -> list[list[float]]:
    """Points (threshold, precision, recall) of a precision-recall curve, at most 200 of them and both ends.

    Args:
        truth: [N], whether an item violates.
        scores: [N], logits.
    """
    precisions, recalls, thresholds = precision_recall_curve(truth, scores)
    points = np.stack([thresholds, precisions[:-1], recalls[:-1]], axis=1)
    kept = np.unique(np.linspace(0, len(points) - 1, CURVE_POINTS).round().astype(int))
    return [[float(number) for number in point] for point in points[kept]]


class CheckpointArtifact(Callback):
    """Logs `best.ckpt` as a Weights & Biases artifact when a run has ended; offline, `wandb sync` uploads it."""

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log it, on the first process alone."""
        assert isinstance(pl_module, PolicyClassifier)
        path = Path(trainer.default_root_dir) / "checkpoints" / "best.ckpt"
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger) and trainer.is_global_zero and path.exists():
                metadata = {name: one.model_dump() for name, one in pl_module.validation_metrics.items()}
                artifact = wandb.Artifact(f"model-{logger.experiment.id}", type="model", metadata=metadata)
                artifact.add_file(str(path))
                logger.experiment.log_artifact(artifact, aliases=["best"])
