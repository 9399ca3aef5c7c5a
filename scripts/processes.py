"""Verbs that run as several processes: which one speaks."""

import os


def is_first_process() -> bool:
    """Whether this is the process that prints, of those that torchrun, Slurm or Lightning started."""
    if "RANK" in os.environ:  # torchrun
        return os.environ["RANK"] == "0"
    # Lightning's own launcher numbers within a node.
    names = ["NODE_RANK", "LOCAL_RANK"] if "LOCAL_RANK" in os.environ else ["SLURM_PROCID"]
    return all(os.environ.get(name, "0") == "0" for name in names)
