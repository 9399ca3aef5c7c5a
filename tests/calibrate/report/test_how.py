"""Every way to find a threshold has its explanation on the page, in the page's own words."""

import json

import numpy as np
import pytest

from calibrate.recall import choose_recall_threshold
from calibrate.report.how import HOWS, how_found
from calibrate.report.page import TEMPLATES
from calibrate.threshold import METHODS, choose_threshold

RANDOM = np.random.default_rng(5)
LABELS = (RANDOM.random(600) < 0.4).astype(np.float32)
SCORES = RANDOM.normal(3 * LABELS, 1).astype(np.float32)
CHANCES = RANDOM.choice([0.2, 0.4], 600)
EXPLAINED = {"auto": "scan", "scan": "scan", "walk": "walk", "betting": "bets"}


@pytest.mark.parametrize("method", METHODS)
def test_precision_by_every_method(method: str) -> None:
    point = choose_threshold(SCORES, LABELS, target_precision=0.8, confidence=0.9, method=method)
    assert how_found(point.method) == EXPLAINED[method]


def test_precision_of_unequal_weights_is_by_bets() -> None:
    point = choose_threshold(SCORES, LABELS, target_precision=0.8, inclusion_prob=CHANCES)
    assert how_found(point.method) == "bets"


def test_an_auditor_is_named_before_the_scan_that_goes_on_beside_it() -> None:
    labels = np.where(RANDOM.random(600) < 0.5, LABELS, np.nan)
    point = choose_threshold(SCORES, labels, target_precision=0.8, auditor=LABELS)
    assert "scan over" in point.method
    assert how_found(point.method) == "auditor"


def test_recall_with_and_without_weights() -> None:
    even = choose_recall_threshold(SCORES, LABELS, target_recall=0.8)
    weighted = choose_recall_threshold(SCORES, LABELS, target_recall=0.8, inclusion_prob=CHANCES)
    assert (how_found(even.method), how_found(weighted.method)) == ("order", "recall_bets")


def test_no_method_and_an_unknown_one_are_not_explained() -> None:
    assert how_found("none") is None
    assert how_found("a method of next year") is None


def test_every_kind_has_words_and_no_words_stand_alone() -> None:
    words = json.loads((TEMPLATES / "words.en.json").read_text(encoding="utf-8"))
    assert {key for key in words if key.startswith("how.")} == {f"how.{how}" for how in HOWS}
