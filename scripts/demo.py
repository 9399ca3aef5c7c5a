"""The `demo` verb: the whole pipeline, verb by verb, on posts that it generates."""

import time
from pathlib import Path

from data.generated import generate_posts
from data.generated.plan import WINDOW
from data.summary import Summary
from scripts.verbs import run_verb

ROOT = Path("outputs/demo")
UNSIGNED = "a demo on generated posts, for which nobody answers"
STEPS = ("validate", "split", "train", "export", "score", "traffic", "calibrate", "seal")


def demo(*, count: int, seed: int) -> Summary:
    """Generate posts, then validate, split, train, export, score, count traffic, calibrate, seal and verify.

    Nobody signs a demo: its release is sealed unsigned, and says so.

    The scored posts, a random part of four generated weeks, stand in for production traffic.

    Args:
        count: posts to generate.
        seed: of the posts; the split and the training have their own.
    """
    started = time.monotonic()
    _say(f"generating {count} posts …", started)
    generate_posts(ROOT / "posts", count=count, seed=seed)
    release = Path()
    table: list[str] = []
    for verb in STEPS:
        _say(f"{verb} …", started)
        summary = run_verb(verb, ["experiment=demo", *_overrides(verb, count)])
        _say(summary.title, started)
        if verb == "calibrate":
            table = summary.lines
        if verb == "seal":
            release = summary.written[0]
    _say("verify …", started)
    verified = run_verb("verify", [f"release={release}"])
    _say(verified.title, started)
    return Summary(
        f"demo: done in {time.monotonic() - started:.0f} s; read the report, load the release",
        [ROOT / "calibration/report/index.html", release],
        [*verified.lines, "", *table, ""],
        ok=verified.ok,
    )


def _overrides(verb: str, count: int) -> list[str]:
    if verb == "train":
        return ["overwrite=true"]
    if verb == "calibrate":
        return [f"traffic={ROOT}/traffic.parquet"]
    if verb == "seal":
        return [f"calibration={ROOT}/calibration", f"unsigned='{UNSIGNED}'"]
    if verb != "traffic":
        return []
    import polars as pl

    scores = ROOT / "scores/scores.parquet"
    num_scored = pl.scan_parquet(scores).select(pl.len()).collect().item()
    return [f"scores={scores}", f"days={WINDOW.days}", f"sampled_share={num_scored / count}"]


def _say(text: str, started: float) -> None:
    print(f"[{time.monotonic() - started:4.0f} s] {text}", flush=True)
