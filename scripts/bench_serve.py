"""Does `setpoint serve` lose nothing, and how much of the bare session's throughput is left?

Run: python -m scripts.bench_serve RELEASE ITEMS [--requests 10000] [--connections 32], after `setpoint seal`;
ITEMS is an items file, such as items.parquet of a golden set. Exits 1 if a claim fails.

Claims: every request is answered; every flag is that of ONNX Runtime alone; at least 90 % of the throughput of the
bare session on the same cores at the same batch size. Bare session and server take turns, each in a process of its
own. The client, tritonclient over HTTP, runs on the same cores too, and its processor time is printed beside.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.items import read_items
from data.media import load_frames
from data.text import compose_text, tokenize
from export.model_folder import read_model_folder
from export.scoring.batch import collate, padded_tokens
from export.scoring.runtimes import OnnxRuntime

LEAST_SHARE = 0.9
MOST_ITEMS = 256  # different ones; requests go round
BARE = """
import json, resource, sys, time
import numpy as np
from export.graph.decision_head import FLAGS, LOGITS, PROBABILITIES
from export.scoring.runtimes import open_session
onnx, items, count, batch, threads, flags_file = sys.argv[1:]
count, batch = int(count), int(batch)
session = open_session(onnx, threads=int(threads))
with np.load(items) as held:
    arrays = {name: held[name] for name in held.files}
num_items = len(next(iter(arrays.values())))
def run(first):
    rows = [place % num_items for place in range(first, min(first + batch, count))]
    return session.run([LOGITS, PROBABILITIES, FLAGS], {name: array[rows] for name, array in arrays.items()})[2]
