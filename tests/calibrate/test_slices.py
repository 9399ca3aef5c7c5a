"""Slices at a threshold that was chosen on the same labels, and how claims share an error budget."""

import json

import numpy as np
import polars as pl
import pytest
import yaml
from page_facts import page_facts
from scipy import stats

from calibrate import choose_threshold
from calibrate.bounds import fewest_labels, most_false_positives, upper_bound
from calibrate.ranks.ranked import rank_labels
from calibrate.ranks.search import certified_among_many, search_by_scan
from calibrate.slice_tests import at_threshold, examine_slices
from calibrate.slices import STATUSES, rows_by_value, slice_labels
from data.errors import InputError


def check_slices(slices, *, by: str, threshold: float, target: float, **question):
    tests = examine_slices(slices, by=by, target=target, tested_target=target, **question)
    return at_threshold(tests, {by: slices}, threshold)


def test_twenty_slices_are_rarely_certified_wrongly() -> None:
    """Every slice lies just below the target: any certificate is wrong. 0.999 quantile of Bin(25, 0.1)."""
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(25):
        scores = random.random(3000).astype(np.float32)
        labels = (random.random(3000) < 0.898).astype(np.float32)
        point = choose_threshold(scores, labels, target_precision=0.85, confidence=0.9)
        parts = check_slices(
            slice_labels(scores, labels, rows_by_value(pl.Series(random.integers(0, 20, 3000)))),
            by="market",
            threshold=point.threshold,
            target=0.9,
            delta=0.1,
            min_flagged=30,
        )
        assert len(parts) == 20
        wrong += any(part.status == "certified" for part in parts)
    assert wrong <= stats.binom.ppf(0.999, 25, 0.1)


def test_good_bad_small_and_missing_slices_are_told_apart() -> None:
    random = np.random.default_rng(1)
    scores = random.random(2000).astype(np.float32)
    names = np.array(["good", "bad", "weak"])[random.integers(0, 3, 2000)].astype(object)
    names[:20], names[20:40] = "small", None
    labels = (random.random(2000) < np.select([names == "bad", names == "weak"], [0.6, 0.905], 1.0)).astype(float)
    labels[50:60] = np.nan
    slices = slice_labels(scores, labels, rows_by_value(pl.Series(names.tolist())))
    parts = check_slices(slices, by="market", threshold=0.3, target=0.9, delta=0.05, min_flagged=59)
    status = {part.value: part.status for part in parts}
    assert status == {"bad": "below", "good": "certified", "small": "insufficient", "weak": "insufficient"}
    by_name = {part.value: part for part in parts}
    assert by_name["small"].more_labels >= 1
    assert by_name["good"].threshold is None
    flagged = (scores >= np.float32(0.3)) & (names == "bad") & ~np.isnan(labels)
    assert (by_name["bad"].n_flagged_labelled, by_name["bad"].precision) == (
        flagged.sum(),
        pytest.approx(labels[flagged].mean()),
    )


def with_slices(calibration, **keys) -> dict:
    path = calibration.policies / "fire.yaml"
    content = yaml.safe_load(path.read_text())
    content["slices"] = [{"by": "media_type", "min_flagged": 30}]
    path.write_text(yaml.safe_dump(content))
    calibration.run(**keys)
    return json.loads((calibration.out / "operating_points.json").read_text())


def test_the_verb_reports_slices_and_their_own_thresholds(calibration) -> None:
    content = with_slices(calibration, slices="own")
    removal, review, _ = content["policies"][0]["bands"]
    (photo,) = removal["slices"]
    assert (photo["by"], photo["value"], review["slices"]) == ("media_type", "photo", [])
    assert photo["threshold"] is not None
    assert photo["n_flagged_labelled"] == removal["n_flagged_labelled"]
    [on_page] = page_facts(calibration.out)["policies"][0]["slices"]
    assert (on_page["by"], on_page["value"], on_page["n_labelled"]) == ("media_type", "photo", photo["n_labelled"])
    assert on_page["tests"]["0"]["threshold"] == photo["threshold"]
    assert content["error_budget"] == {"mode": "each", "n_claims": 1}


def test_all_claims_share_the_error_budget(calibration) -> None:
    each = with_slices(calibration)["policies"][0]["bands"]
    content = with_slices(calibration, error_budget="all")
    shared = content["policies"][0]["bands"]
    # Two precision bands, one recall band, the slices of one band.
    assert content["error_budget"] == {"mode": "all", "n_claims": 4}
    assert "shared by 4 claims" in shared[0]["method"]
    assert [band["confidence"] for band in shared] == [band["confidence"] for band in each]
    assert shared[0]["threshold"] > each[0]["threshold"]
    assert shared[1]["threshold"] < each[1]["threshold"]
    assert page_facts(calibration.out)["evidence"]["error_budget"] == content["error_budget"]


