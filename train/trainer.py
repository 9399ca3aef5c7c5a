"""The Lightning Trainer and its logger from their config groups; what is wrong with them is said before any work."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import Logger, WandbLogger

from data.errors import InputError
from train.checkpoint import AtomicCheckpointIO
from train.settings import ModelSettings

Target = dict[str, Any]


def build_trainer(
    trainer: Target,
    *,
    callbacks: Sequence[Callback],
    extra_callbacks: Target | None,
    logger: Target | None,
    out: Path,
) -> lightning.Trainer:
    """Instantiate the Trainer.

    Args:
        trainer: `_target_` and any flags of lightning.Trainer.
        callbacks: those that every run has.
        extra_callbacks: further ones by name, each with its `_target_`; null ones are left out.
        logger: `_target_` and arguments; None or nothing in it logs nothing.
        out: the run's folder.

    Raises:
        InputError: a flag is unknown or wrong, or the accelerator is not there.
    """
    if trainer.get("accelerator") in ("gpu", "cuda") and not torch.cuda.is_available():
        raise InputError(f"trainer.accelerator = {trainer['accelerator']!r}: no CUDA device here; use trainer=cpu")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    extra = [_instantiate(target, f"callbacks.{name}") for name, target in (extra_callbacks or {}).items() if target]
    watched = sys.stderr.isatty() and trainer.get("enable_progress_bar", True)
    bar = [RichProgressBar(console_kwargs={"stderr": True})] if watched else []
    made: lightning.Trainer = _instantiate(
        # The order of data is ours, on every rank: train.order.
        {
            **trainer,
            "enable_progress_bar": bool(watched),
            "enable_model_summary": False,
            "use_distributed_sampler": False,
        },
        "trainer",
        callbacks=[*callbacks, *extra, *bar],
        logger=_instantiate(logger, "logger") if logger else False,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=str(out),
    )
    return made


def wandb_logger(*, project: str, save_dir: str, offline: bool | None = None, **settings: Any) -> Logger:
    """A Weights & Biases logger that needs neither key nor network and prints nothing.

    Args:
        project: its name.
        save_dir: for the folder `wandb`; `wandb sync` uploads it later.
        offline: None for offline unless WANDB_API_KEY is set. WANDB_MODE goes before.
        settings: further arguments of WandbLogger.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    if offline is None:
        offline = "WANDB_API_KEY" not in os.environ
    mode = os.environ.get("WANDB_MODE", "offline" if offline else "online")
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    if mode == "online":
        try:
            logger = WandbLogger(project=project, save_dir=save_dir, **settings)
            _ = logger.experiment  # connects
            return logger
        except Exception as error:  # wandb's own errors differ from version to version
            print(f"wandb: cannot be reached ({type(error).__name__}); logging offline", file=sys.stderr)
            mode = "offline"
    os.environ["WANDB_MODE"] = mode
    return WandbLogger(project=project, save_dir=save_dir, offline=mode == "offline", **settings)


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Multiply float32 matrices on GPUs as precisely as `torch.set_float32_matmul_precision` says, and no longer."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def one_thread_for_small_networks(model: ModelSettings) -> Iterator[None]:
    """Compute on one CPU thread while all encoders are frozen.

    What trains then is too small to share: on a busy machine threads that wait for each other cost ten times the
    work. It also makes the weights the same on any number of cores.
    """
    threads = torch.get_num_threads()
    if not model.tuned:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _instantiate(target: Target, key: str, **arguments: Any) -> Any:
    if "_target_" not in target:
        raise InputError(f"{key}: expected _target_, the class to make; found {', '.join(target) or 'nothing'}")
    try:
        return instantiate(target, **arguments, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split())[:300]
        raise InputError(f"{key}: {target['_target_']} refuses its settings: {reason}") from error
