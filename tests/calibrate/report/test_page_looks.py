"""Everybody can read it: no finding of axe-core, no line too wide, two printed pages a policy; nothing runs in it."""

import re
from pathlib import Path

import axe_playwright_python
import pytest
from browser import go, opened
from playwright.sync_api import Page, expect

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
VIEWS = ["#/", "#/fire/1", "#/fire/3", "#/scam/1", "#/method"]
WIDTHS = {"phone": (360, 740), "laptop": (1280, 800), "4K": (3840, 2160)}
CELLS = "(rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent).join('\\t'))"
STOP = "() => ((e) => `${e.className} ${e.id} ${e.role ?? ''}`)(document.activeElement)"


def findings(page: Page) -> list[str]:
    page.evaluate(AXE)
    result = page.evaluate("(tags) => axe.run(document, { runOnly: tags })", RULES)
    return [f"{each['id']}: {node['html'][:160]}" for each in result["violations"] for node in each["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_reports_nothing(browser, url: str, scheme: str) -> None:
    with opened(browser, url, color_scheme=scheme) as page:
        for view in VIEWS[1:]:
            go(page, view)
            assert findings(page) == [], view
        go(page, "#/fire/1")
        for kind in ("Worst false positives", "Worst misses"):
            page.get_by_role("button", name=kind).click()
            assert findings(page) == [], kind
        page.locator("#switch-pictures").uncheck()
        page.get_by_role("button", name="Charts").click()
        for summary in page.locator("summary").all():
            summary.click()
        page.locator(".slider").press("Home")
        assert findings(page) == []
        page.locator(".choose").click()
        assert findings(page) == []
        page.keyboard.press("Escape")
        go(page, "#/")
        assert findings(page) == []


@pytest.mark.parametrize("size", list(WIDTHS))
@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_no_line_is_wider_than_the_screen(browser, url: str, size: str, direction: str) -> None:
    width, height = WIDTHS[size]
    with opened(browser, url, viewport={"width": width, "height": height}) as page:
        page.evaluate("(direction) => { document.documentElement.dir = direction }", direction)
        for view in [*VIEWS[1:], VIEWS[0]]:
            go(page, view)
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, view
            text = page.locator("h1").evaluate("(node) => parseFloat(getComputedStyle(node).fontSize)")
            assert text >= 24


def test_a_finger_can_hit_what_can_be_pressed(browser, url: str) -> None:
    """WCAG 2.2, 2.5.8: 24 pixels at least."""
    with opened(browser, url + "#/fire/1", viewport={"width": 360, "height": 740}, has_touch=True) as page:
        sizes = page.evaluate(
            """() => [...document.querySelectorAll("main :is(button, input, summary, [role=tab])")]
                .filter((each) => each.offsetParent && !each.closest("thead"))
                .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect().height])"""
        )
        assert len(sizes) > 10
        assert [each for each in sizes if each[1] < 24] == []


def test_a_policy_prints_on_two_pages(browser, url: str) -> None:
    with opened(browser, url + "#/fire/1") as page:
        printed = page.pdf(prefer_css_page_size=True)
        rows = page.locator(".in-print tbody tr")  # what all bands do: paper has no tabs
        assert [row.split("\t")[1] for row in rows.evaluate_all(CELLS)] == ["Certified", "Certified", "Fits"]
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2


def test_keys_reach_everything_in_order(browser, url: str) -> None:
    """Tab goes from the skip link through tabs, slider, field and buttons; every stop can be seen."""
    with opened(browser, url + "#/fire/1") as page:
        stops = []
        for _ in range(16):
            page.keyboard.press("Tab")
            stops.append(page.evaluate(STOP))
        places = [
            next(i for i, stop in enumerate(stops) if name in stop) for name in ("skip", "tab", "slider", "choose")
        ]
        assert places == sorted(places)
        page.locator("#tab-0").focus()
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile("#/fire/2$"))
        expect(page.locator("#tab-1")).to_be_focused()


def test_nothing_that_others_wrote_runs_or_turns_text_around(browser, url: str) -> None:
    with opened(browser, url) as page:
        for view in VIEWS:
            if view != "#/":
                go(page, view)
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            text = page.locator("main").inner_text()
            assert not set(text) & set("\u202a\u202b\u202d\u202e\u2066\u2067")
            assert page.locator("main :is(script, iframe, object, embed, link)").count() == 0
            assert page.locator("main img:not([src^='data:image/webp;base64,'])").count() == 0
            assert len(text) < 60_000
        go(page, "#/fire/1")
        assert "<script>window.harmed=1</script>" in page.locator("h1").inner_text()


def test_the_security_policy_lets_nothing_else_run(browser, made) -> None:
    """A script that got into the page in spite of all would not run: its hash is not the one that is allowed."""
    markup = made.page.read_text(encoding="utf-8")
    broken = made.page.with_name("broken.html")
    broken.write_text(markup.replace("<noscript>", "<script>window.harmed=1</script><noscript>"), encoding="utf-8")
    context = browser.new_context()
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.goto(broken.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    page.evaluate("fetch('https://example.test/').catch(() => null)")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"https://example.test/x.png\">')")
    page.wait_for_timeout(100)
    assert page.evaluate("window.harmed") is None
    for directive in ("script-src", "connect-src", "img-src"):
        assert any("Content Security Policy" in text and directive in text for text in said), directive
    context.close()
    broken.unlink()
