"""The section "Against production": Python's figures wherever the threshold is moved, for everybody."""

from dataclasses import dataclass
from pathlib import Path

import axe_playwright_python
import numpy as np
import polars as pl
import pytest
from browser import go, opened
from page_calibration import PageCalibration
from page_production import MISSING, labels_of, write_compared, write_weighted
from playwright.sync_api import Browser, Page, expect
from scipy.stats import binomtest

from calibrate.production.differences import mcnemar, paired_difference, precision_difference
from calibrate.production.overlap import KINDS
from calibrate.report.shown import estimate, percent

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FIELD = "input[type=number][id^=threshold]"
NOTHING = "\u2013"
MINUS = "\u2212"
CELLS = (
    "() => Object.fromEntries([...document.querySelectorAll('[data-change]')]"
    ".map((e) => [e.dataset.change, e.textContent]))"
)
MODELS = (
    "() => [...document.querySelectorAll('.models tbody tr')].map((r) => [...r.children].map((c) => c.textContent))"
)
SHOWN = "() => [...document.querySelectorAll('.flips tbody tr:not([hidden]) code')].map((e) => e.textContent)"


@dataclass(frozen=True)
class Truth:
    """Every item that both models scored, anew from the files."""

    frame: pl.DataFrame
    served: float

    def cells(self, threshold: float | None, *, is_weighted: bool = False) -> tuple[dict[str, str], str]:
        """What the tables must show at a threshold, and what the sentence about luck must hold."""
        now, before, label, weight = (self.frame[name].to_numpy() for name in ("now", "before", "label", "weight"))
        flags = np.zeros(len(now), bool) if threshold is None else now >= np.float32(threshold)
        old = before >= np.float32(self.served)
        kinds = {"violating": label == 1, "other": label == 0, "unknown": np.isnan(label)}
        sides = {"both": flags & old, "gained": flags & ~old, "lost": ~flags & old}
        found = {f"{side}-{kind}": f"{int((sides[side] & kinds[kind]).sum()):,}" for side in sides for kind in kinds}
        known = ~kinds["unknown"]

        def share(part: np.ndarray, whole: np.ndarray) -> float | None:
            return None if not whole.any() else float(weight[part & whole].sum() / weight[whole].sum())

        shares = {
            "volume": (share(old, known | True), share(flags, known | True)),
            "precision": (share(label == 1, old & known), share(label == 1, flags & known)),
            "recall": (share(old, label == 1), share(flags, label == 1)),
        }
        counts = [[int((sides[side] & each).sum()) for side in sides] for each in (known | True, label == 1)]
        ends = {
            "volume": paired_difference(*counts[0], len(label)),
            "recall": paired_difference(*counts[1], int((label == 1).sum())),
        }
        groups = [(int((each & known).sum()), int((each & (label == 1)).sum())) for each in (flags, old, flags & old)]
        if groups[0][0] and groups[1][0]:
            ends["precision"] = precision_difference(*groups)
        for name, (was, is_now) in shares.items():
            single, change = (posts, signed_posts) if name == "volume" else (percent, points)
            both = was is not None and is_now is not None
            found[f"{name}-before"] = NOTHING if was is None else single(was)
            found[f"{name}-now"] = NOTHING if is_now is None else single(is_now)
            found[f"{name}-change"] = (
                change(is_now - was) + (" points" if name != "volume" else "") if both else NOTHING
            )
            low, high = ends.get(name, (None, None))
            is_shown = both and low is not None and not is_weighted
            found[f"{name}-ends"] = f"{change(low)} to {change(high)}" if is_shown else NOTHING
        better = int(((flags != old) & known & (flags == (label == 1))).sum())
        differing = int(((flags != old) & known).sum())
        if differing == 0:
            return found, "On every post with a known label both decide alike."
        if is_weighted:
            return found, "Whether that is luck is not computed"
        return found, f"unevenly in {percent(binomtest(better, differing, 0.5).pvalue)} of golden sets"


def posts(share: float) -> str:
    return estimate(10_000 * share)


def signed_posts(difference: float) -> str:
    return signed(f"{abs(10_000 * difference):,.0f}", difference)


def points(difference: float) -> str:
    return signed(f"{abs(100 * difference):.1f}".removesuffix(".0"), difference)


def signed(text: str, difference: float) -> str:
    return "0" if text == "0" else f"{MINUS if difference < 0 else '+'}{text}"


