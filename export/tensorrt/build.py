"""Builds in a process of their own, whose end, whatever it is, is an outcome."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from data.files import TEMPORARY_PREFIX, read_json, write_json
from export.tensorrt.outcome import Outcome, Refusal
from export.tensorrt.worker import ENGINE, OUTCOME, REQUEST, BuildRequest

LONGEST = 3600.0
"""Seconds that a build may take."""


def build_apart(request: BuildRequest, engine: Path | None = None, *, timeout: float = LONGEST) -> Outcome:
    """Build in a process of its own.

    Args:
        request: what to build.
        engine: where to put the engine; None: it is built and thrown away.
        timeout: seconds.

    Returns:
        What came of it; "ended" where the process crashed, or took too long.
    """
    place = None if engine is None else engine.parent
    with tempfile.TemporaryDirectory(prefix=f"{TEMPORARY_PREFIX}build-", dir=place) as name:
        folder = Path(name)
        write_json(folder / REQUEST, request.model_copy(update={"keep_engine": engine is not None}).model_dump())
        problem = _run(folder, timeout)
        if problem:
            return Outcome(stage="ended", refusals=[Refusal(node="", operator="", reason=problem)])
        outcome = Outcome.model_validate(read_json(folder / OUTCOME))
        if engine is not None and outcome.built:
            (folder / ENGINE).replace(engine)
    return outcome


def _run(folder: Path, timeout: float) -> str | None:
    """Run the worker; what went wrong, or None."""
    # The same modules as here, and none of the folder that a user happens to stand in.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-P", "-m", "export.tensorrt.worker", str(folder)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"TensorRT was not done after {timeout:g} seconds"
    if done.returncode == 0:
        return None
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    last = f": {lines[-1][:300]}" if lines else ""
    if done.returncode < 0:
        return f"TensorRT crashed ({signal.Signals(-done.returncode).name}){last}"
    return f"the process that builds failed{last}"
