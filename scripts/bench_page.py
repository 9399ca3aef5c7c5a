"""How large the policy lead's page gets and how quickly it answers: 50 policies, 1,000,000 golden items, 30 slices.

    python -m scripts.bench_page [--policies 50] [--items 1000000] [--page FILE]

Golden scores and labels are generated, as is a day of traffic in 30 markets. The time to build counts all that the
page adds to a calibration: figures at every threshold, packing, the page and the tables. Ready and step are measured
inside Chromium: ready is from navigation to the first frame of the overview (or of a policy), a step is from a key
press until everything is laid out again, without the painting.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq

import calibrate.run as verb
from calibrate.inputs import CalibrationInputs
from calibrate.slices import rows_by_value
from calibrate.traffic.file import METADATA_KEY, PolicyTraffic, TrafficMetadata, rows_of
from calibrate.traffic.histogram import histogram
from scripts.bench_calibrate import Claims
from scripts.bench_calibrate_verb import METADATA, arrays

MEGABYTE = 1_000_000
STEPS = 120
POSTS_A_DAY = 100_000


def main() -> None:
    """Print the figures; exit code 1 if one misses its claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policies", type=int, default=50)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--page", type=Path, help="measure this page instead of building one")
    arguments = parser.parse_args()
    claims = Claims()
    with tempfile.TemporaryDirectory() as name:
        page = arguments.page
        if page is None:
            page, seconds = build(arguments.policies, arguments.items, Path(name))
            claims.below("built", seconds, 20, " s", f"{arguments.policies} policies, {arguments.items:,} items")
        claims.below("page", page.stat().st_size / MEGABYTE, 15, " MB", "")
        for view, figures in measured(page).items():
            claims.below(f"{view} ready", figures["ready"] / 1000, 2, " s", "median of 5 openings")
            if "step" in figures:
                claims.below(f"{view} step", figures["step"], 50, " ms", f"slowest of {STEPS} key presses")
    if claims.failures:
        raise SystemExit("\n".join(claims.failures))


def build(n_policies: int, n_items: int, folder: Path) -> tuple[Path, float]:
    """Calibrate on generated arrays, and add up the seconds of what only the page needs."""
    inputs = arrays(n_policies, n_items, folder)
    counted = write_day(folder / "traffic.parquet", inputs)
    spent: list[float] = []
    with (
        patch("calibrate.run.read_inputs", return_value=inputs),
        timed("policy_numbers", spent),
        timed("slice_columns", spent),
        timed("write_report", spent),
    ):
        verb.calibrate(
            scores=folder,
            golden=folder / "golden",
            policies=folder / "policies",
            out=folder / "out",
            traffic=counted,
        )
    return folder / "out" / "report" / "index.html", sum(spent)


def write_day(path: Path, inputs: CalibrationInputs) -> Path:
    """A day of traffic that scores like the golden items, in the same markets."""
    policy_ids = [policy.policy_id for policy in inputs.policies]
    posts = inputs.golden.scores[:POSTS_A_DAY]
    rows = rows_by_value(inputs.golden_set.items["market"][: len(posts)])
    metadata = TrafficMetadata(
        scale=METADATA.scale,
        model_digest=METADATA.model_digest,
        runtime=METADATA.runtime,
        days=1,
        sampled_share=1,
        n_posts=len(posts),
        policies=tuple(policy_ids),
        slices=("market",),
        **{"schema": "setpoint/traffic/v1"},
    )
    tables = [
        rows_of(
            policy_id,
            PolicyTraffic(
                histogram(posts[:, column]),
                {("market", name): histogram(posts[inside, column]) for name, inside in rows.items()},
            ),
        )
        for column, policy_id in enumerate(policy_ids)
    ]
    described = {METADATA_KEY: metadata.model_dump_json(by_alias=True).encode()}
    pq.write_table(pa.concat_tables(tables).replace_schema_metadata(described), path)
    return path


@contextmanager
def timed(name: str, spent: list[float]) -> Iterator[None]:
    """Add to `spent` the seconds of every call that the verb makes to one of its functions."""
    original: Callable[..., Any] = getattr(verb, name)

    def called(*arguments: Any, **keys: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(*arguments, **keys)
        finally:
            spent.append(time.perf_counter() - began)

    with patch.object(verb, name, called):
        yield


def measured(page_file: Path) -> dict[str, dict[str, float]]:
    """Milliseconds until the overview and a policy are shown, and of a step of its slider."""
    from playwright.sync_api import sync_playwright

    found: dict[str, dict[str, float]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        )
        first = None
        for view in ("overview", "policy"):
            times = []
            for _ in range(5):
                page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
                page.goto(page_file.as_uri() + ("" if view == "overview" else f"#/{first}/1"))
                page.wait_for_function("performance.getEntriesByName('ready').length")
                times.append(page.evaluate("performance.getEntriesByName('ready')[0].startTime"))
                first = page.evaluate("setpoint.PAGE.policies[0].policy_id")
                if view == "policy" and len(times) == 5:
                    found["policy"] = {"step": max(page.evaluate(STEP, STEPS))}
                page.context.close()
            found.setdefault(view, {})["ready"] = statistics.median(times)
        browser.close()
    return found


STEP = """async (steps) => {
    const slider = document.querySelector(".slider");
    const times = [];
    for (let i = 0; i < steps; i++) {
        await new Promise(requestAnimationFrame);
        const began = performance.now();
        slider.dispatchEvent(new KeyboardEvent("keydown", { key: i % 10 ? "ArrowLeft" : "PageDown", bubbles: true }));
        document.body.getBoundingClientRect();
        times.push(performance.now() - began);
    }
    return times;
}"""


if __name__ == "__main__":
    main()