def test_a_slice_column_that_is_missing(calibration) -> None:
    path = calibration.policies / "fire.yaml"
    content = yaml.safe_load(path.read_text()) | {"slices": [{"by": "planet", "min_flagged": 30}]}
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="no column 'planet', by which fire is sliced"):
        calibration.run()
    calibration.run(slices="off")
    assert pl.read_parquet(calibration.out / "curves.parquet").height


def test_boundaries_shared_by_slices_are_those_of_a_longer_set() -> None:
    """Against the scan of the slice by itself: never deeper than it may go, and hardly ever less deep."""
    random = np.random.default_rng(2)
    reached = []
    for n in (25, 100, 700, 3000, 30_000):
        scores = np.round(random.normal(size=n), 2 if n == 3000 else 6)
        labels = random.random(n) < 1 / (1 + np.exp(-4 * scores))
        ranked = rank_labels(scores, labels)
        steps = certified_among_many(ranked, target=0.8, delta=0.05, horizon=32_768)
        alone = search_by_scan(ranked, None, target=0.8, delta=0.05).certified
        assert len(alone) == 0 or len(steps)
        if len(steps):
            flagged, wrong = ranked.n_flagged[steps], ranked.false_positives[steps]
            assert (wrong <= most_false_positives(flagged, 0.8, 0.05)).all()
            reached.append(flagged[-1] / ranked.n_flagged[alone[-1]])
    assert len(reached) >= 3
    assert min(reached) > 0.95
    none = rank_labels([1.0, 2.0], [1, 1])
    assert not len(certified_among_many(none, target=0.8, delta=0.05, horizon=2))


def test_rows_by_value_takes_columns_of_any_type() -> None:
    assert {k: v.tolist() for k, v in rows_by_value(pl.Series([True, None, False, True])).items()} == {
        "False": [2],
        "True": [0, 3],
    }
    assert list(rows_by_value(pl.Series([10, 9, 10]))) == ["10", "9"]
    assert rows_by_value(pl.Series([None, None], dtype=pl.String)) == {}


def test_weighted_slices_are_tested_by_betting() -> None:
    """Of the slice `bad`, the posts that do not violate stand for ten each: counted, it would pass."""
    random = np.random.default_rng(0)
    scores = random.random(1200).astype(np.float32)
    names = pl.Series(["bad", "good"] * 600)
    bad = np.arange(1200) % 2 == 0
    labels = np.where(bad & (random.random(1200) < 0.05), 0.0, 1.0).astype(np.float32)
    chances = np.where(bad & (labels == 0), 0.1, np.where(np.arange(1200) % 3 == 0, 0.5, 1.0))
    rows = rows_by_value(names)
    question = {"by": "market", "threshold": 0.0, "target": 0.9, "delta": 0.1, "min_flagged": 30}
    weighted = check_slices(slice_labels(scores, labels, rows, inclusion_prob=chances), **question)
    counted = check_slices(slice_labels(scores, labels, rows), **question)
    assert [part.status for part in counted] == ["certified", "certified"]
    assert [part.status for part in weighted] == ["below", "certified"]
    assert weighted[0].precision < 0.8 < counted[0].precision
    clustered = check_slices(
        slice_labels(scores, labels, rows, clusters=[str(row // 20) for row in range(1200)]), **question
    )
    assert all(part.status != "below" for part in clustered)


def test_statuses_at_many_thresholds_are_those_of_the_bounds() -> None:
    """Below is where the upper Clopper-Pearson bound says so; certified, what the slice's own labels certify."""
    random = np.random.default_rng(5)
    scores = random.random(3000).astype(np.float32)
    labels = (random.random(3000) < 0.5 + 0.5 * scores).astype(np.float32)
    slices = slice_labels(scores, labels, rows_by_value(pl.Series(random.integers(0, 3, 3000))))
    seen = set()
    for test in examine_slices(slices, by="market", target=0.9, tested_target=0.9, delta=0.1, min_flagged=30):
        part = slices[test.value]
        flagged, right = part.ranked.n_flagged, part.ranked.n_flagged - part.ranked.false_positives
        first, last = test.certified
        assert first >= fewest_labels(0.9, test.level) > flagged[0]
        found = [STATUSES[status] for status in test.statuses(flagged, right)]
        is_below = upper_bound(right, flagged, confidence=1 - test.level) < 0.9
        assert found == [
            "certified" if first <= n <= last else "below" if low else "insufficient"
            for n, low in zip(flagged, is_below, strict=True)
        ]
        seen.update(found)
    assert seen == set(STATUSES)
    assert test.statuses(np.array([0]), np.array([0])).tolist() == [STATUSES.index("insufficient")]
