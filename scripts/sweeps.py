"""Jobs of a sweep: where each writes, how a failed one ends the sweep, how one alone is run again."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Where Lightning leaves word for the processes that it starts.
ADDRESSES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")


class JobEndedError(Exception):
    """A job that did not succeed and has said why. It crosses processes: launchers bring it back from theirs.

    Args:
        code: its exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def register_resolvers() -> None:
    """What `configs/` say in `${…:}`: `sweep_suffix`, and `same`, whether two values are equal."""
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("sweep_suffix", sweep_suffix, replace=True)
    OmegaConf.register_new_resolver("same", lambda one, other: one == other, replace=True)


def sweep_suffix() -> str:
    """`/JOB` in a sweep, so that its runs keep apart; nothing otherwise."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return ""
    return f"/{HydraConfig.get().job.num}"


def command_of_one_job(name: str, out: str | None) -> list[str]:
    """Arguments of a command that runs the present job of a sweep alone, into the folder that is its own.

    With several devices Lightning starts the other processes by this process' command line; that of a sweep would
    have each of them run the sweep.
    """
    from hydra.core.hydra_config import HydraConfig

    overrides = [str(each) for each in HydraConfig.get().overrides.task if not str(each).startswith("out=")]
    return [name, *overrides, *([] if out is None else [f"out={out}"]), "hydra.mode=RUN"]


@contextmanager
def processes_of_its_own() -> Iterator[None]:
    """Leave behind neither process group nor addresses: the next job would talk to processes that have gone."""
    before = {name: os.environ.get(name) for name in ADDRESSES}
    yield
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def in_sweep() -> bool:
    """Whether this process runs a job of a sweep."""
    return bool(sweep_suffix())
