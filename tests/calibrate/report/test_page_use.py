"""What a policy lead does: reads the verdict, moves, explores, compares slices, chooses, and gets a file to sign."""

import re
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from browser import go, opened
from page_calibration import PageCalibration
from playwright.sync_api import Page, expect

from calibrate.choice import check_choice, load_choice
from calibrate.operating_points_file import load_operating_points
from data.errors import InputError
from data.files import sha256_of_file

FIELD = "input[type=number][id^=threshold]"


@pytest.fixture
def page(browser, url: str) -> Iterator[Page]:
    with opened(browser, url) as page:
        yield page


def move(page: Page, threshold: float) -> None:
    page.fill(FIELD, repr(threshold))
    page.press(FIELD, "Enter")


def cut_now(page: Page) -> int:
    return page.evaluate("setpoint.numbersOf(0).then((n) => setpoint.cutAt(n, setpoint.CHOSEN[0][0]))")


def test_overview_tells_what_is_certified_and_leads_to_each_band(page: Page) -> None:
    expect(page.locator("h1")).to_have_text("2 of 3 bands are certified")
    expect(page.locator(".lead")).to_contain_text(
        "bands with a promise of precision or recall; 1 more band is set by posts"
    )
    rows = page.locator(".glance tbody tr")
    assert rows.count() == 4
    assert [rows.nth(row).locator(".badge").inner_text() for row in range(4)] == [
        "Certified",
        "Certified",
        "Fits",
        "Not attainable",
    ]
    rows.nth(3).locator("a").click()
    expect(page.locator(".verdict")).to_contain_text("Not attainable: precision at least 85")
    expect(page.locator("h1")).to_contain_text("scam")


def test_verdict_follows_the_threshold(page: Page, made: PageCalibration) -> None:
    band = load_operating_points(made.out).policies[0].bands[0]
    strictest, loosest = band.certified_range
    go(page, "#/fire/1")
    verdict, state = page.locator(".verdict"), page.locator(".state")
    expect(verdict).to_have_text(
        "At 2.12, \u2068auto_remove\u2069 is certified: precision at least 85\u00a0% (95\u00a0% confidence). It "
        "would catch 78.3\u00a0% of violations and act on 1,618\u00a0±\u00a052 posts a day."
    )
    expect(page.locator(".moved")).to_be_empty()
    told = page.locator(".told").inner_text().split(": ")[0].split()
    assert [float(np.float32(told[place])) for place in (2, 4)] == [loosest, strictest], "exact, not rounded outwards"
    move(page, (strictest + loosest) / 2)
    expect(state).to_have_text("Certified")
    expect(page.locator(".moved")).to_contain_text("the promise holds here, too")
    move(page, loosest - 0.4)
    expect(state).to_have_text("Guarantee gone")
    expect(verdict).to_contain_text("the guarantee for \u2068auto_remove\u2069 is gone")
    expect(page.locator(".moved")).to_contain_text("nothing is promised")
    move(page, strictest + 0.5)
    expect(state).to_have_text("Not covered")
    page.locator(".back").click()
    assert page.evaluate("setpoint.CHOSEN[0][0]") == band.threshold
    expect(state).to_have_text("Certified")
    page.locator(".off").click()
    expect(state).to_have_text("Off")
    expect(page.locator(".slider")).to_be_disabled()
    page.locator(".off").click()
    assert page.evaluate("setpoint.CHOSEN[0][0]") == band.threshold


def test_every_threshold_of_the_certified_range_is_in_reach(page: Page, made: PageCalibration) -> None:
    """By keys from end to end: each press moves by one cut, and no press leaves the range before its end."""
    band = load_operating_points(made.out).policies[0].bands[0]
    go(page, "#/fire/1")
    slider = page.locator(".slider")
    cut = cut_now(page)
    for presses in range(1, 6):
        slider.press("ArrowRight")
        assert cut_now(page) == cut - presses
        assert band.threshold < page.evaluate("setpoint.CHOSEN[0][0]") <= band.certified_range[0]
    assert "certified" in slider.get_attribute("aria-valuetext").lower()
    slider.press("Home")
    assert "guarantee gone" in slider.get_attribute("aria-valuetext").lower()


