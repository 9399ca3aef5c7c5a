"""Every way to find a threshold has its explanation on the page, in the page's own words."""

from typing import get_args

import numpy as np
import pytest

from calibrate.operating_point import How
from calibrate.recall import choose_recall_threshold
from calibrate.threshold import METHODS, choose_threshold
from calibrate.words import page_words

RANDOM = np.random.default_rng(5)
LABELS = (RANDOM.random(600) < 0.4).astype(np.float32)
SCORES = RANDOM.normal(3 * LABELS, 1).astype(np.float32)
CHANCES = RANDOM.choice([0.2, 0.4], 600)
EXPLAINED = {"auto": "scan", "scan": "scan", "walk": "walk", "betting": "bets"}


@pytest.mark.parametrize("method", METHODS)
def test_precision_by_every_method(method: str) -> None:
    point = choose_threshold(SCORES, LABELS, target_precision=0.8, confidence=0.9, method=method)
    assert point.how == EXPLAINED[method]


def test_precision_of_unequal_weights_is_by_bets() -> None:
    point = choose_threshold(SCORES, LABELS, target_precision=0.8, inclusion_prob=CHANCES)
    assert point.how == "bets"


def test_an_auditor_is_named_before_the_scan_that_goes_on_beside_it() -> None:
    labels = np.where(RANDOM.random(600) < 0.5, LABELS, np.nan)
    point = choose_threshold(SCORES, labels, target_precision=0.8, auditor=LABELS)
    assert "scan over" in point.method
    assert point.how == "auditor"


def test_recall_with_and_without_weights() -> None:
    even = choose_recall_threshold(SCORES, LABELS, target_recall=0.8)
    weighted = choose_recall_threshold(SCORES, LABELS, target_recall=0.8, inclusion_prob=CHANCES)
    assert (even.how, weighted.how) == ("order", "recall_bets")


def test_every_kind_has_words_and_no_words_stand_alone() -> None:
    assert {key for key in page_words() if key.startswith("how.")} == {f"how.{how}" for how in get_args(How)}
