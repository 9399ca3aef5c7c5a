"""Bounds, slices and traffic at every cut are those that calibrate computes one threshold at a time."""

import numpy as np
import polars as pl
import pytest
from any_policy import POLICY

from calibrate.bets.recall import recall_interval
from calibrate.draw import Draw
from calibrate.evidence import Evidence
from calibrate.policy_calibration import PolicyCalibration, Settings, calibrate_policy
from calibrate.recall import known_violating
from calibrate.report.live.numbers import PolicyNumbers, policy_numbers
from calibrate.report.live.slices import UNTESTED, slice_columns
from calibrate.slice_tests import at_threshold
from calibrate.slices import STATUSES, rows_by_value, slice_labels
from data.policy import Policy

MARKETS = ["de", "fr", "jp"]


def policy(**further: object) -> Policy:
    return Policy.model_validate(
        {
            **POLICY,
            "policy_id": "fire",
            "evidence": ["visual"],
            "bands": [
                {"action": "auto_remove", "target_precision": 0.85, "confidence": 0.9},
                {"action": "review", "target_recall": 0.8, "confidence": 0.9},
            ],
            "slices": [{"by": "market", "min_flagged": 20}],
            **further,
        }
    )


def computed(n: int = 1500, **draw: object) -> tuple[Evidence, PolicyCalibration, PolicyNumbers, pl.DataFrame]:
    random = np.random.default_rng(6)
    scores = random.normal(size=n).astype(np.float32)
    items = pl.DataFrame({"market": random.choice(MARKETS, n), "language": [f"l{k}" for k in range(n)]})
    items = items.with_columns(media_type=pl.lit("photo"))
    chance = 1 / (1 + np.exp(-5 * scores)) * np.where(items["market"].to_numpy() == "jp", 0.7, 1)
    labels = (random.random(n) < chance).astype(np.float32)
    labels[random.random(n) < 0.1] = np.nan
    rows = {"market": rows_by_value(items["market"])}
    evidence = Evidence(scores, labels, slices=rows, draw=Draw(**draw))
    calibration = calibrate_policy(policy(), evidence, settings=Settings())
    numbers = policy_numbers(calibration, evidence, scale="logit", columns=slice_columns(items, ["market"]))
    return evidence, calibration, numbers, items


@pytest.mark.parametrize("kind", ["counted", "weighted", "clustered"])
def test_statuses_of_slices_at_every_cut(kind: str) -> None:
    random = np.random.default_rng(7)
    draw = {
        "counted": {},
        "weighted": {"inclusion_prob": random.choice([0.2, 0.5], 1500)},
        "clustered": {"clusters": np.array([str(k // 3) for k in range(1500)], object)},
    }[kind]
    evidence, calibration, numbers, _ = computed(**draw)
    band, slices = calibration.bands[0], numbers.slices
    parts = {
        "market": slice_labels(
            evidence.scores,
            evidence.labels,
            evidence.slices["market"],
            evidence.draw.inclusion_prob,
            evidence.draw.clusters,
        )
    }
    assert [key for key in slices.keys if key[0] == "market"] == [("market", name) for name in MARKETS]
    seen = set()
    for cut in range(0, len(numbers.cuts), 17):
        expected = at_threshold(band.slice_tests[0], parts, float(numbers.cuts[cut]))
        for row, part in enumerate(expected):
            assert STATUSES[slices.statuses[0][row, cut]] == part.status
            assert slices.labelled[row, cut] == part.n_flagged_labelled
            if part.precision is not None:
                known, right = (
                    (slices.labelled, slices.positive) if kind == "counted" else (slices.known, slices.right)
                )
                assert right[row, cut] / known[row, cut] == pytest.approx(part.precision)
            seen.add(part.status)
    assert len(seen) >= 2
    rest = [row for row, key in enumerate(slices.keys) if key[0] != "market"]
    assert {slices.keys[row] for row in rest} == {("media_type", "photo")}  # 1,500 languages are no slices
    assert np.all(slices.statuses[0][rest] == UNTESTED)
    assert 1 not in slices.statuses  # a band by recall asks no precision of slices


def test_bounds_of_weighted_labels_are_those_of_the_curve_and_never_too_good() -> None:
    random = np.random.default_rng(8)
    chances = random.choice([0.2, 0.4], 1500)
    evidence, calibration, numbers, _ = computed(inclusion_prob=chances)
    band = calibration.bands[0]
    bounds, counts = numbers.bounds[band.confidence], numbers.counts
    curve = band.curve
    at_rows = np.searchsorted(counts.labelled, curve["n_flagged"].to_numpy())
    np.testing.assert_allclose(counts.right[at_rows] / counts.known[at_rows], curve["precision"])
    np.testing.assert_array_equal(bounds.lower[at_rows], curve["precision_lower_bound"])
    assert bounds.ribbon is None
    scores, violating = known_violating(evidence.scores, evidence.labels.astype(float), 1 / chances, None)
    for cut in random.choice(len(numbers.cuts), 25):
        caught = int((scores >= numbers.cuts[cut]).sum())
        low, high = recall_interval(violating, caught, confidence=band.confidence)
        assert bounds.recall_low[cut] <= low
        assert bounds.recall_high[cut] >= high


def test_a_set_that_is_no_evidence_counts_nothing() -> None:
    _, calibration, numbers, _ = computed(no_evidence="drawn for another policy")
    assert calibration.bands[0].point.status == "not_attainable"
    assert numbers.counts.labelled.max() == 0
    assert numbers.counts.flagged.max() == 1500
    assert numbers.histogram.unknown.sum() == 1500


def test_what_a_policy_declares_is_shown_whatever_it_holds() -> None:
    items = pl.DataFrame({"creator": [f"c{k}" for k in range(300)], "market": [None] * 300})
    columns = slice_columns(items, ["creator"])
    assert list(columns) == ["creator"]
    assert len(columns["creator"].values) == 300
