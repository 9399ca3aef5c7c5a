"""What several processes of one run do together, before Lightning has them train and while it does.

torchrun and Slurm start all processes at once. Lightning's own launcher starts the others when the first begins to
train: by then the first has done alone all that comes before, and they find it in the cache.

Shapes: N rows of all processes.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from lightning import Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor, distributed

from data.errors import InputError

Result = TypeVar("Result")
# A process that dies ends the connection at once; these are for one that hangs.
LONGEST_STEP = timedelta(minutes=10)  # from one thing done together to the next: a step, a checkpoint
LONGEST_ENCODING = timedelta(hours=12)
LOST = ("closed by peer", "reset by peer", "timed out", "timeout", "broken pipe")  # in what gloo says


def connect(trainer: Trainer) -> None:
    """Join the processes that something else than Lightning started; Lightning will use the same group."""
    strategy = trainer.strategy
    if trainer.world_size == 1 or not isinstance(strategy, ParallelStrategy):
        return
    environment = strategy.cluster_environment
    # Processes that Lightning started see no difference to those of others, but the first of them has gone ahead.
    if environment is None or isinstance(environment, LightningEnvironment) or distributed.is_initialized():
        return
    os.environ["MASTER_ADDR"] = environment.main_address
    os.environ["MASTER_PORT"] = str(environment.main_port)
    if strategy.root_device.type == "cuda":
        torch.cuda.set_device(strategy.root_device)
    chosen = getattr(strategy, "process_group_backend", None)
    backend = chosen or distributed.get_default_backend_for_device(strategy.root_device)
    distributed.init_process_group(
        backend, rank=trainer.global_rank, world_size=trainer.world_size, timeout=LONGEST_STEP
    )


def is_connected() -> bool:
    """Whether there are others to talk to."""
    return distributed.is_available() and distributed.is_initialized()


@contextmanager
def lost_processes_explained() -> Iterator[None]:
    """Say it where another process is gone or hangs.

    Raises:
        InputError: instead of what gloo says. NCCL ends the process by itself, with a message of its own.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_connected() or not any(sign in str(error).lower() for sign in LOST):
            raise
        raise InputError(
            f"process {distributed.get_rank()} lost another of this run, which ended or hangs: look for what it said "
            "last. Give the same command again, which goes on from the last checkpoint"
        ) from error


def together(work: Callable[[], Result], *, longest: timedelta | None = None) -> Result:
    """Do a piece of work on every process and wait for all of them; where one fails, all fail.

    Args:
        work: to do.
        longest: that one process may take longer than another; LONGEST_STEP if None.

    Raises:
        InputError: of this process, or else what another was told, or that another is lost.
    """
    if not is_connected():
        return work()
    with lost_processes_explained():
        waiting = distributed.new_group(backend="gloo", timeout=longest or LONGEST_STEP)
    result: list[Result] = []
    own: Exception | None = None
    try:
        result.append(work())
    except Exception as error:  # whatever it is, the others must not wait for this process
        own = error
    problems: list[str | None] = [None] * distributed.get_world_size()
    said = None if own is None else str(own) if isinstance(own, InputError) else repr(own)
    with lost_processes_explained():
        distributed.all_gather_object(problems, said, group=waiting)  # type: ignore[arg-type]
    if own is not None:
        raise own
    for rank, problem in enumerate(problems):
        if problem is not None:
            raise InputError(f"process {rank} failed, and this one with it: {problem}")
    return result[0]


def on_first(trainer: Trainer, work: Callable[[], Result], *, elsewhere: Callable[[], Result]) -> Result:
    """Do `work` on the first process and, when it is done, `elsewhere` on the others.

    Raises:
        InputError: as `together`.
    """
    if trainer.is_global_zero:
        return together(work)
    together(lambda: None)
    return elsewhere()


def largest(trainer: Trainer, value: int) -> int:
    """The largest of the values that the processes hold, on all of them alike."""
    if trainer.world_size == 1:
        return value
    held = torch.tensor(value, device=trainer.strategy.root_device)
    return int(trainer.strategy.reduce(held, reduce_op="max"))


def gathered(rows: Tensor) -> Tensor:
    """The rows [N, …] of all processes, which may hold different numbers of them, in the order of the processes."""
    if not is_connected():
        return rows
    count = torch.tensor(len(rows), device=rows.device)
    counts = [torch.zeros_like(count) for _ in range(distributed.get_world_size())]
    distributed.all_gather(counts, count)
    longest = int(torch.stack(counts).max())
    padded = rows.new_zeros(longest, *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in counts]
    distributed.all_gather(parts, padded)
    return torch.cat([part[: int(number)] for part, number in zip(parts, counts, strict=True)])
