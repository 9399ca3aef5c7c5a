"""What the page computes while thresholds are moved on it, against loops over items and posts."""

import numpy as np
import pytest
from browser import opened
from moved_cases import MovedCase, anywhere, draw, evidence_of, move
from playwright.sync_api import Browser
from slow_bets import lowest_precision, recall_ends
from slow_figures import effects, figures, highest_share, lowest_share, volume
from slow_slices import Asked, slice_at

from calibrate.policy_calibration import DEFAULT_SETTINGS
from calibrate.report.policy_page import policy_page

BANDS = [
    {"action": "auto_remove", "target_precision": 0.7, "confidence": 0.8},
    {"action": "review", "queue": "a", "capacity_per_day": 60},
    {"action": "restrict", "target_recall": 0.6, "confidence": 0.8},
    {"action": "review", "queue": "b", "capacity_per_day": 200},
]
SLICES = [{"by": "market", "min_flagged": 10}]

# Puts a policy beside those of the page, at thresholds of its own, and asks for everything that is shown of it.
ASK = """async ([facts, packed, thresholds]) => {
    const { PAGE, CHOSEN, numbersOf, figuresAt, slicesAt, standing } = setpoint;
    const place = PAGE.policies.push(facts) - 1;
    const node = document.createElement("div");
    node.id = `numbers-${place}`;
    node.textContent = packed;
    document.body.append(node);
    CHOSEN.push(thresholds);
    const numbers = await numbersOf(place);
    return facts.bands.map((band, at) => {
        const found = figuresAt(place, at, numbers);
        const slices = found && slicesAt(facts, numbers, at, found);
        const volume = facts.traffic ? (found?.volume ?? null) : undefined;
        return found && { ...found, where: standing(band, thresholds[at], volume), slices };
    });
}"""
PROMISED = {"capacity": "fits", "precision": "certified", "recall": "certified"}


def cases(random: np.random.Generator, kind: str) -> list[MovedCase]:
    found = []
    few = kind in ("weighted", "clustered")  # of up to 39 violating posts the page has every interval by betting
    for number in range(8 if few else 30):
        drawn = draw(
            random,
            n=int(random.choice([1, 20, 36] if few else [1, 30, 70])),
            n_posts=0 if number % 5 == 0 else 120,
            weighted=kind == "weighted",
            clustered=kind == "clustered",
            floor=float(np.float32(random.normal(-0.5, 0.5))) if number % 3 == 0 else None,
            scale="probability" if kind == "probability" else "logit",
        )
        found.append(move(random, drawn, BANDS, SLICES, anywhere, DEFAULT_SETTINGS))
    return found


def near(value: float | None) -> object:
    return None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)


def check_labels(found: dict, case: MovedCase, place: int, threshold: float) -> None:
    """Counts, shares and their bounds, which the page keeps in millionths."""
    items, floor = case.drawn.items, case.drawn.floor
    expected = figures(items, threshold)
    assert (found["flagged"], found["labelled"]) == (expected.n_flagged, expected.n_flagged_labelled)
    if floor is not None and threshold < floor:
        assert (found["precision"], found["lower"], found["recall"], found["interval"]) == (None,) * 4
        return
    assert (found["precision"], found["recall"]) == (near(expected.precision), near(expected.recall))
    confidence = BANDS[place].get("confidence", 0.95)
    right = sum(item.label == 1 and item.score >= threshold for item in items)
    violating = sum(item.label == 1 for item in items)
    is_weighted = evidence_of(case.drawn).draw.is_weighted
    if expected.precision is not None:
        bound = (
            lowest_precision(items, threshold, 1 - confidence)
            if is_weighted
            else lowest_share(right, expected.n_flagged_labelled, 1 - confidence)
        )
        assert found["lower"] == pytest.approx(bound, abs=1.6e-6)
    if expected.recall is not None:
        half = (1 - confidence) / 2
        ends = lowest_share(right, violating, half), highest_share(right, violating, half)
        ends = recall_ends(items, threshold, confidence) if is_weighted else ends
        assert found["interval"] == pytest.approx(ends, abs=1.6e-6)


