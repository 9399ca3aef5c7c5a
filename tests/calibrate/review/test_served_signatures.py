"""What the served page tells of signatures: to who signs, to who signs second, and afterwards."""

import threading

from playwright.sync_api import expect
from served_page import LONG, fill_in, findings, opened, signatures

from calibrate.review.process import running


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