run(0)
began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
flags = np.concatenate([run(first) for first in range(0, count, batch)])
seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
np.save(flags_file, flags)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps({"seconds": seconds, "cpu": cpu, "lost": 0}))
"""


@dataclass(frozen=True)
class Spell:
    """One turn: what a bare session, or a client, did.

    Attributes:
        count: items.
        seconds: wall clock.
        cpu: seconds of the processor, of the process alone.
        lost: items without an answer.
        flags: int8 [count, K].
    """

    count: int
    seconds: float
    cpu: float
    lost: int
    flags: NDArray[np.int8]


@dataclass(frozen=True)
class Settings:
    """What is measured with what."""

    release: Path
    precision: str
    requests: int
    connections: int
    rounds: int
    batch: int
    threads: int


def serving_throughput(settings: Settings, items: Path, num_items: int) -> list[str]:
    """Measure, print, and return what failed.

    Args:
        settings: what to measure.
        items: an .npz file of input tensors [N, …] of one shape.
        num_items: N.
    """
    each = settings.requests // settings.rounds
    shares, bare_spells, served_spells = [], [], []
    with tempfile.TemporaryDirectory() as name, _server(settings) as (url, process):
        client = [sys.executable, "-m", "scripts.bench_serve_client", url, str(items)]
        onnx = read_model_folder(settings.release).onnx_file(settings.precision)
        flags = Path(name) / "flags.npy"
        bare_run = [sys.executable, "-c", BARE, str(onnx), str(items)]
        sizes = [str(settings.batch), str(settings.threads), str(flags)]
        expected = _spell([*bare_run, str(num_items), *sizes], num_items, flags).flags
        _spell([*client, str(2 * settings.connections), str(settings.connections), str(flags)], 0, flags)
        server_cpu = -_cpu_of(process)
        for number in range(settings.rounds):
            count = max(settings.batch, each // 2 // settings.batch * settings.batch)
            bare = _spell([*bare_run, str(count), *sizes], count, flags)
            served = _spell([*client, str(each), str(settings.connections), str(flags)], each, flags)
            shares.append(served.count / served.seconds / (bare.count / bare.seconds))
            bare_spells.append(bare)
            served_spells.append(served)
            print(f"round {number + 1}: bare {bare.count / bare.seconds:.1f} items/s, ", end="")
            print(f"served {served.count / served.seconds:.1f} requests/s, {shares[-1]:.1%}", flush=True)
        server_cpu += _cpu_of(process)
    return _judged(shares, bare_spells, served_spells, server_cpu, expected)


def _judged(
    shares: list[float], bare: list[Spell], served: list[Spell], server_cpu: float, expected: NDArray[np.int8]
) -> list[str]:
    """Print the figures; what fails of the claims. `expected` are the flags of each item, int8 [N, K]."""
    count = sum(spell.count for spell in served)
    lost = sum(spell.lost for spell in served)
    differing = sum(
        int((spell.flags != expected[np.arange(spell.count) % len(expected)]).any(1).sum()) for spell in served
    )
    share = float(np.median(shares))
    client_cpu = sum(spell.cpu for spell in served)
    bare_cpu = sum(spell.cpu for spell in bare) / sum(spell.count for spell in bare)
    print(f"{count:,} requests, {lost} lost, {differing} with other flags than the bare session's")
    print(f"share of the bare session's throughput: median {share:.1%}, {min(shares):.1%} to {max(shares):.1%}")
    print(
        f"processor time, ms an item: bare session {1e3 * bare_cpu:.2f}; server {1e3 * server_cpu / count:.2f}, "
        f"its client {1e3 * client_cpu / count:.2f}"
    )
    failures = []
    if lost:
        failures.append(f"{lost} of {count:,} requests were not answered")
    if differing:
        failures.append(f"{differing} of {count:,} answers have other flags")
    if share < LEAST_SHARE:
        failures.append(f"{share:.1%} of the bare session's throughput, below {LEAST_SHARE:.0%}")
    return failures


@contextmanager
def _server(settings: Settings) -> Iterator[tuple[str, int]]:
    """`setpoint serve` in a process of its own: its address and process id."""
    options = [f"release={settings.release}", f"precision={settings.precision}", "port=0"]
    options += [f"max_batch={settings.batch}", f"threads={settings.threads}"]
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.cli", "serve", *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if "http://" not in line:
                raise SystemExit("the server did not start")
            yield line.split("http://")[1].split("/")[0], process.pid
        finally:
            process.terminate()
            process.communicate()


def _spell(command: list[str], count: int, flags: Path) -> Spell:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    said = json.loads(done.stdout)
    return Spell(count, said["seconds"], said["cpu"], said["lost"], np.load(flags).astype(np.int8))


def _cpu_of(process: int) -> float:
    """Seconds of the processor that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write_items(runtime: OnnxRuntime, items: Path, out: Path) -> int:
    """Write the input tensors of photos that share the commonest shape to an .npz file; returns how many."""
    settings = runtime.preprocessing
    shapes: dict[int, list[dict[str, NDArray[np.generic]]]] = {}
    for row in read_items(items).iter_rows(named=True):
        if row["media_type"] != "photo" or len(row["media"]) != 1:
            continue
        clip = load_frames(row["media"], "photo", settings)
        text = compose_text(row["caption"], row["ocr_text"], row["asr_text"])
        token_ids, token_mask = tokenize(runtime.tokenizer, [text], settings.max_tokens)
        num_tokens = padded_tokens(int(token_mask.sum()), settings.max_tokens)
        size = (settings.height, settings.width)
        batch = collate(
            [clip], token_ids, token_mask, size=size, pad_token_id=runtime.pad_token_id, num_tokens=num_tokens
        )
        shapes.setdefault(num_tokens, []).append(batch.arrays())
    chosen = max(shapes.values(), key=len)[:MOST_ITEMS]
    np.savez(out, **{name: np.concatenate([each[name] for each in chosen]) for name in chosen[0]})  # type: ignore[arg-type]
    return len(chosen)


def main() -> int:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("items", type=Path)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=0)
    options = vars(parser.parse_args())
    items = options.pop("items")
    settings = Settings(**options)
    with tempfile.TemporaryDirectory() as folder:
        tensors = Path(folder) / "items.npz"
        began = time.perf_counter()
        count = write_items(OnnxRuntime(settings.release, precision=settings.precision), items, tensors)
        print(f"{count} photos of one shape from {items}, read in {time.perf_counter() - began:.0f} s")
        failures = serving_throughput(settings, tensors, count)
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