@pytest.fixture(scope="module")
def compared(made: PageCalibration, tmp_path_factory: pytest.TempPathFactory) -> PageCalibration:
    return write_compared(made, tmp_path_factory.mktemp("production"))


@pytest.fixture
def page_url(compared: PageCalibration) -> str:
    return compared.page.as_uri()


def truth_of(now: Path, before: Path, made: PageCalibration, served: float) -> Truth:
    scores = pl.read_parquet(now).select("item_id", now="fire")
    frame = scores.join(pl.read_parquet(before).select("item_id", before="fire"), on="item_id")
    weights = pl.read_parquet(made.golden / "items.parquet").select("item_id", weight=1 / pl.col("inclusion_prob"))
    return Truth(frame.join(labels_of(made), on="item_id").join(weights, on="item_id"), served)


def read(page: Page) -> tuple[dict[str, str], str]:
    found = {name: text.replace("\u00a0", " ") for name, text in page.evaluate(CELLS).items()}
    return found, page.locator(".who").inner_text().replace("\u00a0", " ")


def threshold_now(page: Page) -> float:
    return float(np.float32(page.input_value(FIELD)))


def test_every_figure_is_what_python_computes(browser: Browser, page_url: str, compared: PageCalibration) -> None:
    random = np.random.default_rng(0)
    truth = truth_of(compared.scores, compared.out.parent / "served" / "scores.parquet", compared, 0.7)
    assert len(truth.frame) == 3000 - MISSING
    seen = set()
    with opened(browser, f"{page_url}#/fire/1") as page:
        for turn in range(150):
            if turn:
                page.fill(FIELD, f"{random.uniform(-3.4, 6.5):.4f}")
                page.press(FIELD, "Enter")
            threshold = threshold_now(page)
            expected, luck = truth.cells(threshold)
            found, who = read(page)
            assert {name: found[name] for name in expected} == expected, threshold
            assert luck in who, threshold
            seen.add(threshold)
        assert len(seen) > 120
        assert found["day-before"] == "1,618 ± 52"
        page.locator(".off").click()
        expected, luck = truth.cells(None)
        found, who = read(page)
        assert {name: found[name] for name in expected} == expected
        assert luck in who
        expect(page.locator(".change")).to_contain_text("Switched off, 1,502 golden posts are no longer flagged")


def test_weighted_posts_get_weighted_shares_and_no_intervals(browser: Browser, tmp_path: Path) -> None:
    made = write_weighted(tmp_path)
    truth = truth_of(made.scores, tmp_path / "before.parquet", made, 1.25)
    random = np.random.default_rng(1)
    with opened(browser, f"{made.page.as_uri()}#/fire/1") as page:
        if page.locator(FIELD).is_disabled():
            page.locator(".off").click()
        for _ in range(40):
            page.fill(FIELD, f"{random.uniform(-2, 4):.3f}")
            page.press(FIELD, "Enter")
            expected, luck = truth.cells(threshold_now(page), is_weighted=True)
            found, who = read(page)
            assert {name: found[name] for name in expected} == expected
            assert luck in who
        expect(page.locator(".notes")).to_contain_text("No interval is computed")


def test_tests_and_intervals_are_those_of_python(browser: Browser, page_url: str) -> None:
    random = np.random.default_rng(2)
    tables = [
        random.multinomial(int(random.choice([3, 40, 3000, 900_000])), random.dirichlet([0.4] * 4)).tolist()
        for _ in range(400)
    ]
    with opened(browser, page_url) as page:
        found = page.evaluate(
            """(tables) => tables.map(([both, gained, lost, neither]) => [setpoint.mcnemar(gained, lost),
                setpoint.pairedDifference(both, gained, lost, both + gained + lost + neither),
                setpoint.precisionDifference([both + gained + 1, both], [both + lost + 1, both], [both, both])])""",
            tables,
        )
    for (both, gained, lost, neither), (p, paired, precision) in zip(tables, found, strict=True):
        assert p == pytest.approx(mcnemar(gained, lost), rel=1e-6, abs=1e-300)
        assert paired == pytest.approx(
            paired_difference(both, gained, lost, both + gained + lost + neither), abs=1e-13
        )
        expected = precision_difference((both + gained + 1, both), (both + lost + 1, both), (both, both))
        assert precision == pytest.approx(expected, abs=1e-13)


