"""How fast are scores counted, against reading them, and in how much memory? Exits 1 if a claim fails.

Run: python -m scripts.bench_histogram [--scores 20000000]

Claims: 300 million float32 scores a second on one core; no slower than pyarrow reads the column from a file as
`setpoint score` writes it; four times as many posts take no more memory. Times are of the processor, best of three:
other work on the machine counts little. Files lie in a temporary folder.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from calibrate.traffic.histogram import Counter
from calibrate.traffic.run import BATCH
from data.tables import write_parquet

FEWEST_MILLIONS = 300.0
MOST_GROWTH = 1.1  # of peak memory, from SMALL to LARGE
REPEATS = 3
SMALL, LARGE = 10_000_000, 40_000_000
COUNT_FILE = """
import sys
from pathlib import Path
from calibrate.traffic.run import traffic
path = Path(sys.argv[1])
traffic(scores=path, out=path.with_suffix(".traffic.parquet"), days=1, slices=("market",))
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024)
"""


def histogram_speed(*, num_scores: int = 20_000_000, memory: bool = True) -> list[str]:
    """Measure, print, and return what failed.

    Args:
        num_scores: counted and read at a time.
        memory: measure peak memory too, on files of 10 and 40 million posts.
    """
    scores = np.random.default_rng(0).normal(-4, 3, num_scores).astype(np.float32)
    counter = Counter()

    def count() -> None:
        for start in range(0, num_scores, BATCH):
            counter.add(scores[start : start + BATCH])

    counting = _fastest(count)
    speed = num_scores / counting / 1e6
    print(f"{'counted, million scores a second on one core':64} {speed:8.0f}")
    failures = (
        [] if speed >= FEWEST_MILLIONS else [f"{speed:.0f} million scores a second, below {FEWEST_MILLIONS:.0f}"]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        frame = pl.DataFrame({"fire": scores})
        write_parquet(frame, path)
        ratio = _fastest(lambda: _read(path)) / counting
        print(f"{'time to read them with pyarrow, over time to count (zstd, as written)':64} {ratio:8.2f}")
        if ratio < 1:
            failures.append(f"counting takes {1 / ratio:.2f} times as long as reading the Parquet column")
        for compression in ("snappy", "none"):
            pq.write_table(frame.to_arrow(), path, compression=compression)
            print(f"{f'the same, {compression}':64} {_fastest(lambda: _read(path)) / counting:8.2f}")
    return failures + (_memory() if memory else [])


def _read(path: Path) -> None:
    """The column as pyarrow gives it on one thread, in the batches that counting takes."""
    for _ in pq.ParquetFile(path).iter_batches(BATCH, columns=["fire"], use_threads=False):
        pass


def _memory() -> list[str]:
    """Peak memory of `setpoint traffic` with slices at two sizes, MiB."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for size in (SMALL, LARGE):
            path = Path(folder) / f"{size}.parquet"
            _write_posts(path, size)
            peaks.append(_peak(path))
            path.unlink()
            print(f"{f'peak memory of `setpoint traffic`, {size:,} posts, MiB':64} {peaks[-1]:8.0f}")
    if peaks[1] > MOST_GROWTH * peaks[0]:
        return [f"peak memory grows from {peaks[0]:.0f} to {peaks[1]:.0f} MiB with four times the posts"]
    return []


def _peak(path: Path) -> float:
    """Peak memory in MiB of a process that counts one file, from /proc: getrusage would count the parent's too."""
    done = subprocess.run([sys.executable, "-c", COUNT_FILE, str(path)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _write_posts(path: Path, size: int) -> None:
    """Scores and markets, a million at a time."""
    random = np.random.default_rng(1)
    writer = None
    for start in range(0, size, 1_000_000):
        n = min(1_000_000, size - start)
        scores = random.normal(-4, 3, n).astype(np.float32)
        markets = np.array(["de", "fr", "us", "in"])[random.integers(0, 4, n)]
        part = pl.DataFrame({"fire": scores, "market": markets}).to_arrow()
        writer = writer or pq.ParquetWriter(path, part.schema, compression="zstd")
        writer.write_table(part)
    assert writer is not None
    writer.close()


def _fastest(work: Callable[[], None]) -> float:
    """Processor time in seconds, best of REPEATS."""
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def main() -> int:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=int, default=20_000_000)
    options = parser.parse_args()
    failures = histogram_speed(num_scores=options.scores)
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
