"""Verbs that run as several processes: which one speaks, and the command line that starts another."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def is_first_process() -> bool:
    """Whether this is the process that prints, of those that torchrun, Slurm or Lightning started."""
    if "RANK" in os.environ:  # torchrun
        return os.environ["RANK"] == "0"
    # Lightning's own launcher numbers within a node.
    names = ["NODE_RANK", "LOCAL_RANK"] if "LOCAL_RANK" in os.environ else ["SLURM_PROCID"]
    return all(os.environ.get(name, "0") == "0" for name in names)


def overrides_of_job(config: "DictConfig") -> list[str]:
    """The overrides that compose this job's config again; of a sweep, those of this job alone."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    if hydra.mode == RunMode.MULTIRUN and "out" in config:
        overrides.append(f"out='{config.out}'")  # it hangs on the job's number in the sweep
    return overrides