def test_a_typed_threshold_is_kept_where_it_can_be_and_else_told(page: Page) -> None:
    go(page, "#/fire/1")
    move(page, 2.5)
    assert page.input_value(FIELD) == "2.5"
    expect(page.locator(".snapped")).to_be_empty()
    move(page, 2.5000011)
    assert page.input_value(FIELD) == "2.5"
    expect(page.locator(".snapped")).to_contain_text("2.5 is the nearest")
    page.fill(FIELD, "")
    page.press(FIELD, "Enter")
    assert page.input_value(FIELD) == "2.5"
    move(page, 1e30)
    assert float(page.input_value(FIELD)) < 20
    expect(page.locator(".snapped")).to_have_text(
        re.compile("^1e\\+30 is beyond the thresholds of this page, -.*; shown is")
    )
    page.focus(FIELD)
    page.keyboard.press("Control+a")
    page.keyboard.type("e")  # no number yet
    page.keyboard.press("Tab")
    expect(page.locator(".snapped")).to_contain_text("That is no number; shown is")
    page.press(FIELD, "ArrowDown")
    assert cut_now(page) == 1


def test_the_curve_takes_a_pointer(page: Page) -> None:
    go(page, "#/fire/1")
    box = page.locator(".plot").bounding_box()
    for share, least, most in ((0.3, 15, 40), (0.8, 65, 90)):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        recall = page.locator("[data-figure=recall]").inner_text()
        assert least < float(recall.split()[0]) < most


def test_capacity_is_held_against_the_traffic(page: Page) -> None:
    go(page, "#/fire/3")
    expect(page.locator(".state")).to_have_text("Fits")
    expect(page.locator(".verdict")).to_contain_text("at most 1,500 posts a day. No precision is promised.")
    expect(page.locator(".figure.hours .note")).to_contain_text("of its capacity")
    hours = page.locator("[data-figure=hours]").inner_text()
    page.fill("#review-seconds", "90")
    assert float(page.locator("[data-figure=hours]").inner_text()) == pytest.approx(2 * float(hours), abs=1)
    move(page, 0.2)
    expect(page.locator(".state")).to_have_text("Over capacity")


def test_what_is_not_attainable_can_be_explored_without_a_guarantee(page: Page) -> None:
    go(page, "#/scam/1")
    expect(page.locator(".figures:not([hidden])")).to_contain_text("Known labels now")
    helped = page.locator(".lacking li")
    expect(helped.nth(0)).to_contain_text("of 85\u00a0% takes at least 19 labelled posts above the threshold")
    expect(helped.nth(1)).to_contain_text("no threshold with 10 labels or more above it does better")
    expect(helped.nth(2)).to_contain_text("A model that tells these posts apart better may")
    for pointing in (".slider", ".reach"):
        expect(page.locator(pointing)).to_be_hidden()
    page.locator(".off").click()
    expect(page.locator(".lacking")).to_be_hidden()
    expect(page.locator(".slider")).to_be_visible()
    expect(page.locator(".state")).to_have_text("No guarantee")
    expect(page.locator(".moved")).to_contain_text("without a certificate")
    expect(page.locator("[data-figure=precision]")).to_contain_text("%")


def test_a_curve_far_below_the_target_is_drawn_where_no_band_is_on(page: Page) -> None:
    """Its scores tell nothing apart: at every recall the precision is near the share of violating posts, 30 %."""
    go(page, "#/scam/1")
    page.wait_for_selector(".plot .line", state="attached")
    frame = page.locator("#frame rect").evaluate("(rect) => Number(rect.getAttribute('height'))")
    points = page.locator(".plot .line").evaluate("(line) => line.getAttribute('d').slice(1).split('L')")
    heights = [float(point.split()[1]) for point in points]
    assert sum(height < frame for height in heights) == len(heights)


def test_slices_sort_filter_and_draw(page: Page) -> None:
    go(page, "#/fire/1")
    table = page.locator("table.slices")
    names = table.locator("tbody th")
    assert names.count() == 13
    expect(table.locator("tbody tr").first.locator(".badge")).to_have_text("Below target")
    table.get_by_role("button", name="Labels", exact=True).click()
    assert table.locator('[aria-sort="descending"]').count() == 1
    labels = [int(text.replace(",", "")) for text in table.locator("tbody td:nth-of-type(4)").all_inner_texts()]
    assert labels == sorted(labels, reverse=True)
    page.get_by_role("button", name="media_type").click()
    assert names.count() == 2
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name="Charts").click()
    charts = page.locator(".multiples li")
    assert charts.count() == 13
    before = charts.first.locator(".dot").get_attribute("cx")
    move(page, 0.4)
    assert charts.first.locator(".dot").get_attribute("cx") != before