def test_posts_that_change_sides_follow_the_threshold(
    browser: Browser, page_url: str, compared: PageCalibration
) -> None:
    truth = truth_of(compared.scores, compared.out.parent / "served" / "scores.parquet", compared, 0.7).frame
    with opened(browser, f"{page_url}#/fire/1") as page:
        page.locator("section.production summary").click()
        for threshold in (2.5, -1.0, 6.0, 1.2):
            page.fill(FIELD, str(threshold))
            page.press(FIELD, "Enter")
            flips = truth.filter(
                (pl.col("now") >= threshold_now(page)) != (pl.col("before") >= pl.lit(0.7, pl.Float32))
            )
            found = page.evaluate(SHOWN)
            assert set(found) <= set(flips["item_id"])
            kinds = (
                flips.with_columns(side=pl.col("before") >= pl.lit(0.7, pl.Float32)).group_by("side", "label").len()
            )
            assert len(found) == kinds["len"].clip(upper_bound=5).sum()


def test_what_cannot_be_compared_is_said(browser: Browser, page_url: str) -> None:
    with opened(browser, page_url) as page:
        cells = page.locator("td[data-label='Flags against production']").all_inner_texts()
        assert cells == [f"+28 {MINUS}709", f"+9 {MINUS}1,265", NOTHING, NOTHING]
        go(page, "#/fire/1")
        notes = page.locator("section.production .notes")
        for words in (
            "7 golden posts have no score of production\u2019s and are left out, the first is \u2068g00000\u2069.",
            "Production serves version 0.9.0 of this policy, and the labels are of version 1.0.0",
            "Production has bands that none here stands against: \u2068restrict (<b>x</b>)\u2069.",
            "certified on \u2068spring 1\u2069",
            "It certifies nothing, and looking at it spends no look.",
        ):
            expect(notes).to_contain_text(words)
        assert page.locator("svg.curve .served").count() == 1
        go(page, "#/fire/3")
        expect(page.locator("section.production")).to_contain_text("Production has no band like")
        go(page, "#/scam/1")
        expect(page.locator("section.production")).to_contain_text("Production has no thresholds for this policy.")


def test_a_page_without_production_says_nothing_of_it(browser: Browser, url: str) -> None:
    with opened(browser, f"{url}#/fire/1") as page:
        assert page.locator("section.production, svg.curve .served").count() == 0
        assert "production" not in page.locator("main").inner_text().lower()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(browser: Browser, page_url: str, scheme: str) -> None:
    with opened(browser, page_url, color_scheme=scheme, viewport={"width": 360, "height": 740}) as page:
        for view in ("#/fire/1", "#/scam/1", "#/"):
            go(page, view)
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
            page.evaluate(AXE)
            result = page.evaluate("(tags) => axe.run(document, { runOnly: tags })", RULES)
            assert [f"{each['id']}: {node['html']}" for each in result["violations"] for node in each["nodes"]] == []
        assert page.locator("main :is(script, img, iframe, object, embed, link)").count() == 0


def test_the_mark_of_production_stands_where_its_figures_are(browser: Browser, page_url: str) -> None:
    """Right of and below the chosen point: it catches more, less precisely; and no point lies outside the drawing."""
    with opened(browser, f"{page_url}#/fire/1") as page:
        mark, dot, plot = (page.locator(f"svg.curve{each}").bounding_box() for each in (" .served", " .dot", ""))
        assert mark["x"] > dot["x"]
        assert mark["y"] > dot["y"]
        assert plot["y"] < mark["y"] < plot["y"] + plot["height"]
        expect(page.locator("svg.curve .served title")).to_have_text("production today")


def test_candidates_stand_beside_and_this_model_moves(browser: Browser, page_url: str) -> None:
    with opened(browser, f"{page_url}#/fire/1") as page:
        rows = page.evaluate(MODELS)
        assert [row[0] for row in rows] == ["Production", "Here", "next", "scam.only no such band"]
        assert rows[2][1:] == rows[1][1:]  # the candidate is this very calibration
        assert set(rows[3][1:]) == {NOTHING}
        page.fill(FIELD, "3")
        page.press(FIELD, "Enter")
        moved, (found, _) = page.evaluate(MODELS), read(page)
        assert (moved[0], moved[2]) == (rows[0], rows[2])
        gained, lost = (
            sum(int(found[f"{side}-{kind}"].replace(",", "")) for kind in KINDS) for side in ("gained", "lost")
        )
        assert moved[1][1:4] == ["3.00", found["volume-now"], found["precision-now"].replace(" %", "\u00a0%")]
        assert moved[1][5:7] == [f"{gained:,}", f"{lost:,}"]
        page.locator(".off").click()
        assert page.evaluate(MODELS)[1][1:3] == ["Off", "0"]
