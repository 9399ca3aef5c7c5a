"""The served page in a browser: what somebody presses is on disk afterwards, and refusals are told on the page."""

import threading

import pytest
from playwright.sync_api import expect
from served_page import LONG, fill_in, findings, opened, saved, signatures

from calibrate.choice import load_choice
from calibrate.operating_points_file import load_operating_points
from calibrate.review.process import running

MOST_ACTIONS = 6


def test_move_save_and_sign(browser, stranger) -> None:
    desk = stranger.desk
    with opened(browser, stranger.url) as page:
        assert "token" not in page.url
        page.locator(".glance a").first.click()
        page.locator(".slider").press("ArrowRight")
        shown = page.evaluate("setpoint.CHOSEN[0][0]")
        page.locator(".choose").click()
        page.fill("#choice-by", "Ada Lovelace")
        page.fill("#choice-rationale", "Fewer wrongful removals.")
        outcome = page.locator(".choice .outcome")
        page.locator(".save").click()
        expect(outcome).to_contain_text("Saved. ")
        [path] = saved(desk)
        choice = load_choice(path)
        assert (choice.by, choice.choices[0].action, choice.choices[0].threshold) == (
            "Ada Lovelace",
            "auto_remove",
            shown,
        )
        assert shown > load_operating_points(desk.calibration).policies[0].bands[0].threshold
        page.locator(".sign").click()
        done = page.get_by_role("button", name="Done")
        expect(done).to_be_focused(timeout=LONG)
        came = page.locator(".came")
        expect(came).to_contain_text("1 of them still needs the signature of a second person")
        [line] = signatures(desk)
        assert (line["by"], line["thresholds"][0]["threshold"]) == ("Ada Lovelace", shown)
        assert findings(page) == []
        done.click()
        page.locator(".choose").click()
        fill_in(page, "Ada Lovelace")
        page.locator(".sign").click()
        problem = page.locator(".choice .problem")
        expect(problem).to_contain_text("Not signed.", timeout=LONG)
        expect(problem).to_contain_text("a second signature needs another name")
        assert "/" not in problem.inner_text()
        expect(outcome).to_be_empty()
        assert findings(page) == []
        page.fill("#choice-by", "Grace Hopper")
        page.locator(".sign").click()
        expect(came).to_contain_text("No signature is missing", timeout=LONG)
        expect(problem).to_have_count(0)
    assert [each["by"] for each in signatures(desk)] == ["Ada Lovelace", "Grace Hopper"]
    assert load_operating_points(desk.out).policies[0].bands[0].threshold == shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_threshold_without_a_promise_asks_for_a_reason(browser, stranger, scheme: str) -> None:
    desk = stranger.desk
    with opened(browser, stranger.url, color_scheme=scheme, viewport={"width": 360, "height": 740}) as page:
        page.locator(".glance a").first.click()
        page.locator(".slider").press("Home")
        page.locator(".choose").click()
        problem = page.locator(".choice .problem")
        for field, value, lacking in (
            ("#choice-by", "Ada Lovelace", "Say who signs."),
            ("#choice-rationale", "A drill.", "Say why, for the record."),
            ("#waiver-0", "One day, watched by hand.", "Nothing is promised for"),
        ):
            page.locator(".sign").click()
            expect(problem).to_contain_text(lacking)
            expect(page.locator(field)).to_be_focused()
            page.fill(field, value)
        assert page.locator(".waiver").count() == 1
        assert findings(page) == []
        page.locator(".sign").click()
        expect(page.locator(".came")).to_contain_text("1 without a promise", timeout=LONG)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert findings(page) == []
    [line] = signatures(desk)
    assert line["waivers"] == {"fire.0": "One day, watched by hand."}
    assert load_operating_points(desk.out).policies[0].bands[0].status == "waived"


def test_a_first_time_reader_signs_in_six_actions(browser, stranger) -> None:
    """The checklist of CONTRIBUTING.md, step by step."""
    taken = 0

    def action(step: object) -> None:
        nonlocal taken
        taken += 1

    with opened(browser, stranger.url) as page:
        action(page.locator(".glance a").first.click())
        action(page.locator(".slider").press("ArrowRight"))
        action(page.locator(".choose").click())
        action(page.fill("#choice-by", "Ada Lovelace"))
        action(page.fill("#choice-rationale", "Fewer wrongful removals."))
        action(page.locator(".sign").click())
        expect(page.locator(".came")).to_contain_text("\u2068Ada Lovelace\u2069 signed", timeout=LONG)
    assert taken <= MOST_ACTIONS
    [line] = signatures(stranger.desk)
    assert (line["by"], line["rationale"]) == ("Ada Lovelace", "Fewer wrongful removals.")


def test_what_only_the_server_can_mend_is_told_as_such(browser, stranger) -> None:
    with (stranger.desk.calibration.parent / "scores.parquet").open("ab") as file:
        file.write(b"x")
    with opened(browser, stranger.url) as page:
        page.locator(".glance a").first.click()
        page.locator(".choose").click()
        fill_in(page, "Ada Lovelace")
        page.locator(".sign").click()
        problem = page.locator(".choice .problem")
        expect(problem).to_contain_text("Not signed. Whoever runs this page has to mend it:", timeout=LONG)
        expect(problem.locator("code")).to_contain_text("scores.parquet")


def test_a_server_that_ended_is_told(browser, desk) -> None:
    with running(desk, port=0, ended=threading.Event()) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.locator(".glance a").first.click()
        page.locator(".choose").click()
    page.locator(".save").click()
    expect(page.locator(".choice .problem")).to_contain_text("Ask whoever started it.")
    context.close()
