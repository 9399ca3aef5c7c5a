"""The Lightning Trainer from its config group; what is wrong with it, callbacks or logger is said before any work."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.profilers import PassThroughProfiler

from data.errors import InputError
from train.job.checkpoint import AtomicCheckpointIO
from train.job.idle_hooks import NoProfiler
from train.job.processes import connect
from train.job.targets import Target, make
from train.monitoring.loggers import needs_logger
from train.settings import ModelSettings


def build_trainer(
    trainer: Target,
    *,
    callbacks: Sequence[Callback],
    extra_callbacks: dict[str, Target | None] | None,
    logged: bool,
    out: Path,
) -> lightning.Trainer:
    """Instantiate the Trainer, without its logger, and join the processes that were started with this one.

    Args:
        trainer: `_target_` and any flags of lightning.Trainer.
        callbacks: those that every run has.
        extra_callbacks: further ones by name, each with its `_target_`; null ones are left out.
        logged: whether it will have a logger.
        out: the run's folder.

    Raises:
        InputError: a flag is unknown or wrong, would have nothing trained, or the accelerator is not there.
    """
    if trainer.get("accelerator") in ("gpu", "cuda") and not torch.cuda.is_available():
        raise InputError(f"trainer.accelerator = {trainer['accelerator']!r}: no CUDA device here; use trainer=cpu")
    for name in ("max_epochs", "max_steps", "limit_train_batches"):
        value = trainer.get(name)
        if value == 0 and not isinstance(value, bool) and not trainer.get("fast_dev_run"):
            raise InputError(f"trainer.{name} = {value}: nothing would be trained; expected at least 1")
    if trainer.get("precision") in ("16-mixed", "16", 16) and trainer.get("gradient_clip_val"):
        raise InputError(
            "trainer.precision = '16-mixed': its optimiser unscales gradients after they would be clipped; "
            "use bf16-mixed, or gradient_clip_val=null"
        )
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    extra = {name: make(one, f"callbacks.{name}") for name, one in (extra_callbacks or {}).items() if one}
    idle = [name for name, one in extra.items() if needs_logger(one)]
    if idle and not logged and not trainer.get("fast_dev_run"):
        raise InputError(f"callbacks.{idle[0]}: needs a logger; use logger=wandb, tensorboard or csv")
    watched = sys.stderr.isatty() and trainer.get("enable_progress_bar", True)
    bar = [RichProgressBar(console_kwargs={"stderr": True})] if watched else []
    made: lightning.Trainer = make(
        {**trainer, "enable_progress_bar": bool(watched)},
        "trainer",
        callbacks=[*callbacks, *extra.values(), *bar],
        enable_model_summary=False,
        use_distributed_sampler=False,  # the order of data is ours, on every rank: train.inputs.order
        logger=False,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=str(out),
    )
    if type(made.profiler) is PassThroughProfiler:  # type: ignore[attr-defined]
        made.profiler = NoProfiler()  # type: ignore[attr-defined]
    connect(made)
    return made


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
def without_cudnn_attention() -> Iterator[None]:
    """Leave attention on GPUs to torch's own kernels; see `train.network.shapes`.

    cuDNN's are as fast, and take .1 to 2 s for each new number of rows or tokens.
    """
    before = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    torch.backends.cuda.enable_cudnn_sdp(enabled=False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(enabled=before)


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
