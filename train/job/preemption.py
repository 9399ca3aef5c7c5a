"""Leaving in order when the machine is wanted back: a signal is noted, the step ends, its state is kept, then we go.

SIGTERM comes from schedulers that preempt and from `kill`, SIGINT from the keyboard, SIGUSR1 from Slurm ahead of the
time limit (`#SBATCH --signal=SIGUSR1@90`), SIGUSR2 from Slurm to jobs of submitit. Lightning's own handlers write in
the middle of a step and talk to other processes from within the handler: ours replace them.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning import Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from data.errors import Preempted
from train.job.processes import largest

Handler = Any  # what signal.getsignal returns


class StopSignals:
    """The signals that ask a run to stop, and who handled them before.

    Attributes:
        received: the last of them; 0 for none.
    """

    def __init__(self) -> None:
        self.received = 0
        self.before: dict[int, Handler] = {signum: signal.getsignal(signum) for signum in _wanted()}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note the signals, and leave them to whoever handled them before at the end."""
        self.take_over()
        try:
            yield
        finally:
            if threading.current_thread() is threading.main_thread():
                for signum, handler in self.before.items():
                    signal.signal(signum, handler)

    def take_over(self) -> None:
        """Handle the signals from now on."""
        if threading.current_thread() is threading.main_thread():
            for signum in self.before:
                signal.signal(signum, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        del frame
        if signum == signal.SIGINT and self.received == signum:
            raise KeyboardInterrupt  # asked twice: now
        self.received = signum

    def agreed(self, trainer: Trainer) -> int:
        """The signal that any process received, on all of them alike; 0 for none."""
        return largest(trainer, self.received)

    def leave(self, signum: int, trainer: Trainer) -> None:
        """Go, once all is kept: as the handler before ours wants it, else by an exception.

        Raises:
            Preempted: unless another handler decided to stay.
        """
        self.received = 0
        before = self.before.get(signum)
        if callable(before) and before is not signal.default_int_handler:
            before(signum, None)
            return
        requeued = signum == signal.SIGUSR1 and trainer.is_global_zero and _requeue()
        raise Preempted(signum, trainer.global_step, requeued=requeued)


def _wanted() -> list[int]:
    wanted = [signal.SIGTERM, signal.SIGINT]
    if SLURMEnvironment.detect():
        wanted.append(signal.SIGUSR1)
    if callable(signal.getsignal(signal.SIGUSR2)):
        wanted.append(signal.SIGUSR2)
    return [int(signum) for signum in wanted]


def _requeue() -> bool:
    """Ask Slurm to start this job again; whether it will."""
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        print(f"scontrol requeue {job}: {reason}; submit the job again yourself", file=sys.stderr)
        return False
    return True