def check_posts(found: dict, case: MovedCase, place: int, threshold: float) -> str:
    """Posts a day of the own part, what they are, and whether the promise holds; returns where it stands."""
    drawn, below, point = case.drawn, case.below(place), case.before.bands[place].point
    posts = volume(drawn.posts, threshold, below, drawn.exposure, drawn.scale)
    assert found["volume"] == {"expected": near(posts.expected), "low": near(posts.low), "high": near(posts.high)}
    keys = {"exposure": drawn.exposure, "scale": drawn.scale, "floor": drawn.floor}
    expected = effects(drawn.items, drawn.posts, threshold, below, **keys)
    assert (found["wrongful"], found["left"]) == (near(expected.wrongful), near(expected.left))
    assert found["posts"] == near(posts.expected)
    if point.kind == "capacity":
        keeps = posts.high <= point.target
    else:
        ends = point.certified_range
        keeps = ends is not None and ends[1] <= threshold <= ends[0]
    assert (found["where"] == PROMISED[point.kind]) == keeps
    assert case.after.bands[place].point.status == (PROMISED[point.kind] if keeps else "waived")
    return found["where"]


def check_slices(found: dict, case: MovedCase, place: int, threshold: float, facts: dict) -> None:
    asked = Asked("market", BANDS[0]["target_precision"], 1 - BANDS[0]["confidence"], 10)
    names = {dict(item.markets)["market"] for item in case.drawn.items}
    for now, slice_facts in zip(found["slices"], facts["slices"], strict=True):
        name = slice_facts["value"]
        if name not in names:  # only the traffic knows it
            assert (now["labelled"], now["precision"]) == (0, None)
            continue
        expected = slice_at(case.drawn.items, asked, name, threshold)
        assert now["labelled"] == expected.n_flagged_labelled
        assert now["precision"] == near(expected.precision)
        assert slice_facts["n_labelled"] == expected.n_labelled
        assert now["status"] == (expected.status if place == 0 else "untested")


@pytest.mark.parametrize("kind", ["plain", "probability", "weighted", "clustered"])
def test_figures_of_moved_thresholds(browser: Browser, url: str, kind: str) -> None:
    random = np.random.default_rng([len(kind), 3])
    seen: dict[str, int] = {}
    with opened(browser, url) as page:
        for case in cases(random, kind):
            built = policy_page(case.before, case.numbers, evidence_of(case.drawn).draw, agreement=None)
            facts = built.facts.model_dump(mode="json")
            thresholds = [band.point.threshold for band in case.after.bands]
            answers = page.evaluate(ASK, [facts, built.packed, thresholds])
            for place, (found, threshold) in enumerate(zip(answers, thresholds, strict=True)):
                if threshold is None:
                    assert found is None
                    continue
                if place in case.moves:
                    check_labels(found, case, place, threshold)
                    check_slices(found, case, place, threshold, facts)
                if case.drawn.posts:
                    where = check_posts(found, case, place, threshold)
                    seen[where] = seen.get(where, 0) + 1
                else:
                    known = any(item.label is not None for item in case.drawn.items)
                    assert found["volume"] is None
                    assert (found["posts"] is None) == (not known)
    assert len(seen) >= 3, seen


def test_in_a_sample_of_posts_where_no_traffic_says_how_many_there_are(browser: Browser, url: str) -> None:
    """Of 10,000 posts, so many as of the labels' weight."""
    random = np.random.default_rng(8)
    with opened(browser, url) as page:
        for number in range(8):
            drawn = draw(random, n=40, weighted=number % 2 == 1)
            case = move(random, drawn, [BANDS[0], BANDS[2]], [], anywhere, DEFAULT_SETTINGS)
            built = policy_page(case.before, case.numbers, evidence_of(drawn).draw, agreement=None)
            thresholds = [band.point.threshold for band in case.after.bands]
            answers = page.evaluate(ASK, [built.facts.model_dump(mode="json"), built.packed, thresholds])
            whole = sum(item.weight for item in drawn.items if item.label is not None)
            for place, (found, threshold) in enumerate(zip(answers, thresholds, strict=True)):
                if threshold is None:
                    continue
                below = case.below(place)
                upto = np.inf if below is None else below
                own = [item for item in drawn.items if threshold <= item.score < upto]
                rest = [item for item in drawn.items if item.score < min(threshold, upto)]

                def sampled(items: list, *labels: int, whole: float = whole) -> float:
                    return 10_000 * sum(item.weight for item in items if item.label in labels) / whole

                assert found["posts"] == pytest.approx(sampled(own, 0, 1), abs=1e-6)
                assert found["wrongful"] == pytest.approx(sampled(own, 0), abs=1e-6)
                assert found["left"] == pytest.approx(sampled(rest, 1), abs=1e-6)
