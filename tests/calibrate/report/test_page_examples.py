"""Examples on the page: they follow slider and slice, and a picture is seen by whoever holds it, only then."""

from collections.abc import Iterator
from typing import Any

import pytest
from browser import go, opened
from page_calibration import PageCalibration
from page_examples import page_examples
from playwright.sync_api import Locator, Page, expect

from calibrate.report.examples.removed import without_examples

FIELD = "input[type=number][id^=threshold]"
BLURRED = "blur(14px) grayscale(1)"
WATCHED = """() => {
    const button = document.querySelector("button.picture");
    const note = () => (window.wasHeld ||= button.classList.contains("is-held"));
    new MutationObserver(note).observe(button, { attributes: true });
}"""


@pytest.fixture
def page(browser, url: str) -> Iterator[Page]:
    with opened(browser, f"{url}#/fire/1") as page:
        yield page


@pytest.fixture(scope="module")
def posts(made: PageCalibration) -> list[dict[str, Any]]:
    return page_examples(made.page)[0]["facts"]["items"]


def move(page: Page, threshold: float) -> float:
    page.fill(FIELD, repr(threshold))
    page.press(FIELD, "Enter")
    return page.evaluate("setpoint.CHOSEN[0][0]")


def shown(page: Page, group: int = 0) -> list[str]:
    """The ids of the posts in a group, in order."""
    return page.locator(".examples .group").nth(group).locator(".origin .code").all_inner_texts()


def choose(page: Page, kind: str) -> None:
    page.locator(".examples").get_by_role("button", name=kind).click()


def seen(picture: Locator) -> bool:
    picture.page.wait_for_timeout(400)  # a finger rests, the blur fades
    filtered = picture.locator("img").evaluate("(image) => getComputedStyle(image).filter")
    assert filtered in ("none", BLURRED)
    return filtered == "none"


def test_posts_around_the_threshold_follow_it(page: Page, posts) -> None:
    for wanted in (None, 0.4, 3.5, -1.0):
        threshold = page.evaluate("setpoint.CHOSEN[0][0]") if wanted is None else move(page, wanted)
        known = [post for post in posts if post["label"] is not None]
        above = [post["item_id"] for post in known if post["score"] >= threshold][::-1][:6]
        below = [post["item_id"] for post in known if post["score"] < threshold][:6]
        expect(page.locator(".examples .group").nth(1).locator(".code").first).to_have_text(below[0])
        assert shown(page, 0) == above
        assert shown(page, 1) == below
    page.locator("#switch-unlabelled").check()
    assert shown(page, 1) == [post["item_id"] for post in posts if post["score"] < threshold][:6]


def test_each_post_says_how_far_it_is_from_the_threshold(page: Page, posts, made: PageCalibration) -> None:
    flagged = page.evaluate("setpoint.numbersOf(0).then((n) => n.flagged[setpoint.cutAt(n, setpoint.CHOSEN[0][0])])")
    ranks = {post["item_id"]: post["rank"] for post in posts}
    for group, told in ((0, "up"), (1, "down")):
        for card in page.locator(".examples .group").nth(group).locator(".example").all():
            rank = ranks[card.locator(".code").inner_text()]
            away = flagged - rank + 1 if told == "up" else rank - flagged
            side = "above" if told == "up" else "below"
            first = f"the first post {side} the threshold"
            expect(card.locator(".distance")).to_have_text(
                first if away == 1 else f"{away:,} posts {told} from the threshold"
            )


def test_the_worst_errors_are_those_at_the_threshold(page: Page, posts) -> None:
    threshold = page.evaluate("setpoint.CHOSEN[0][0]")
    choose(page, "Worst false positives")
    wrong = [post["item_id"] for post in posts if post["label"] is False and post["score"] >= threshold]
    assert shown(page) == wrong[:6]
    assert len(wrong) >= 6
    choose(page, "Worst misses")
    missed = [post["item_id"] for post in posts if post["label"] is True and post["score"] < threshold]
    assert shown(page) == missed[::-1][:6]
    card = page.locator(".example").first
    expect(card.locator(".badge")).to_have_text("Violating")
    expect(card).to_contain_text("Annotators: ")
    expect(card).to_contain_text("Reasons given: \ufffdgnorw\ufffd <script>")
    move(page, -100.0)
    expect(page.locator(".examples .groups")).to_contain_text("No violating post of this page is missed here.")


def test_a_band_that_is_off_flags_nothing(page: Page, posts) -> None:
    page.locator(".off").click()
    expect(page.locator(".examples .group").first).to_contain_text("The band is off and flags nothing.")
    first = next(post for post in posts if post["label"] is not None)
    expect(page.locator(".example .distance").first).to_have_text(f"number {first['rank']} by score")


def test_a_slice_is_chosen_from_those_of_the_posts(page: Page, posts) -> None:
    select = page.locator("#example-slice")
    options = select.locator("option").all_inner_texts()
    [place] = [place for place, text in enumerate(options) if "language" in text and "\u2068ar\u2069" in text]
    select.select_option(index=place)
    threshold = page.evaluate("setpoint.CHOSEN[0][0]")
    arabic = [p for p in posts if p["slices"][2] == "ar" and p["score"] < threshold and p["label"] is not None]
    assert shown(page, 1) == [post["item_id"] for post in arabic[:6]]
    select.select_option(index=0)
    assert shown(page, 1) != [post["item_id"] for post in arabic[:6]]


