"""Wherever the threshold is moved, the page shows what `calibrate` computes from the scores, to the last digit."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from browser import go, opened
from page_calibration import PageCalibration
from playwright.sync_api import Browser, Page

from calibrate.bands import BandPart
from calibrate.bounds import interval, lower_bound
from calibrate.operating_points_file import BandRecord, load_operating_points
from calibrate.ranks.ranked import RankedLabels, rank_labels
from calibrate.ranks.ribbon import simultaneous_lower_bounds
from calibrate.report.shown import estimate, percent, shown_volume
from calibrate.traffic.file import Traffic, open_traffic
from calibrate.traffic.histogram import BIN_COUNT
from calibrate.traffic.volume import daily_volume
from data.labels import derive_labels, label_matrix
from data.policy import load_policies
from data.scores import read_scores

N_THRESHOLDS = 200
SECONDS = 45
KEYS = ["ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp", "PageDown", "PageDown", "PageUp", "Home", "End"]
NOTHING = "\u2013"
ROWS = (
    "() => [...document.querySelectorAll('.slices tbody tr')].map((r) => [...r.children].map((c) => c.textContent))"
)


@dataclass(frozen=True)
class Truth:
    """Everything anew, from the files: scores and labels of the policy `fire`, its record, its traffic."""

    scores: np.ndarray
    labels: np.ndarray
    markets: np.ndarray
    ranked: RankedLabels
    bands: tuple[BandRecord, ...]
    traffic: Traffic

    def posts(self, threshold: float | None, below: float | None = None) -> float:
        counts = self.traffic.of("fire").counts
        exposure = self.traffic.metadata.exposure
        if threshold is None:
            return counts.sum() / exposure
        volume = daily_volume(BandPart("", threshold, below), counts, exposure=exposure, scale="logit")
        return volume.expected

    def estimated(self, posts: float, low: float, high: float, *, violating: bool) -> str:
        """Posts times the share of the labels between two scores; a dash where there is no label."""
        inside = (self.scores >= np.float32(low)) & (self.scores < np.float32(high)) & ~np.isnan(self.labels)
        if posts <= 0:
            return "0"
        return estimate(posts * float((self.labels[inside] == violating).mean())) if inside.any() else NOTHING

    def figures(self, threshold: float, band: BandRecord, below: float | None) -> dict[str, str]:
        """What the page must show for a band that starts at a threshold, under others that start at `below`."""
        confidence = 0.95 if band.look is None else 1 - band.look.spent
        flagged = self.scores >= np.float32(threshold)
        right, known = int((self.labels[flagged] == 1).sum()), int((~np.isnan(self.labels[flagged])).sum())
        low, high = interval(right, self.ranked.n_positive, confidence=confidence)
        step = self.ranked.step_at(known)
        counts, exposure = self.traffic.of("fire").counts, self.traffic.metadata.exposure
        volume = daily_volume(BandPart("", threshold, below), counts, exposure=exposure, scale="logit")
        collides = below is not None and threshold >= below
        further = below if collides else threshold
        left = self.posts(None) - self.posts(further)
        own = 0.0 if collides else self.posts(threshold, below)
        upto = np.inf if below is None else below
        found = {
            "precision": percent(right / known),
            "lower": percent(float(lower_bound(right, known, confidence=confidence))),
            "recall": percent(right / self.ranked.n_positive),
            "interval": f"{percent(low)} to {percent(high)}",
            "ribbon": percent(simultaneous_lower_bounds(self.ranked, confidence=confidence)[step]),
            "posts": shown_volume(volume),
            "wrongful": self.estimated(own, threshold, upto, violating=False),
            "left": self.estimated(left, -np.inf, further, violating=True),
            "labels": f"{known:,}",
            "flagged": f"{int(flagged.sum()):,} of 3,000 golden posts flagged",
        }
        if band.action != "auto_remove":
            found["needless"] = found.pop("wrongful")
            found["hours"] = estimate(own * SECONDS / 3600)
        return found


@pytest.fixture(scope="module")
def truth(made: PageCalibration) -> Truth:
    policies = load_policies(made.policies)
    items = pl.read_parquet(made.golden / "items.parquet")
    annotations = pl.read_parquet(made.golden / "annotations.parquet")
    item_ids = items["item_id"].to_list()
    labels = label_matrix(item_ids, derive_labels(annotations, policies), ["fire"])[:, 0]
    scores = read_scores(made.scores, ["fire"]).of(item_ids)[:, 0]
    return Truth(
        scores=scores,
        labels=labels,
        markets=items["market"].to_numpy(),
        ranked=rank_labels(scores, labels),
        bands=load_operating_points(made.out).policies[0].bands,
        traffic=open_traffic(made.traffic),
    )


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with opened(browser, f"{url}#/fire/1") as page:
        yield page


def shown(page: Page) -> dict[str, str]:
    """Figures with their notes, as they stand on the page."""
    found = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll(".figures .figure")].map((row) => [
            row.querySelector("[data-figure]").dataset.figure,
            [row.querySelector(".value").textContent, row.querySelector(".note").textContent]]))"""
    )
    plain = {name: tuple(text.replace("\u00a0", " ") for text in texts) for name, texts in found.items()}
    values = {name: value for name, (value, _) in plain.items()}
    values["lower"] = plain["precision"][1].removeprefix("at least ").removesuffix(", at this threshold alone")
    values["interval"] = plain["recall"][1]
    values["flagged"] = plain["labels"][1]
    return values


