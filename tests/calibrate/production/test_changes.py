"""Changes at every cut against a plain loop over the items: ties, unknown labels, missing scores, weights, off."""

import numpy as np
import pytest
from scipy.stats import binomtest

from calibrate.operating_points_file import BandRecord
from calibrate.production.changes import change_of, tally_at
from calibrate.production.differences import paired_difference, precision_difference
from calibrate.production.matching import matched
from calibrate.production.overlap import Overlaps, kinds_of
from calibrate.ranks.ranked import rank_labels
from calibrate.report.live.cuts import choose_cuts, places_of

CASES = 300


def slow(now, before, labels, weights, threshold, served):
    """Everything by one pass over the items."""
    names = ("all", "before", "now", "both", "gained", "lost")
    counts = {name: {1: 0, 0: 0, None: 0} for name in names}
    heavy = {name: {1: 0.0, 0: 0.0, None: 0.0} for name in names}
    better = worse = 0
    for score, old, label, weight in zip(now, before, labels, weights, strict=True):
        if np.isnan(old):
            continue
        kind = None if np.isnan(label) else int(label)
        new_flag = threshold is not None and score >= np.float32(threshold)
        old_flag = served is not None and old >= np.float32(served)
        held = {
            "all": True,
            "before": old_flag,
            "now": new_flag,
            "both": old_flag and new_flag,
            "gained": new_flag and not old_flag,
            "lost": old_flag and not new_flag,
        }
        for name, is_so in held.items():
            counts[name][kind] += is_so
            heavy[name][kind] += weight * is_so
        if kind is not None and new_flag != old_flag:
            better += new_flag == bool(kind)
            worse += old_flag == bool(kind)
    return counts, heavy, better, worse


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


@pytest.mark.parametrize("is_weighted", [False, True])
def test_changes_are_those_of_a_plain_loop(random_set, is_weighted: bool) -> None:
    random = np.random.default_rng(int(is_weighted))
    seen = {"gained": 0, "off": 0, "missing": 0}
    for _ in range(CASES):
        n = int(random.integers(1, 60))
        now, labels = random_set(random, n)
        now, labels = now.astype(np.float32), labels.astype(np.float32)
        before = np.round(now + random.normal(0, now.std() + 0.1, n), 1).astype(np.float32)
        before[random.random(n) < random.choice([0, 0.2])] = np.nan
        weights = random.uniform(1, 9, n) if is_weighted else np.ones(n)
        cuts = choose_cuts(rank_labels(now, labels))
        served = random.choice([None, float(random.choice(now)), 0.0])
        flagged = np.zeros(n, bool) if served is None else before >= np.float32(served)
        given = (places_of(now, cuts), kinds_of(labels), ~np.isnan(before), len(cuts))
        counted, weighed = (Overlaps(*given, weights=each).of(flagged) for each in (None, weights))
        cut = random.choice([None, int(random.integers(len(cuts)))])
        change = change_of(
            tally_at(counted, cut),
            tally_at(weighed, cut) if is_weighted else None,
            is_weighted=is_weighted,
            is_sample=True,
        )
        threshold = None if cut is None else float(cuts[cut])
        counts, heavy, better, worse = slow(now, before, labels, weights, threshold, served)
        for name in ("all", "before", "both", "gained", "lost"):
            found = getattr(change.tally, name)
            assert (found.violating, found.other, found.unknown) == tuple(counts[name].values()), name
        assert (change.better, change.worse) == (better, worse)
        for shift, part, whole in (
            (change.volume, lambda each: sum(each.values()), lambda _, whole: sum(whole.values())),
            (change.precision, lambda each: each[1], lambda each, _: each[0] + each[1]),
            (change.recall, lambda each: each[1], lambda _, whole: whole[1]),
        ):
            for name, value in (("before", shift.before), ("now", shift.now)):
                expected = share(part(heavy[name]), whole(heavy[name], heavy["all"]))
                assert value == (None if expected is None else pytest.approx(expected, abs=1e-9))
        if is_weighted:
            assert {change.p_value, change.volume.ends, change.precision.ends, change.recall.ends} == {None}
        else:
            differing = better + worse
            assert change.p_value == pytest.approx(binomtest(better, differing, 0.5).pvalue if differing else 1.0)
            all_, both, gained, lost = (counts[name][1] for name in ("all", "both", "gained", "lost"))
            assert change.recall.ends == (paired_difference(both, gained, lost, all_) if all_ else None)
            pairs = [(counts[name][0] + counts[name][1], counts[name][1]) for name in ("now", "before", "both")]
            assert change.precision.ends == (precision_difference(*pairs) if pairs[0][0] and pairs[1][0] else None)
            totals = (sum(counts[name].values()) for name in ("both", "gained", "lost", "all"))
            assert change.volume.ends == (paired_difference(*totals) if sum(counts["all"].values()) else None)
        seen["gained"] += sum(counts["gained"].values()) > 0
        seen["off"] += cut is None or served is None
        seen["missing"] += bool(np.isnan(before).any())
    assert min(seen.values()) > 50


def test_where_the_golden_set_says_nothing_no_share_is_computed() -> None:
    scores = np.float32([3, 2, 1, 0])
    labels = np.float32([1, 0, 1, np.nan])
    counted = Overlaps(np.arange(4), kinds_of(labels), np.ones(4, bool), 4).of(scores >= 2)
    change = change_of(tally_at(counted, 2), None, is_weighted=False, is_sample=False)
    assert change.tally.gained.violating == 1
    assert (change.p_value, change.volume.now, change.precision.before, change.recall.ends) == (None,) * 4


def test_bands_are_matched_by_action_and_queue_then_by_action() -> None:
    def served(*names: tuple[str, str | None]) -> list[BandRecord]:
        return [BandRecord.model_construct(action=action, queue=queue) for action, queue in names]

    review, night = ("review", None), ("review", "night")
    assert matched([review, night], served(night, review)) == [1, 0]
    assert matched([night, review], served(("review", "day"), review)) == [0, 1]
    assert matched([review, review, review], served(review, night)) == [0, 1, None]
    assert matched([("restrict", None)], served(review)) == [None]
    assert matched([review], []) == [None]
