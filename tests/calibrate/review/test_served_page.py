"""The served page in a browser: what somebody presses is on disk afterwards, and refusals are told on the page."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from calibrate.choice import load_choice
from calibrate.operating_points_file import load_operating_points
from calibrate.review.process import running

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LONG = 60_000  # milliseconds: signing certifies anew
MOST_ACTIONS = 6


@contextmanager
def opened(browser: Browser, url: str, **settings: object) -> Iterator[Page]:
    """Open the printed address; only this server is asked, and the console stays empty."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
    page = context.new_page()
    fetched: list[str] = []
    said: list[str] = []
    context.on("request", lambda request: fetched.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")
    yield page
    assert said == []
    assert all(each.startswith(url.partition("?")[0]) for each in fetched)
    context.close()


def findings(page: Page) -> list[str]:
    page.evaluate(AXE)
    result = page.evaluate("(tags) => axe.run(document, { runOnly: tags })", RULES)
    return [f"{each['id']}: {node['html'][:160]}" for each in result["violations"] for node in each["nodes"]]


def signatures(desk) -> list[dict]:
    return [json.loads(line) for line in desk.signatures.read_text().splitlines()]


def fill_in(page: Page, name: str) -> None:
    page.fill("#choice-by", name)
    page.fill("#choice-rationale", "Fewer wrongful removals.")


def saved(desk) -> list[Path]:
    return sorted(desk.choices.iterdir())


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


def test_whoever_signs_is_told_what_else_they_vouch_for(browser, stranger) -> None:
    with opened(browser, stranger.url) as page:
        page.evaluate("setpoint.PAGE.policies[1].bands[0].record.threshold = setpoint.CHOSEN[1][0] = 1.5")
        page.locator(".glance a").first.click()
        page.locator(".choose").click()
        expect(page.locator(".others summary")).to_have_text(
            "Whoever signs also vouches for 1 more threshold, as it was calibrated"
        )
        page.locator(".others summary").click()
        expect(page.locator(".others li")).to_contain_text("1.5")
        assert findings(page) == []


def test_a_second_person_signs_what_the_first_one_did(browser, desk) -> None:
    """On another day, in a server of its own: the page shows the thresholds that lack a signature."""
    with running(desk, port=0, ended=threading.Event()) as url, opened(browser, url) as page:
        expect(page.locator(".before")).to_have_count(0)
        page.locator(".glance a").first.click()
        page.locator(".slider").press("ArrowRight")
        page.locator(".choose").click()
        page.fill("#choice-by", "Ada Lovelace")
        page.fill("#choice-rationale", "Fewer wrongful removals.")
        page.locator(".save").click()
        expect(page.locator(".choice .outcome")).to_contain_text("Saved. ")
        page.keyboard.press("Escape")
        shown = page.evaluate("setpoint.CHOSEN")
        page.locator(".slider").press("ArrowRight")
        page.locator(".choose").click()
        fill_in(page, "Ada Lovelace")
        page.locator(".sign").click()
        expect(page.locator(".came")).to_contain_text("second person", timeout=LONG)
        signed_at = page.evaluate("setpoint.CHOSEN")
    narrow = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    with running(desk, port=0, ended=threading.Event()) as url, opened(browser, url, **narrow) as page:
        signed, kept = page.locator(".before > div").all()
        expect(signed).to_contain_text("signed by \u2068Ada Lovelace\u2069.1 of them was moved:")
        expect(signed).to_contain_text("1 of them still needs the signature of a second person")
        expect(kept).to_contain_text("saved by \u2068Ada Lovelace\u2069 on 20")
        expect(signed.get_by_role("button")).to_have_text("Show the thresholds that \u2068Ada Lovelace\u2069 signed")
        expect(kept.get_by_role("button")).to_have_text("Show the thresholds that \u2068Ada Lovelace\u2069 saved")
        assert findings(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("setpoint.CHOSEN") != shown
        page.locator(".glance a").first.click()
        page.locator(".choose").click()
        expect(page.locator("dialog .displaces")).to_contain_text("Ada Lovelace\u2069 signed other thresholds")
        page.keyboard.press("Escape")
        page.get_by_role("link", name="All policies").click()
        for left, wanted in ((kept, shown), (signed, signed_at)):
            left.get_by_role("button").click()
            expect(left.get_by_role("status")).to_have_text("Shown.")
            assert page.evaluate("setpoint.CHOSEN") == wanted
        page.locator(".glance a").first.click()
        page.locator(".choose").click()
        expect(page.locator("dialog .displaces")).to_have_count(0)
        page.fill("#choice-by", "Grace Hopper")
        page.fill("#choice-rationale", "I read the errors near it.")
        page.locator(".sign").click()
        expect(page.locator(".came")).to_contain_text("No signature is missing", timeout=LONG)
    first, second = signatures(desk)
    assert first["thresholds"] == second["thresholds"]


def test_what_was_signed_is_told_in_plain_words_and_shown_afterwards(browser, stranger) -> None:
    with opened(browser, stranger.url) as page:
        page.locator(".glance a").first.click()
        page.locator(".slider").press("ArrowRight")
        moved = page.evaluate("setpoint.CHOSEN[0][0]")
        page.locator(".choose").click()
        fill_in(page, "Ada Lovelace")
        page.locator(".sign").click()
        expect(page.get_by_role("button", name="Done")).to_be_focused(timeout=LONG)
        dialog = page.locator("dialog")
        expect(dialog.get_by_role("button")).to_have_count(1)
        told = dialog.inner_text()
        for part in (
            "Ada Lovelace\u2069 signed",
            "2 thresholds with a promise",
            "Show the thresholds that",
            "presses “Sign”",
        ):
            assert part in told
        for technical in ("setpoint ", "`", "/signed", ".jsonl", "operating points", "seal"):
            assert technical not in told
        page.keyboard.press("Escape")
        expect(page.locator(".state")).to_have_text("Certified1 signature missing")
        expect(page.locator(".signed")).to_contain_text("Signed by \u2068Ada Lovelace\u2069 on 20")
        expect(page.locator(".signed .differs")).to_be_hidden()
        page.locator(".slider").press("ArrowRight")
        expect(page.locator(".state")).to_contain_text("Signed at another threshold")
        expect(page.locator(".signed .differs")).to_contain_text("What was signed is")
        page.locator("nav a").first.click()
        row = page.locator(".glance tbody tr").first
        expect(row).to_contain_text("signed by \u2068Ada Lovelace\u2069 on 20")
        expect(row).to_contain_text(", at ")
        row.locator("a").click()
        page.get_by_role("button", name="Show what was signed").click()
        expect(page.locator(".signed .differs")).to_be_hidden()
        assert page.evaluate("setpoint.CHOSEN[0][0]") == moved
        page.locator("nav a").first.click()
        expect(row.locator(".badge")).to_have_text(["Certified", "1 signature missing"])
        expect(row.locator("[data-label^='Precision seen']")).to_contain_text("%")
        assert findings(page) == []


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


def test_a_dialog_that_is_closed_while_signing_leaves_a_page_that_shows_what_came_of_it(browser, stranger) -> None:
    with opened(browser, stranger.url) as page:
        page.locator(".glance a").first.click()
        page.locator(".choose").click()
        fill_in(page, "Ada Lovelace")
        page.locator(".sign").click()
        page.keyboard.press("Escape")
        expect(page.locator(".before")).to_contain_text("signed by \u2068Ada Lovelace\u2069", timeout=LONG)
        expect(page.locator(".before")).to_contain_text("All of them stand as they were calibrated.")
        expect(page.locator(".state")).to_have_text("Certified1 signature missing")
        expect(page.locator("dialog")).to_have_count(0)
    with opened(browser, (stranger.desk.out / "report" / "index.html").as_uri()) as page:
        expect(page.locator(".lead").last).to_have_text(
            "Signed by \u2068Ada Lovelace\u2069. 1 of the thresholds still needs the signature of a second person."
        )
        expect(page.locator(".glance tbody tr").nth(1)).to_contain_text("signed by \u2068Ada Lovelace\u2069 on 20")


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
