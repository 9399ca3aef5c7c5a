"""How large the policy lead's page gets and how quickly it answers: 50 policies, 1,000,000 golden items, 30 slices.

    python -m scripts.bench_page [--policies 50] [--items 1000000] [--page FILE] [--production]

Golden scores and labels are generated, as is a day of traffic in 30 markets; with --production also another model's
scores of the same items, to compare with at the same thresholds. The time to build counts all that the
page adds to a calibration: figures at every threshold, packing, the page and the tables, in seconds of the processor.
Ready is from navigation to the first frame of the overview (or of a policy), by the clock. A step is what the thread
that draws the page spends on a key press of the slider, until the next frame stands: script, style, layout and paint,
again of the processor, so that a busy machine does not count; the clock's time is printed beside it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calibrate import outcome, procedure
from calibrate.inputs import CalibrationInputs
from calibrate.operating_points_file import BandRecord, CalibratorRecord, ErrorBudgetRecord, PolicyRecord
from calibrate.probability import Calibrator
from calibrate.production.files import Production, ProductionFiles
from calibrate.ranks.ranked import rank_labels
from calibrate.run import calibrate
from calibrate.slices import rows_by_value
from calibrate.traffic.capacity import awaiting_traffic
from calibrate.traffic.file import METADATA_KEY, PolicyTraffic, TrafficMetadata, rows_of
from calibrate.traffic.histogram import histogram
from scripts.bench_calibrate import Claims
from scripts.bench_calibrate_verb import METADATA, arrays

if TYPE_CHECKING:
    from playwright.sync_api import Page

MEGABYTE = 1_000_000
STEPS = 120
OPENINGS = 5
POSTS_A_DAY = 100_000


def main() -> None:
    """Print the figures; exit code 1 if one misses its claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policies", type=int, default=50)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--production", action="store_true", help="compare with another model")
    parser.add_argument("--page", type=Path, help="measure this page instead of building one")
    arguments = parser.parse_args()
    claims = Claims()
    with tempfile.TemporaryDirectory() as name:
        page = arguments.page
        if page is None:
            page, seconds = build(arguments.policies, arguments.items, Path(name), compared=arguments.production)
            claims.below("built", seconds, 20, " s", f"{arguments.policies} policies, {arguments.items:,} items")
        claims.below("page", page.stat().st_size / MEGABYTE, 15, " MB", "")
        for view, figures in measured(page).items():
            claims.below(f"{view} ready", figures["ready"] / 1000, 2, " s", f"median of {OPENINGS} openings")
            if "step" in figures:
                medians = f"median {figures['typical']:.1f}, by the clock {figures['clock']:.1f}"
                claims.below(f"{view} step", figures["step"], 50, " ms", f"slowest of {STEPS} key presses; {medians}")
    if claims.failures:
        raise SystemExit("\n".join(claims.failures))


def build(n_policies: int, n_items: int, folder: Path, *, compared: bool = False) -> tuple[Path, float]:
    """Calibrate on generated arrays, and add up the processor seconds of what only the page needs."""
    inputs = arrays(n_policies, n_items, folder)
    counted = write_day(folder / "traffic.parquet", inputs)
    files = ProductionFiles(scores=folder, points=folder) if compared else None
    spent: list[float] = []
    with (
        patch("calibrate.certify.read_inputs", return_value=inputs),
        patch("calibrate.certify.read_production", side_effect=lambda *_: serving(inputs)),
        timed(procedure, "policy_against", spent),
        timed(procedure, "policy_numbers", spent),
        timed(procedure, "slice_columns", spent),
        timed(procedure, "choose_examples", spent),
        timed(outcome, "embedded_examples", spent),
        timed(outcome, "write_report", spent),
    ):
        calibrate(
            scores=folder,
            golden=folder / "golden",
            policies=folder / "policies",
            out=folder / "out",
            traffic=counted,
            production=files,
        )
    return folder / "out" / "report" / "index.html", sum(spent)


def serving(inputs: CalibrationInputs) -> Production:
    """A model that scores a little otherwise, and serves by round thresholds."""
    random = np.random.default_rng(3)
    noise = random.normal(0, 0.7, inputs.scores.values.shape).astype(np.float32)
    scores = replace(inputs.scores, values=inputs.scores.values + noise)
    plain = rank_labels(scores.values[:100, 0], np.zeros(100))
    points = outcome.outcome_of(inputs, [], ErrorBudgetRecord(mode="each", n_claims=1), None).content
    policies = tuple(
        PolicyRecord(
            policy_id=policy.policy_id,
            policy_version=policy.version,
            calibrator=CalibratorRecord.of(Calibrator(), None),
            bands=tuple(
                BandRecord.of(band, replace(awaiting_traffic(1, plain), status="fits", threshold=float(2 - place)))
                for place, band in enumerate(policy.bands)
            ),
        )
        for policy in inputs.policies
    )
    values = {each.policy_id: scores.values[:, column].copy() for column, each in enumerate(inputs.policies)}
    return Production(points.model_copy(update={"policies": policies}), scores, values, ())


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
def timed(module: ModuleType, name: str, spent: list[float]) -> Iterator[None]:
    """Add to `spent` the processor seconds of every call that a module makes to a function."""
    original: Callable[..., Any] = getattr(module, name)

    def called(*arguments: Any, **keys: Any) -> Any:
        began = time.process_time()
        try:
            return original(*arguments, **keys)
        finally:
            spent.append(time.process_time() - began)

    with patch.object(module, name, called):
        yield


def measured(page_file: Path) -> dict[str, dict[str, float]]:
    """Milliseconds until the overview and a policy are shown, and of steps of its slider."""
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
            for turn in range(OPENINGS):
                page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
                page.goto(page_file.as_uri() + ("" if view == "overview" else f"#/{first}/1"))
                page.wait_for_selector("html[data-ready]", state="attached")
                times.append(page.evaluate(READY))
                first = page.evaluate("setpoint.PAGE.policies[0].policy_id")
                if view == "policy" and turn == OPENINGS - 1:
                    found["policy"] = steps_of(page)
                page.context.close()
            found.setdefault(view, {})["ready"] = statistics.median(times)
        browser.close()
    return found


def steps_of(page: "Page") -> dict[str, float]:
    """Milliseconds of the page's main thread for steps of the slider: slowest, median, and the clock's median."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
        return 1000 * float(metrics["TaskDuration"])

    processor, clock = [], []
    for step in range(STEPS):
        before = spent()
        clock.append(page.evaluate(STEP, "ArrowLeft" if step % 10 else "PageDown"))
        processor.append(spent() - before)
    return {
        "step": max(processor),
        "typical": statistics.median(processor),
        "clock": statistics.median(clock),
    }


# When the page was first drawn. The page's own policy forbids what `wait_for_function` evaluates while it waits.
READY = """() => new Promise((done) => {
    const look = () => {
        const [mark] = performance.getEntriesByName("ready");
        if (mark) done(mark.startTime);
        else requestAnimationFrame(look);
    };
    look();
})"""

# A key press; returns how long it took until all was laid out again. The next frame has been painted at the end.
STEP = """async (key) => {
    const slider = document.querySelector(".slider");
    const began = performance.now();
    slider.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    document.body.getBoundingClientRect();
    const laidOut = performance.now() - began;
    await new Promise(requestAnimationFrame);
    await new Promise((done) => setTimeout(done));
    return laidOut;
}"""


if __name__ == "__main__":
    main()
