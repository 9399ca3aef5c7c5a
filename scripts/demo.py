"""The `demo` verb: the whole pipeline, verb by verb, on posts that it generates."""

import time
from pathlib import Path

from data.generated import generate_posts
from data.summary import Summary
from scripts.verbs import run_verb

ROOT = Path("outputs/demo")
STEPS = ("validate", "split", "train", "export", "score", "calibrate", "seal")


def demo(*, count: int, seed: int) -> Summary:
    """Generate posts, then validate, split, train, export, score, calibrate, seal and verify.

    Args:
        count: posts to generate.
        seed: of the posts; the split and the training have their own.
    """
    started = time.monotonic()
    _say(f"generating {count} posts", started)
    generate_posts(ROOT / "posts", count=count, seed=seed)
    release = Path()
    table: list[str] = []
    for verb in STEPS:
        summary = run_verb(verb, ["experiment=demo", *(["overwrite=true"] if verb == "train" else [])])
        _say(summary.title, started)
        if verb == "calibrate":
            table = summary.lines
        if verb == "seal":
            release = summary.written[0]
    verified = run_verb("verify", [f"release={release}"])
    _say(verified.title, started)
    return Summary(
        f"demo: done in {time.monotonic() - started:.0f} s; read the report, load the release",
        [ROOT / "calibration/report/index.html", release],
        [*verified.lines, "", *table, ""],
        ok=verified.ok,
    )


def _say(text: str, started: float) -> None:
    print(f"[{time.monotonic() - started:4.0f} s] {text}", flush=True)
