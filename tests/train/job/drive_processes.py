"""Trains in several processes, each a fork of this one: torch is imported once. They find what torchrun would tell.

Called with a pickled list of runs, one after the other.
"""

import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch

from data.errors import InputError, Preempted
from train.job import processes
from train.run import train


@dataclass(frozen=True)
class Run:
    """A run of as many processes as its trainer has devices.

    Attributes:
        given: the arguments of `train`.
        exit_codes: that the processes are to end with.
        longest_step: seconds; None for train.job.processes.LONGEST_STEP.
    """

    given: dict[str, Any]
    exit_codes: tuple[int, ...]
    longest_step: float | None = None


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
    if run.longest_step is not None:
        processes.LONGEST_STEP = timedelta(seconds=run.longest_step)
    if rank:
        sys.addaudithook(partial(leave_alone, str(run.given["out"])))
    code = 1
    try:
        train(**run.given)
        code = 0
    except Preempted as stopped:
        code = stopped.exit_code
    except InputError as error:
        print(error, file=sys.stderr)
        code = 2
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def leave_alone(folder: str, event: str, given: tuple[Any, ...]) -> None:
    """Fail where a file is put into the folder, which is the first process's to do."""
    if event == "os.rename" and str(given[1]).startswith(folder):
        print(f"written by another process than the first: {given[1]}", file=sys.stderr, flush=True)
        os._exit(3)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def together(folder: Path, *runs: Run) -> str:
    """Each run in forks of one new process, one run after the other; what they said."""
    (folder / "runs").write_bytes(pickle.dumps(runs))
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, __file__, str(folder / "runs")],
        env={**os.environ, "PYTHONPATH": f"{here.parents[2]}:{here}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stderr


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
        codes = [os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1])]
        if run.exit_codes[-1] == -signal.SIGKILL:  # it may only have been stopped
            os.kill(children[-1], signal.SIGKILL)
        codes += [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children[1:]]
        assert tuple(codes) == run.exit_codes, (run.given["out"], codes)


if __name__ == "__main__":
    sys.modules["drive_processes"] = sys.modules["__main__"]  # where the runs were pickled
    main()
