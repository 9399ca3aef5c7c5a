"""The page's own functions say what Python's say: numbers as text, Poisson bounds, thresholds typed again."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from browser import opened
from playwright.sync_api import Browser, Page

from calibrate.report.shown import about, estimate, percent, shown_threshold, shown_volume
from calibrate.traffic.volume import DailyVolume, poisson_bounds


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with opened(browser, url) as page:
        yield page


def called(page: Page, name: str, values: list) -> list:
    return page.evaluate(f"(text) => JSON.parse(text).map((value) => setpoint.{name}(value))", json.dumps(values))


def plain(texts: list[str]) -> list[str]:
    return [text.replace("\u00a0", " ") for text in texts]


def awkward(random: np.random.Generator) -> list[float]:
    """Shares at which rounding turns, fractions that end in a half, and any others."""
    halves = [k / n for n in (8, 16, 32, 64, 80, 160, 400, 800, 1600, 2000) for k in range(n + 1)]
    ends = [0.0, 1.0, 1e-9, 1 - 1e-12, 0.9995, 0.99949999, 0.0005, 0.00049999]
    return [*halves, *ends, *random.random(2000).tolist()]


def test_shares(page: Page) -> None:
    shares = awkward(np.random.default_rng(0))
    assert plain(called(page, "percent", shares)) == [percent(share) for share in shares]


def test_counts_and_estimates(page: Page) -> None:
    random = np.random.default_rng(1)
    counts = [0, 7, 10, 99, 100, 101, 999, 1000, 12345, *random.integers(0, 10**7, 300).tolist()]
    assert called(page, "about", counts) == [about(count) for count in counts]
    assert called(page, "whole", counts) == [f"{count:,}" for count in counts]
    values = [0.0, 0.04, 0.05, 0.25, 0.35, 9.94, 9.95, 10.5, 11.5, 2.5, *(10 ** random.uniform(-2, 7, 800)).tolist()]
    assert called(page, "estimate", values) == [estimate(value) for value in values]


def test_thresholds(page: Page) -> None:
    random = np.random.default_rng(2)
    scaled = random.normal(size=1500) * 10 ** random.uniform(-6, 6, 1500)
    values = np.float32([0, 1, -1, 0.03125, -0.03125, 1.125, 999.995, 1000.5, 1e-5, 123456, *scaled]).astype(float)
    assert called(page, "shownThreshold", values.tolist()) == [shown_threshold(value) for value in values.tolist()]
    typed = called(page, "typed", values.tolist())
    assert [float(np.float32(text)) for text in typed] == values.tolist()


def test_poisson_bounds(page: Page) -> None:
    random = np.random.default_rng(3)
    counts = [*range(40), 99, 100, 1000, *np.round(10 ** random.uniform(0, 8.5, 120)).astype(int).tolist()]
    found = np.array(called(page, "poissonBounds", counts))
    np.testing.assert_allclose(found, [poisson_bounds(count) for count in counts], rtol=1e-10, atol=1e-12)


def test_volumes(page: Page) -> None:
    random = np.random.default_rng(4)
    volumes = [DailyVolume(0.0, 0.0, 0.0), DailyVolume(0.2, 0.0, 3.69)]
    for count in [*range(12), *np.round(10 ** random.uniform(0, 6, 200)).astype(int).tolist()]:
        low, high = poisson_bounds(count)
        volumes.append(DailyVolume(count / 2.5, low / 2.5, high / 2.5))
    given = [{"expected": each.expected, "low": each.low, "high": each.high} for each in volumes]
    assert plain(called(page, "shownVolume", given)) == [shown_volume(each) for each in volumes]