def test_a_picture_is_seen_while_the_mouse_holds_it(page: Page) -> None:
    picture = page.locator("button.picture").first
    picture.scroll_into_view_if_needed()
    assert not seen(picture)
    picture.hover()
    assert not seen(picture)
    page.mouse.down()
    assert seen(picture)
    page.mouse.up()
    assert not seen(picture)
    page.mouse.down()
    page.mouse.move(2, 2)
    assert not seen(picture)
    page.mouse.up()


@pytest.mark.parametrize("key", [" ", "Enter"])
def test_a_picture_is_seen_while_a_key_holds_it(page: Page, key: str) -> None:
    page.emulate_media(reduced_motion="reduce")  # no smooth scrolling
    picture = page.locator("button.picture").first
    picture.focus()
    assert not seen(picture)
    place = page.evaluate("scrollY")
    page.keyboard.down(key)
    assert seen(picture)
    page.keyboard.up(key)
    assert not seen(picture)
    assert page.evaluate("scrollY") == place
    page.keyboard.down(key)
    page.locator("#switch-pictures").focus()
    assert not seen(picture)
    page.keyboard.up(key)


def test_a_picture_is_seen_while_a_finger_holds_it(browser, url: str) -> None:
    with opened(browser, f"{url}#/fire/1", viewport={"width": 360, "height": 740}, has_touch=True) as page:
        picture = page.locator("button.picture").first
        picture.scroll_into_view_if_needed()
        box = picture.bounding_box()
        devtools = page.context.new_cdp_session(page)
        point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        devtools.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
        assert seen(picture)
        devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert not seen(picture)
        page.evaluate(WATCHED)
        devtools.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
        devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert not seen(picture)
        assert not page.evaluate("window.wasHeld")  # who scrolls past sees nothing


def test_every_picture_can_be_drawn(page: Page) -> None:
    assert page.locator("button.picture").count() >= 3
    assert page.locator(".picture img").evaluate_all("(all) => all.every((each) => each.naturalWidth > 30)")


def test_pictures_can_be_switched_off_everywhere(page: Page) -> None:
    page.locator("#switch-pictures").uncheck()
    assert page.locator(".examples img").count() == 0
    assert page.locator(".example").count() == 12
    choose(page, "Worst misses")
    go(page, "#/fire/2")
    assert page.locator(".examples img").count() == 0
    expect(page.locator("#switch-pictures")).not_to_be_checked()
    page.locator("#switch-pictures").check()
    assert page.locator(".examples img").count() > 0


def test_a_policy_without_pictures_says_so(page: Page) -> None:
    go(page, "#/scam/1")
    expect(page.locator(".switches")).to_contain_text("This policy shows no pictures, and this page holds none.")
    assert page.locator(".examples img").count() == 0
    assert page.locator(".example").count() > 0


def test_a_policy_that_shows_pictures_needs_no_hand(page: Page) -> None:
    page.evaluate("setpoint.PAGE.policies[0].preview = 'show'")
    go(page, "#/fire/2")
    assert page.locator("button.picture").count() == 0
    image = page.locator("div.picture img").first
    assert image.evaluate("(image) => getComputedStyle(image).filter") == "none"
    assert image.get_attribute("alt").startswith("Picture of post ")


@pytest.mark.parametrize("asked", ["reduce", "no-preference"])
def test_motion_is_less_where_asked_for(browser, url: str, asked: str) -> None:
    with opened(browser, f"{url}#/fire/1", reduced_motion=asked) as page:
        image, switch = page.locator("button.picture img").first, page.locator("#switch-less_motion")
        seconds = "(image) => getComputedStyle(image).transitionDuration"
        for _ in range(2):
            assert image.evaluate(seconds) == ("0s" if switch.is_checked() else "0.15s")
            switch.click()
        assert switch.is_checked() == (asked == "reduce")
        assert page.locator("video, audio, [autoplay], marquee").count() == 0
        assert page.evaluate("document.getAnimations().length") == 0


def test_paper_shows_no_posts(page: Page) -> None:
    page.emulate_media(media="print")
    expect(page.locator(".examples")).to_be_hidden()


def test_a_copy_without_posts_says_so(browser, made: PageCalibration) -> None:
    copy = made.page.with_name("released.html")
    copy.write_bytes(without_examples(made.page.read_bytes()))
    with opened(browser, f"{copy.as_uri()}#/fire/1") as page:
        expect(page.locator(".examples")).to_contain_text("This copy of the page holds no posts")
        assert page.locator(".example").count() == 0
        page.locator(".slider").press("ArrowRight")
    copy.unlink()


def test_keys_go_through_the_section_in_order(page: Page) -> None:
    page.locator(".examples .chip").first.focus()
    stops = []
    for _ in range(8):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert stops[:6] == [
        "chip",
        "chip",
        "example-slice",
        "switch-unlabelled",
        "switch-pictures",
        "switch-less_motion",
    ]
    assert stops[6].startswith("picture")


def test_a_small_screen_shows_whole_cards(browser, url: str) -> None:
    with opened(browser, f"{url}#/fire/1", viewport={"width": 360, "height": 740}) as page:
        for kind in ("Near the threshold", "Worst false positives", "Worst misses"):
            choose(page, kind)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            widths = page.locator(".example, .picture, .examples select").evaluate_all(
                "(all) => all.map((each) => each.getBoundingClientRect().right)"
            )
            assert max(widths) <= 360