def threshold_now(page: Page) -> float:
    """The exact threshold that is chosen, read from the field that people read."""
    return float(np.float32(page.input_value("input[type=number][id^=threshold]")))


@pytest.mark.parametrize("way", ["typed", "slider", "keys"])
def test_every_figure_is_what_calibrate_computes(page: Page, truth: Truth, way: str) -> None:
    random = np.random.default_rng({"typed": 0, "slider": 1, "keys": 2}[way])
    band, seen = truth.bands[0], set()
    slider, field = page.locator(".slider"), page.locator("input[type=number][id^=threshold]")
    for _ in range(N_THRESHOLDS if way == "typed" else 60):
        if way == "typed":
            field.fill(f"{random.uniform(-3.4, 6.5):.4f}")
            field.press("Enter")
        elif way == "slider":
            place = random.uniform(-3, 6)
            slider.evaluate(f"(s) => {{ s.value = {place}; s.dispatchEvent(new Event('input')) }}")
        else:
            key = random.choice(["ArrowLeft", "ArrowRight", "PageDown", "ArrowDown", "PageUp", "Home", "End"])
            slider.press(str(key))
        threshold = threshold_now(page)
        expected = truth.figures(threshold, band, None)
        if threshold == band.threshold:
            continue  # the next test's
        found = shown(page)
        assert {name: found[name] for name in expected} == expected, threshold
        seen.add(threshold)
    assert len(seen) > (150 if way == "typed" else 15)


def test_as_calibrated_the_page_says_what_the_file_says(page: Page, truth: Truth) -> None:
    for place, band in enumerate(truth.bands):
        go(page, f"#/fire/{place + 1}")
        found = shown(page)
        assert threshold_now(page) == band.threshold
        low, high = band.recall_interval
        assert found["precision"] == percent(band.precision)
        assert found["lower"] == percent(band.precision_lower_bound)
        assert found["recall"] == percent(band.recall)
        assert found["interval"] == f"{percent(low)} to {percent(high)}"
        assert found["posts"] == shown_volume(band.daily_volume)
        assert found["labels"] == f"{band.n_flagged_labelled:,}"


def test_a_band_gets_what_the_bands_before_it_leave(page: Page, truth: Truth) -> None:
    """Moving the first band changes what the second and third act on, wherever they stand."""
    random = np.random.default_rng(3)
    _, review, escalation = truth.bands
    for below in random.uniform(0.5, 4, 8):
        go(page, "#/fire/1")
        page.fill("input[type=number][id^=threshold]", f"{below:.3f}")
        page.press("input[type=number][id^=threshold]", "Enter")
        at_first = threshold_now(page)
        go(page, "#/fire/2")
        for place in [*random.uniform(-1, 4, 4), at_first]:
            page.fill("input[type=number][id^=threshold]", f"{place:.7g}")
            page.press("input[type=number][id^=threshold]", "Enter")
            threshold = threshold_now(page)
            expected = truth.figures(threshold, review, at_first)
            found = shown(page)
            assert {name: found[name] for name in expected} == expected, (threshold, at_first)
            assert (page.locator(".order .caution").count() > 0) == (
                threshold >= at_first or escalation.threshold >= min(at_first, threshold)
            )


def test_slices_follow_the_threshold(page: Page, truth: Truth) -> None:
    """Known labels, precision and posts a day of each market, at thresholds moved to."""
    random = np.random.default_rng(4)
    counted = truth.traffic.of("fire").slices
    for place in random.uniform(-2, 5, 10):
        page.fill("input[type=number][id^=threshold]", f"{place:.3f}")
        page.press("input[type=number][id^=threshold]", "Enter")
        threshold = threshold_now(page)
        rows = page.evaluate(ROWS)
        found = {row[0].removeprefix("market "): row for row in rows if row[0].startswith("market ")}
        for market in ("de", "fr", "مصر", "thin"):
            inside = (truth.markets == market) & (truth.scores >= np.float32(threshold)) & ~np.isnan(truth.labels)
            volume = daily_volume(
                BandPart("", threshold),
                counted.get(("market", market), np.zeros(BIN_COUNT, np.int64)),  # no post of `thin` was counted
                exposure=truth.traffic.metadata.exposure,
                scale="logit",
            )
            expected = [
                percent(float(truth.labels[inside].mean())) if inside.any() else NOTHING,
                f"{int(inside.sum()):,}",
                f"{int(((truth.markets == market) & ~np.isnan(truth.labels)).sum()):,}",
                shown_volume(volume),
            ]
            assert [text.replace("\u00a0", " ") for text in found[market][2:]] == expected
        assert found["unlabelled"][3:5] == [
            "0",
            "0",
        ]  # traffic knows it, no golden post does: it is shown all the same
