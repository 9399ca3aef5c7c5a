"""Processes that decode beside the step: how they start, what each may use, and what is said when one dies."""

import multiprocessing
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from data.errors import InputError

# Batches that each worker keeps ready. One of 64 posts with 8 frames of 224 x 224 holds 77 MB of shared memory.
BATCHES_AHEAD = 2


def worker_settings(num_workers: int, *, seed: int, pin_memory: bool) -> dict[str, Any]:
    """Arguments of a DataLoader.

    Workers are forked from a server that has imported what they need and runs no thread. A fork of this process would
    copy the locks that threads of OpenMP, the tokenizer, a GPU or a logger hold at that moment, and hang on them now
    and then; a process of its own would import torch once a worker.

    Args:
        num_workers: 0 to load in this process.
        seed: of the random numbers that a worker draws unasked. What training draws hangs on places in the data.
        pin_memory: copy batches to page-locked memory, from which a GPU copies while it computes.
    """
    settings: dict[str, Any] = {"num_workers": num_workers, "pin_memory": pin_memory}
    settings["generator"] = torch.Generator().manual_seed(seed)
    if num_workers:
        settings |= {"prefetch_factor": BATCHES_AHEAD, "persistent_workers": True}
        settings |= {"multiprocessing_context": _context(), "worker_init_fn": start_worker}
    return settings


def start_worker(worker_id: int) -> None:
    """Take one of the cores that workers share, and end with the process that trains.

    Torch's workers look whether their parent lives, which is the server, and the server lives while its workers do:
    after kill -9 both would stay.
    """
    del worker_id
    threading.Thread(target=_end_with_trainer, daemon=True).start()
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _end_with_trainer() -> None:
    trainer = multiprocessing.parent_process()
    assert trainer is not None
    trainer.join()
    os._exit(1)


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["data.loading"])
    return context


def _tells_of_a_death(error: Exception) -> bool:
    """Whether the loader says so, or a batch breaks off that a worker was handing over."""
    frames = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return "DataLoader worker" in str(error) or "torch.multiprocessing.reductions" in frames


@contextmanager
def dead_workers_explained() -> Iterator[None]:
    """Turn the death of a worker into a message.

    Raises:
        InputError: a worker died.
    """
    try:
        yield
    except (RuntimeError, EOFError, ConnectionError) as error:
        if not _tells_of_a_death(error):
            raise
        how = " ".join(str(error).split()) or "in the middle of a batch"
        raise InputError(
            f"a worker that loads data died ({how}). They die mostly for want of memory, or of shared memory "
            "(/dev/shm): lower optim.num_workers or optim.batch_size, or give the container more (docker run "
            "--shm-size). A script of your own must call train under `if __name__ == '__main__'`. The same command "
            "continues the run"
        ) from error
