"""The benchmark of modalities fails where a claim does."""

from copy import deepcopy

import pytest

from scripts.bench_modalities import failures_of

HELD = {
    "fire": {
        "regression": 0.9,
        "frozen": 0.95,
        "tuned": 0.95,
        "no text": 0.95,
        "removed": 0.945,
        "mixed, removed": 0.95,
    },
    "physical_fight within surveillance": {"regression": 0.7, "frozen": 0.8, "tuned": 0.8},
    "hateful_text": {"regression": 0.9, "frozen": 0.92, "tuned": 0.93, "removed": 0.5, "mixed, removed": 0.5},
}


def test_claims_that_hold_pass() -> None:
    assert failures_of(HELD) == []


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        ("fire", "frozen", 0.89, "below the regression"),
        ("fire", "removed", 0.93, "captions removed costs 0.020"),
        ("fire", "mixed, removed", 0.9, "captions removed costs 0.050"),
        ("hateful_text", "tuned", 0.92, "tuning the text encoder brings nothing"),
        ("physical_fight within surveillance", "frozen", 0.69, "motion brings nothing"),
    ],
)
def test_a_claim_that_fails_is_named(row: str, column: str, value: float, words: str) -> None:
    means = deepcopy(HELD)
    means[row][column] = value
    [failure] = failures_of(means)
    assert failure.startswith(row)
    assert words in failure
