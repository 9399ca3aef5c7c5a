"""What the page tells beside its figures: over which posts each is, what lies outside, which order is wrong."""

import re
from collections.abc import Iterator

import pytest
from browser import go, opened
from playwright.sync_api import Page, expect

FIELD = "input[type=number][id^=threshold]"


@pytest.fixture
def page(browser, url: str) -> Iterator[Page]:
    with opened(browser, url) as page:
        yield page


def test_a_typed_number_that_is_no_probability_is_told(browser, make_calibration) -> None:
    calibration = make_calibration(scale="probability")
    calibration.run()
    with opened(browser, (calibration.out / "report" / "index.html").as_uri() + "#/fire/1") as page:
        for typed in ("99", "-0.5"):
            page.fill(FIELD, typed)
            page.press(FIELD, "Tab")
            expect(page.locator(".snapped")).to_contain_text(
                f"{typed} is outside 0 to 1, where all scores lie; shown is"
            )


def test_each_figure_says_over_which_posts_it_is(page: Page) -> None:
    """Shares are over all posts from the threshold on, numbers of posts over the band's own part."""
    go(page, "#/fire/1")
    expect(page.locator(".figure.precision .over")).to_have_text("of all posts from 2.12 on")
    go(page, "#/fire/2")
    over = {name: page.locator(f".figure.{name} .over") for name in ("precision", "recall", "needless", "labels")}
    for name in ("precision", "labels"):
        expect(over[name]).to_have_text(re.compile("^of all posts from .* on, those of the bands before included$"))
    expect(over["recall"]).to_contain_text("by the bands before as well")
    expect(over["needless"]).to_have_text(re.compile("^of this band.s own part$"))
    expect(page.locator(".figure.posts .note")).to_contain_text("own part: scores from")
    expect(page.locator(".verdict")).to_contain_text("With the bands before it, it would catch")
    expect(page.locator("section.slices > .soft").last).to_contain_text("included; posts a day are those of the band")
    go(page, "#/")
    heads = page.locator(".glance thead th")
    expect(heads.filter(has_text="Precision")).to_have_text("Precision seenfrom the threshold up")
    expect(heads.filter(has_text="Posts a day")).to_have_text("Posts a dayin its own part")


def test_drawings_have_titles_on_their_axes(page: Page) -> None:
    go(page, "#/fire/1")
    expect(page.locator(".plot text.axis").first).to_have_text("↑ share of flagged posts that violate (precision)")
    expect(page.locator(".axis-title")).to_have_text("score that the model gives a post →")
    assert "axis of scores" in page.locator(".slider").get_attribute("aria-label")
    assert "precision upwards" in page.locator(".curve").get_attribute("aria-label")


def test_targets_are_written_in_one_way(page: Page) -> None:
    go(page, "#/scam/1")
    expect(page.locator(".evidence")).to_contain_text("too many to show a precision of 85\u00a0%")
    assert "0.85" not in page.locator(".evidence").inner_text()


def test_the_dialog_repeats_that_a_band_sees_no_post_of_its_own(page: Page) -> None:
    go(page, "#/fire/2")
    page.fill(FIELD, "3.0")
    page.press(FIELD, "Enter")
    told = "so \u2068review"
    expect(page.locator(".order .caution").first).to_contain_text(told)
    expect(page.locator(".verdict")).to_contain_text("The bands before it leave it no post.")
    page.locator(".choose").click()
    order = page.locator("dialog .order")
    expect(order).to_contain_text(told)
    page.locator("#choice-1").uncheck()
    expect(order).to_be_empty()
