"""Trains in several processes, each a fork of this one: torch is imported once. They find what torchrun would tell.

Called with a pickled list of runs, one after the other.
"""

import importlib
import os
import pickle
import socket
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data.errors import Preempted
from train.run import train


@dataclass(frozen=True)
class Run:
    """A run of as many processes as its trainer has devices.

    Attributes:
        given: the arguments of `train`.
        exit_code: that every process is to end with.
    """

    given: dict[str, Any]
    exit_code: int = 0


def started(run: Run, rank: int, port: int) -> int:
    """Train as one of the processes in a fork; its process id."""
    child = os.fork()
    if child:
        return child
    world_size = run.given["trainer"]["devices"]
    if world_size > 1:
        places = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": world_size}
        places |= {"LOCAL_WORLD_SIZE": world_size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in places.items()} | {"TORCHELASTIC_RUN_ID": "forks"})
    code = 1
    try:
        train(**run.given)
        code = 0
    except Preempted as stopped:
        code = stopped.exit_code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def main() -> None:
    torch.set_num_threads(1)
    for name in ("auto", "bert.modeling_bert", "bert.tokenization_bert", "vit.modeling_vit"):
        importlib.import_module(f"transformers.models.{name}")
    importlib.import_module("peft")
    importlib.import_module("torch.distributed.fsdp")
    runs: list[Run] = pickle.loads(Path(sys.argv[1]).read_bytes())
    for run in runs:
        port = free_port()
        children = [started(run, rank, port) for rank in range(run.given["trainer"]["devices"])]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert set(codes) == {run.exit_code}, (run.given["out"], codes)


if __name__ == "__main__":
    sys.modules["drive_processes"] = sys.modules["__main__"]  # where the runs were pickled
    main()
