"""How fast are certified thresholds, and in how much memory? Prints a table of ratios; exits 1 if a claim fails.

Run: python -m scripts.bench_calibrate [--scores 10000000] [--golden 1000000] [--files]

Peers run in this process on the same scores and labels; times are medians of the repetitions, boundaries calibrated
afresh in each. Claims: certified threshold and curve together at least 10 times as fast as scikit-learn's
`precision_recall_curve` alone and 50 times as fast as MAPIE's calibrate (where it is installed, at a size that it
holds in a few gigabytes); peak memory, input included, below 3 times the input's; 20 policies on a million golden
items each, with all that the verb writes, in under 20 seconds. `--files` also runs the verb from files (two minutes).
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrate import choose_threshold
from calibrate.curve import precision_recall_curve
from calibrate.ranks import scan
from scripts.bench_calibrate_verb import verb_from_arrays, verb_from_files
from scripts.bench_peers import has_mapie, mapie_threshold

TARGET, CONFIDENCE = 0.95, 0.95
LABEL_TYPES = (np.bool_, np.int8, np.float32)

# Peak of the resident set over what it is once the input is in memory, in a process of its own (Linux).
MEASURE_MEMORY = """
import pathlib, re, sys
import numpy as np
from scripts.bench_calibrate import certified_curve

def kilobytes(field):
    return int(re.search(field + r":\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])

certified_curve(np.arange(1000, dtype=np.float32), np.ones(1000, bool))  # imports, caches
scores, labels = np.load(sys.argv[1] + "/scores.npy"), np.load(sys.argv[1] + "/labels.npy")
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
before = kilobytes("VmRSS")
certified_curve(scores, labels)
added = (kilobytes("VmHWM") - before) * 1024
print((scores.nbytes + labels.nbytes + added) / (scores.nbytes + labels.nbytes))
"""


@dataclass
class Claims:
    """Rows of the table and the claims that failed."""

    failures: list[str] = field(default_factory=list)

    def at_least(self, what: str, found: float, asked: float, note: str) -> None:
        """A ratio that must not be smaller."""
        self._row(what, f"{found:8.1f} x", f"at least {asked:g} x", found >= asked, note)

    def below(self, what: str, found: float, asked: float, unit: str, note: str) -> None:
        """A figure that must be smaller."""
        self._row(what, f"{found:8.2f} {unit}", f"below {asked:g} {unit}", found < asked, note)

    def _row(self, what: str, found: str, asked: str, holds: bool, note: str) -> None:
        print(f"{what:58} {found:>12}  {asked:16} {'ok' if holds else 'FAILS':6} {note}", flush=True)
        if not holds:
            self.failures.append(f"{what}: {found.strip()}, claimed {asked}")


def certified_curve(scores: NDArray[np.float32], labels: NDArray[Any]) -> None:
    """What a policy lead asks for: the threshold and the curve around it."""
    scan._boundaries.cache_clear()
    point = choose_threshold(scores, labels, target_precision=TARGET, confidence=CONFIDENCE)
    precision_recall_curve(scores, labels, certified_range=point.certified_range)
    assert point.status == "certified", point.reason


def draw(kind: str, n: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Scores and labels, a fifth violating; few and clear errors at the top."""
    random = np.random.default_rng(n)
    labels = random.random(n) < 0.2
    if kind == "logits":
        scores = random.normal(np.where(labels, 3.0, -2.0), 1.8)
    else:
        scores = np.where(labels, random.beta(4, 2, n), random.beta(1.5, 6, n))
        if kind == "8 bits":
            scores = np.round(255 * scores) / 255
    return scores.astype(np.float32), labels


def seconds(repetitions: int, *work: Callable[[], object]) -> list[float]:
    """Median seconds of each; they take turns, so that a busy machine slows all of them."""
    taken: list[list[float]] = [[] for _ in work]
    for _ in range(repetitions):
        for each, run in zip(taken, work, strict=True):
            began = time.perf_counter()
            run()
            each.append(time.perf_counter() - began)
    return [statistics.median(each) for each in taken]


def against_scikit_learn(claims: Claims, n: int, repetitions: int) -> None:
    """Threshold and curve against scikit-learn's curve."""
    from sklearn import metrics

    for kind in ("probabilities", "logits", "8 bits"):
        scores, labels = draw(kind, n)
        for dtype in LABEL_TYPES if kind == "probabilities" else (np.bool_,):
            given = labels.astype(dtype)
            ours, theirs = seconds(
                repetitions,
                partial(certified_curve, scores, given),
                partial(metrics.precision_recall_curve, given, scores),
            )
            what = f"{n:,} {kind}, {np.dtype(dtype)} labels: scikit-learn"
            asked = 5 if kind == "8 bits" else 10  # ties quicken scikit-learn's sort
            claims.at_least(what, theirs / ours, asked, f"{theirs:.2f} s over {ours:.3f} s")


def against_mapie(claims: Claims, n: int) -> None:
    """Threshold and curve against MAPIE's calibrate, as shipped and with one fixed sequence."""
    scores, labels = draw("probabilities", n)
    wide, known = scores.astype(np.float64), labels.astype(np.float64)
    for mode in ("Holm", "sequence"):
        peer = partial(mapie_threshold, wide, known, target=TARGET, delta=1 - CONFIDENCE, mode=mode)
        ours, theirs = seconds(3, partial(certified_curve, scores, labels))[0], seconds(1, peer)[0]
        claims.at_least(f"{n:,} probabilities: MAPIE {mode}", theirs / ours, 50, f"{theirs:.1f} s over {ours:.3f} s")


def memory(claims: Claims, n: int) -> None:
    """Peak memory in a process of its own."""
    for kind, dtype in (("probabilities", np.bool_), ("logits", np.float32)):
        scores, labels = draw(kind, n)
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "scores.npy", scores)
            np.save(Path(folder) / "labels.npy", labels.astype(dtype))
            answer = subprocess.run(
                [sys.executable, "-c", MEASURE_MEMORY, folder], capture_output=True, text=True, check=True
            )
        what = f"{n:,} {kind}, {np.dtype(dtype)} labels: peak over input"
        claims.below(what, float(answer.stdout), 3, "x", "in bytes, input included")


def main() -> int:
    """Run all claims."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=int, default=10_000_000)
    parser.add_argument("--mapie-scores", type=int, default=3_000_000)
    parser.add_argument("--golden", type=int, default=1_000_000, help="golden items of the 20 policies")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--files", action="store_true", help="the verb from files, too; about 7 GB of memory")
    options = parser.parse_args()
    claims = Claims()
    against_scikit_learn(claims, options.scores, options.repetitions)
    if has_mapie():
        against_mapie(claims, options.mapie_scores)
    else:
        print("MAPIE is not installed (pip install setpoint[bench]): its rows are left out")
    memory(claims, options.scores)
    policies = 20
    taken = verb_from_arrays(policies, options.golden)
    what = f"{policies} policies x {options.golden:,} items, with report"
    claims.below(what, taken, 20, "s", "40 bands by precision, 20 by recall, 30 slices each")
    if options.files:
        print(f"the verb from files, {policies} policies: {verb_from_files(policies, options.golden):.1f} s")
    for failure in claims.failures:
        print(f"FAILED {failure}")
    return 1 if claims.failures else 0


if __name__ == "__main__":
    sys.exit(main())
