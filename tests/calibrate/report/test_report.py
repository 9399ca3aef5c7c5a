from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from calibrate import choose_threshold
from calibrate.curve import precision_recall_curve
from calibrate.operating_point import OperatingPoint
from calibrate.report import figures
from calibrate.report.verdict import verdict

NEVER_CLOSED = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Tags with their attributes, text, and whether every tag is closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in NEVER_CLOSED:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def markup(calibration) -> str:
    calibration.run()
    return (calibration.out / "report" / "index.html").read_text(encoding="utf-8")


def test_hostile_names_are_escaped(markup: str) -> None:
    page = Page(markup)
    assert page.open == []
    tags = {tag for tag, _ in page.tags}
    assert not tags & {
        "script",
        "img",
        "i" if "<i>night" in markup else "script",
        "b" if "<b>safety" in markup else "u",
    }
    assert "<script>alert('x')</script>" in page.text
    assert "<i>night</i>" in page.text
    assert "<u>all posts</u>" in page.text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_nothing_is_fetched(markup: str) -> None:
    page = Page(markup)
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "script"}
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in markup
    assert "@import" not in markup


def test_says_what_a_policy_lead_needs(markup: str) -> None:
    text = " ".join(Page(markup).text.replace("\u00a0", " ").split())
    assert "2 of 3 bands are certified" in text
    assert "auto_remove is certified: precision at least 90 % (95 % confidence). It catches" in text
    assert "Not attainable: precision at least 90 % (95 % confidence) could not be shown." in text
    assert "540 known labels" in text
    assert "60 unknown, left out" in text
    assert "Precision does not rise again as the threshold falls" in text


def test_every_link_has_its_target_and_the_drawing_its_parts(markup: str) -> None:
    page = Page(markup)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert links == {f"#{name}" for name in ids if name.startswith("band-")}
    classes = [attributes.get("class") for _, attributes in page.tags]
    assert classes.count("dot") == 2
    assert classes.count("certified") == 2
    assert classes.count("curve") == 3


def test_figure_keeps_the_chosen_point_on_the_curve_and_inside_the_certified_range() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=5000)
    labels = random.random(5000) < 1 / (1 + np.exp(-6 * scores))
    point = choose_threshold(scores, labels, target_precision=0.9)
    figure = figures.precision_recall_figure(
        precision_recall_curve(scores, labels, certified_range=point.certified_range), point
    )
    left, width = figure.certified
    assert left + width == pytest.approx(figure.point[0], abs=0.11)
    assert figure.point[1] < figure.target_y
    assert figure.curve.count("L") < 2500


@pytest.mark.parametrize("n", [20_000, 200_000])
def test_no_curve_has_more_points_than_can_be_seen(n: int) -> None:
    random = np.random.default_rng(1)
    scores = random.normal(size=n)
    labels = random.random(n) < 1 / (1 + np.exp(-scores))
    point = OperatingPoint("not_attainable", "precision", 0.9, 0.95, reason="", method="")
    figure = figures.precision_recall_figure(precision_recall_curve(scores, labels), point)
    assert 300 < figure.curve.count("L") < 2000


def test_no_figure_where_nothing_violates() -> None:
    curve = precision_recall_curve([1.0, 2.0], [0, 0])
    point = OperatingPoint("not_attainable", "precision", 0.9, 0.95, reason="", method="")
    assert figures.precision_recall_figure(curve, point) is None
    assert figures.precision_recall_figure(pl.DataFrame(schema=curve.schema), point) is None


@pytest.mark.parametrize(
    ("needed", "expected"),
    [
        (840, "Label about 240 more posts drawn the same way."),
        (600, "It is close: a new golden set of the same size"),
        (None, "These labels give no reason to expect that more of them would do."),
    ],
)
def test_verdicts_on_what_is_not_attainable(needed: int | None, expected: str) -> None:
    point = OperatingPoint(
        "not_attainable", "precision", 0.95, 0.95, reason="", method="", n_labelled=600, labels_needed=needed
    )
    sentence = verdict("auto_remove", point)
    assert sentence.startswith("Not attainable: precision at least 95 % (95 % confidence) could not be shown. ")
    assert expected in sentence