def test_a_choice_in_six_actions_is_a_file_that_can_be_checked(page: Page, made: PageCalibration, tmp_path) -> None:
    """Open the page, then: a policy, a threshold, choose, a name, why, download."""
    page.locator(".glance a").first.click()
    page.locator(".slider").press("ArrowRight")
    page.locator(".choose").click()
    page.fill("#choice-by", 'Zoë "the lead" \u202e: #1')
    page.fill("#choice-rationale", "First line\nsecond: {a}\u2028 & <b>\u0085")
    with page.expect_download() as download:
        page.locator(".choice .strong").click()
    path = tmp_path / "choice.yaml"
    download.value.save_as(path)
    assert download.value.suggested_filename == "choice.yaml"
    choice, points = load_choice(path), load_operating_points(made.out)
    check_choice(path, choice, points, sha256_of_file(made.out / "operating_points.json"))
    assert (choice.by, choice.rationale) == (
        'Zoë "the lead" \u202e: #1',
        "First line\nsecond: {a}\u2028 & <b>\u0085",
    )
    assert [(each.policy_id, each.band, each.action) for each in choice.choices] == [
        ("fire", 0, "auto_remove"),
        ("fire", 1, "review"),
        ("fire", 2, "escalate"),
    ]
    first, *rest = [each.threshold for each in choice.choices]
    band, *others = points.policies[0].bands
    assert band.threshold < first <= band.certified_range[0]
    assert rest == [other.threshold for other in others]
    expect(page.locator("dialog")).to_have_count(0)
    with pytest.raises(InputError, match="another calibration"):
        check_choice(path, choice, points, "0" * 64)


def test_a_choice_warns_of_what_is_not_certified_and_keeps_what_was_moved_elsewhere(page: Page, tmp_path) -> None:
    go(page, "#/scam/1")
    page.locator(".off").click()
    go(page, "#/fire/1")
    move(page, 0.4)
    page.locator(".off").click()
    page.locator(".choose").click()
    entries = page.locator(".entries li")
    assert entries.count() == 4
    assert [entries.nth(place).locator(".warning").count() for place in range(4)] == [0, 0, 0, 1]
    for place in range(4):
        entries.nth(place).locator("input").uncheck()
    page.locator(".choice .strong").click()
    expect(page.locator(".problem")).to_have_text("Tick at least one threshold.")
    entries.nth(0).locator("input").check()
    with page.expect_download() as download:
        page.locator(".choice .strong").click()
    download.value.save_as(tmp_path / "choice.yaml")
    choice = load_choice(tmp_path / "choice.yaml")
    assert [(each.policy_id, each.band, each.threshold) for each in choice.choices] == [("fire", 0, None)]
    assert (choice.by, choice.rationale) == (None, None)


def test_evidence_says_what_the_files_say(page: Page, made: PageCalibration) -> None:
    points = load_operating_points(made.out)
    expect(page.locator(".shared code").first).to_be_hidden()
    assert "digest" not in page.locator(".shared .facts").first.inner_text()
    page.locator(".shared .digests summary").click()
    text = page.locator(".shared").inner_text()
    for told in (points.golden_set.digest, points.scores.digest, points.traffic.digest, "simple random sample"):
        assert told in text
    assert sha256_of_file(made.out / "operating_points.json") in text
    assert "2026-01-15 \u2013 2026-03-15" in text.replace("\u2068", "").replace("\u2069", "")
    go(page, "#/fire/1")
    expect(page.locator(".evidence .exactly p")).to_be_hidden()
    page.locator(".evidence .exactly summary").click()
    evidence = page.locator(".evidence").inner_text()
    band = points.policies[0].bands[0]
    assert all(sentence in evidence for sentence in band.assumptions)
    assert band.reason in evidence
    assert "From the highest score down, the posts that do not violate were counted." in evidence
    assert band.method in evidence  # the certificate's own phrase stands below
    labels = pl.read_parquet(made.golden / "annotations.parquet").filter(pl.col("annotator_id") == "a")
    unknown = labels.filter(pl.col("policy_id") == "fire", pl.col("value") == "unsure").height
    assert f"Unknown, left out\n{unknown}" in evidence
    page.locator(".evidence a").click()
    expect(page.locator("h1")).to_have_text("How thresholds are found")
