"""kill -9 in the middle of train, score and seal, at random moments: does the next run end as an unkilled one?

Run: python -m scripts.check_kills [--times 10] [--verbs train score seal] [--experiment demo], after `setpoint demo`.

Each verb runs once unkilled, then is killed `--times` times, then runs to its end: its files must be the same, byte
for byte. After each kill every file under its final name must be whole. Exits 1 if one is not.
"""

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from data.files import TEMPORARY_PREFIX
from train.job.checkpoint import read_checkpoint

CLOCK = ("created_at", "digest")  # of a manifest: what may differ between two runs


def main() -> int:
    """Print a line a verb."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--experiment", default="demo")
    parser.add_argument("--verbs", nargs="+", default=["train", "score", "seal"])
    options = parser.parse_args()
    moments = random.Random(0)
    failures = 0
    for verb in options.verbs:
        work = Path("outputs/check_kills") / verb
        shutil.rmtree(work, ignore_errors=True)
        started = time.monotonic()
        _start(verb, options.experiment, work / "unkilled").wait()
        seconds = time.monotonic() - started
        unkilled = _content(work / "unkilled")

        torn: list[str] = []
        running = 0
        for _ in range(options.times):
            process = _start(verb, options.experiment, work / "killed")
            time.sleep(moments.uniform(0, seconds))
            running += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
            torn += _torn(work / "killed")
        code = _start(verb, options.experiment, work / "killed").wait()
        same = code in (0, 2) and _content(work / "killed") == unkilled
        failures += not (same and not torn)
        print(
            f"{verb:<6} {seconds:4.0f} s unkilled; {options.times} kills, {running} of them in the middle; "
            f"torn files: {len(torn)}; ends as the unkilled run: {'yes' if same else 'NO'}",
            flush=True,
        )
    return 1 if failures else 0


def _start(verb: str, experiment: str, out: Path) -> "subprocess.Popen[bytes]":
    key = "releases" if verb == "seal" else "out"
    command = [sys.executable, "-m", "scripts.cli", verb, f"experiment={experiment}", f"{key}={out}"]
    if verb == "train":
        command.append("logger=none")
    if verb == "seal":
        command += [f"calibration=outputs/{experiment}/calibration", "unsigned=a rehearsal of kills"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _files(folder: Path) -> list[Path]:
    hidden = (TEMPORARY_PREFIX, ".parts-", ".lock")
    inside = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in inside if not any(part.startswith(hidden) for part in path.parts))


def _content(folder: Path) -> dict[str, str]:
    content = {}
    for path in _files(folder):
        if path.name == "manifest.json":
            manifest = json.loads(path.read_text())
            data = json.dumps({key: value for key, value in manifest.items() if key not in CLOCK}).encode()
        else:
            data = path.read_bytes()
        content[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return content


def _torn(folder: Path) -> list[str]:
    """Files under their final names that a reader of their kind cannot read."""
    torn = []
    for path in _files(folder):
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".parquet":
                pl.read_parquet(path)
            elif path.suffix == ".ckpt":
                read_checkpoint(path)
        except Exception as error:  # any failure to read is the finding
            torn.append(f"{path}: {error}")
    for manifest in folder.glob("*/manifest.json"):
        for entry in json.loads(manifest.read_text())["files"]:
            file = manifest.parent / entry["path"]
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
                torn.append(str(file))
    return torn


if __name__ == "__main__":
    sys.exit(main())
