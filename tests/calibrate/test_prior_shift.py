"""The estimated prior shift: its interval against scipy and by simulation, the joint claim, and the verb."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from page_facts import page_facts
from scipy import stats
from scipy.stats.contingency import odds_ratio

from calibrate.operating_point import PriorShift
from calibrate.prior_shift import (
    choose_threshold_after_shift,
    estimate_prior_shift,
    odds_ratio_interval,
    ratios_left_open,
)
from data.errors import InputError
from data.golden import load_golden

TARGET, DELTA = 0.9, 0.1


@pytest.mark.parametrize(
    "table", [(40, 200, 400, 2000), (0, 30, 5, 60), (30, 30, 5, 60), (7, 20, 60, 60), (1, 1, 1, 2)]
)
def test_the_interval_is_scipys(table: tuple[int, int, int, int]) -> None:
    positive, total, before, of = table
    found = odds_ratio_interval(*table, confidence=0.99)
    expected = odds_ratio([[positive, total - positive], [before, of - before]]).confidence_interval(0.99)
    assert found == pytest.approx((expected.low, expected.high), rel=1e-5)


def test_the_interval_covers() -> None:
    random, draws, confidence = np.random.default_rng(0), 150, 0.9
    low_golden, low_recent = 0.3, 0.12
    truth = low_recent / (1 - low_recent) / (low_golden / (1 - low_golden))
    missed = np.zeros(2)
    for _ in range(draws):
        counts = random.binomial(60, low_recent), 60, random.binomial(300, low_golden), 300
        low, high = odds_ratio_interval(*counts, confidence=confidence)
        missed += low > truth, high < truth
    assert missed.max() <= stats.binom.ppf(0.999, draws, (1 - confidence) / 2)


def test_certified_after_shift_is_missed_at_most_delta_of_the_time() -> None:
    """Precision in the recent traffic lies just below the target everywhere; its odds are half of the sample's."""
    random, draws, certified = np.random.default_rng(3), 50, 0
    recent_share, odds = 0.898, 0.898 / 0.102
    golden_share = 2 * odds / (1 + 2 * odds)
    for _ in range(draws):
        point = choose_threshold_after_shift(
            random.random(600),
            random.random(600) < golden_share,
            random.random(5000) < recent_share,
            target_precision=TARGET,
            confidence=1 - DELTA,
        )
        certified += point.status == "certified"
    assert certified <= stats.binom.ppf(0.999, draws, DELTA)


def test_more_recent_labels_keep_more_recall() -> None:
    random = np.random.default_rng(1)
    scores = random.random(4000)
    labels = (random.random(4000) < 1 / (1 + np.exp(-12 * (scores - 0.7)))).astype(float)
    share = labels.mean()
    recalls = []
    for count in (100, 1000, 30_000):
        recent = np.arange(count) < round(0.7 * share * count)
        point = choose_threshold_after_shift(scores, labels, recent, target_precision=TARGET)
        recalls.append(point.recall or 0.0)
        assert point.prior_shift.estimate == pytest.approx(0.7 * (1 - share) / (1 - 0.7 * share), rel=0.05)
        assert point.prior_shift.lower < point.prior_shift.estimate < point.prior_shift.upper
    assert recalls[0] < recalls[1] < recalls[2]
    assert (point.target, point.confidence) == (0.9, 0.95)
    assert point.tested_target > TARGET
    text = " ".join(point.assumptions)
    assert "recent items are a simple random sample" in text
    assert "traffic stays as it was" not in text


def test_nothing_recent_that_violates_certifies_nothing() -> None:
    point = choose_threshold_after_shift(np.arange(500.0), np.ones(500), np.zeros(50), target_precision=TARGET)
    assert (point.status, point.threshold, point.prior_shift.lower) == ("not_attainable", None, 0.0)
    assert "label more of them" in point.reason
    with pytest.raises(ValueError, match="recent_labels holds no known label"):
        estimate_prior_shift([1, 0], [np.nan], confidence=0.9)
    with pytest.raises(ValueError, match="recent_labels must be 1"):
        estimate_prior_shift([1, 0], [0.5], confidence=0.9)


def test_the_lattice_holds_the_true_ratio_rounded_down() -> None:
    random = np.random.default_rng(0)
    for low, width in zip(random.uniform(0.02, 4, 50), random.random(50), strict=True):
        ratios = np.array(ratios_left_open(PriorShift(None, low, low * (1 + width), 9, 1)))
        assert ratios[0] <= low < ratios[0] * 1.1001
        assert ratios[-1] <= low * (1 + width) < ratios[-1] * 1.1001
    assert ratios_left_open(PriorShift(None, 2.0, None, 9, 9))[-1] > 10


@pytest.fixture
def recent(calibration, tmp_path):
    """A recent sample: the validation items, under other names and with fewer violating ones."""
    folder = tmp_path / "recent"
    shutil.copytree(tmp_path / "validation", folder)
    calibration.validation = None  # nothing to plan on
    for name in ("items", "annotations"):
        frame = pl.read_parquet(folder / f"{name}.parquet")
        frame.with_columns(item_id="r" + pl.col("item_id")).write_parquet(folder / f"{name}.parquet")
    return folder


def test_the_verb_estimates_it(calibration, recent) -> None:
    plain = calibration.run()
    summary = calibration.run(recent=recent)
    content = json.loads((calibration.out / "operating_points.json").read_text())
    band = content["policies"][0]["bands"][0]
    assert band["status"] == "certified"
    assert band["prior_shift"]["lower"] < 1 < band["prior_shift"]["upper"]
    assert band["tested_target"] > band["target"]
    assert content["policies"][0]["bands"][1]["prior_shift"] is None  # recall knows no prior
    assert band["look"]["number"] == 2
    assert any(line.startswith("prior shift: fire, auto_remove: odds of violating") for line in summary.lines)
    assert not any(line.startswith("prior shift") for line in plain.lines)
    assert page_facts(calibration.out)["policies"][0]["bands"][0]["record"]["prior_shift"] == band["prior_shift"]
    for more in ({"prior_odds_ratio": 0.9}, {"unresolved": "not_violating"}, {"auditor": "llm"}):
        with pytest.raises(InputError, match="not together with"):
            calibration.run(recent=recent, **more)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inclusion_prob": pl.int_range(1, pl.len() + 1) / 1000}, "drawn with different probabilities"),
        ({"item_id": pl.col("item_id").str.replace("rv", "g")}, "items are also in the golden set, the first is 'g0"),
    ],
)
def test_samples_that_are_no_evidence_are_refused(calibration, recent, change, message: str) -> None:
    items = pl.read_parquet(recent / "items.parquet").with_columns(**change)
    items.write_parquet(recent / "items.parquet")
    annotations = pl.read_parquet(recent / "annotations.parquet")
    if "item_id" in change:
        annotations.with_columns(**change).write_parquet(recent / "annotations.parquet")
    with pytest.raises(InputError, match=message):
        calibration.run(recent=recent)
    assert not (calibration.golden / "looks.jsonl").exists()
    assert load_golden(calibration.golden)


def test_a_recent_sample_without_labels_is_refused(calibration, recent) -> None:
    file = recent / "annotations.parquet"
    pl.read_parquet(file).with_columns(value=pl.lit("unsure")).write_parquet(file)
    with pytest.raises(InputError, match=r"no known label for fire 1\.0\.0"):
        calibration.run(recent=recent)
