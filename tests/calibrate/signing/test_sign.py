"""Signing: what is promised, who must sign, what is written."""

import json
import unicodedata

import numpy as np
import polars as pl
import pytest

from calibrate.choice import BandChoice
from calibrate.operating_points_file import load_operating_points
from calibrate.run import calibrate
from data.errors import InputError


def inside(desk, place: int = 0) -> float:
    """A threshold between the certified one and the strictest, or loosest, that is certified as well."""
    band = desk.band("fire", place)
    strictest, loosest = band.certified_range
    other = strictest if band.threshold == loosest else loosest
    found = float(np.float32((band.threshold + other) / 2))
    assert loosest <= found <= strictest
    assert found != band.threshold
    return found


def test_thresholds_as_they_were_found(desk) -> None:
    looks = (desk.calibration.parent / "golden" / "looks.jsonl").read_bytes()
    first = desk.sign("Ada Lovelace")
    assert not first.complete
    assert "one more signature, by another name, for fire, auto_remove" in " ".join(first.missing)
    second = desk.sign("Grace Hopper")
    assert second.complete
    assert second.by == ["Ada Lovelace", "Grace Hopper"]
    assert (desk.calibration.parent / "golden" / "looks.jsonl").read_bytes() == looks
    signed, found = load_operating_points(desk.out), desk.points
    for policy, before in zip(signed.policies, found.policies, strict=True):
        for band, was in zip(policy.bands, before.bands, strict=True):
            assert band.model_copy(update={"signatures": ()}) == was
            names = [each.by for each in band.signatures]
            assert names == (second.by if band.threshold is not None else [])
    for name in ("curves.parquet", "curves.csv"):
        assert (desk.out / name).read_bytes() == (desk.calibration / name).read_bytes()
    assert not (desk.out / "made_from.json").exists()
    page = (desk.out / "report" / "index.html").read_text()
    assert "Grace Hopper" in page
    assert signed.signed_from in page, "a choice on the signed page belongs to the calibration"


def test_what_a_calibration_was_made_from_has_no_absolute_path(desk) -> None:
    content = json.loads((desk.calibration / "made_from.json").read_text())
    assert content["arguments"]["scores"] == {"path": "../scores.parquet"}
    assert str(desk.calibration.parent) not in json.dumps(content)
    assert {"out", "today"}.isdisjoint(content["arguments"])


def test_a_workspace_that_moved_is_signed(desk, tmp_path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("calibration", "golden", "validation", "policies", "scores.parquet"):
        (tmp_path / name).rename(moved / name)
    desk.calibration = moved / "calibration"
    assert desk.sign().by == ["Ada Lovelace"]


def test_a_threshold_inside_the_certified_range_keeps_the_promise(desk) -> None:
    threshold = inside(desk)
    result = desk.sign(auto_remove=threshold)
    assert "the promise holds" in " ".join(result.lines)
    band, was = desk.band("fire", 0, desk.out), desk.band("fire", 0)
    assert (band.status, band.threshold, band.certified_range) == ("certified", threshold, was.certified_range)
    assert band.n_flagged < was.n_flagged
    assert band.recall < was.recall
    assert [each.waiver for each in band.signatures] == [None]


@pytest.mark.parametrize("where", ["looser", "stricter"])
def test_outside_the_certified_range_only_with_a_waiver(desk, where) -> None:
    strictest, loosest = desk.band("fire", 0).certified_range
    threshold = float(np.float32(loosest - 1)) if where == "looser" else float(np.float32(strictest + 0.5))
    with pytest.raises(InputError, match=r"fire\.0 \(auto_remove\).*no promise holds there.*waivers="):
        desk.sign(auto_remove=threshold)
    assert not desk.signatures.exists()
    assert not desk.out.exists()
    desk.sign(auto_remove=threshold, waivers={"fire.auto_remove": "a drill of one day"})
    with pytest.raises(InputError, match="no promise"):
        desk.sign("Grace Hopper", auto_remove=threshold)
    result = desk.sign("Grace Hopper", auto_remove=threshold, waivers={"fire.0": "Ada is right"})
    assert result.complete
    band = desk.band("fire", 0, desk.out)
    assert (band.status, band.threshold) == ("waived", threshold)
    assert [each.waiver for each in band.signatures] == ["a drill of one day", "Ada is right"]
    assert "waived" in result.title


def test_a_band_that_was_not_attainable_is_switched_on_only_with_a_waiver(desk) -> None:
    choice = desk.choice("Ada Lovelace")
    bands = [
        each.model_copy(update={"threshold": 1.0}) if each.policy_id == "scam" else each for each in choice.choices
    ]
    choice = choice.model_copy(update={"choices": bands})
    with pytest.raises(InputError, match="nothing is certified for this band"):
        desk.sign_this(choice)
    desk.sign_this(choice, waivers={"scam.0": "we watch it by hand"})
    band = desk.band("scam", 0, desk.out)
    assert (band.status, band.threshold) == ("waived", 1.0)
    assert band.n_flagged > 0
    assert band.precision is not None


def test_a_band_is_switched_off(desk) -> None:
    result = desk.sign(auto_remove=None)
    assert result.complete, "what never flags needs one signature"
    band = desk.band("fire", 0, desk.out)
    assert (band.status, band.threshold, band.precision) == ("switched_off", None, None)
    assert len(band.signatures) == 1


def test_bands_that_a_choice_leaves_out_keep_their_thresholds(desk) -> None:
    choice = desk.choice("Ada Lovelace", auto_remove=inside(desk))
    desk.sign_this(choice.model_copy(update={"choices": choice.choices[:1]}))
    assert desk.band("fire", 1, desk.out).threshold == desk.band("fire", 1).threshold


@pytest.mark.parametrize("again", ["Ada Lovelace", "  ada   LOVELACE", unicodedata.normalize("NFD", "Adà Lovelace")])
def test_the_same_name_twice_is_refused(desk, again) -> None:
    desk.sign("Adà Lovelace" if "a\u0300" in again else "Ada Lovelace")
    record = desk.signatures.read_bytes()
    with pytest.raises(InputError, match="a second signature needs another name"):
        desk.sign(again)
    assert desk.signatures.read_bytes() == record


def test_a_second_signer_of_other_thresholds_makes_a_choice_of_their_own(desk) -> None:
    desk.sign("Ada Lovelace")
    result = desk.sign("Grace Hopper", auto_remove=inside(desk))
    assert not result.complete
    assert result.by == ["Grace Hopper"]
    assert "other thresholds of this calibration were signed by Ada Lovelace" in " ".join(result.lines)
    assert desk.sign("Emmy Noether", auto_remove=inside(desk)).complete


def test_a_waiver_that_nothing_needs_is_refused(desk) -> None:
    with pytest.raises(InputError, match="nothing to waive"):
        desk.sign(waivers={"fire.0": "just in case"})


@pytest.mark.parametrize(
    ("waivers", "message"),
    [
        ({"smoke.0": "x"}, "with a policy of fire, scam"),
        ({"fire.9": "x"}, "no such band; fire has 0"),
        ({"fire.0": "  "}, "says nothing"),
        ({"fire.0": "x" * 8001}, "8,001 characters"),
        ({"fire.0": "x", "fire.auto_remove": "y"}, "waived twice"),
    ],
)
def test_waivers_that_name_no_band_or_say_nothing(desk, waivers, message) -> None:
    with pytest.raises(InputError, match=message):
        desk.sign(waivers=waivers)


@pytest.mark.parametrize("name", [None, "", "  ", "...", "x" * 201, "Ada\u200bLovelace", "Ada\u202e"])
def test_names_that_name_nobody(desk, name) -> None:
    with pytest.raises(InputError, match=r"^by: "):
        desk.sign_this(desk.choice("Ada").model_copy(update={"by": name}))


def test_a_choice_of_another_calibration(desk) -> None:
    choice = desk.choice("Ada Lovelace").model_copy(update={"calibration": "0" * 64})
    with pytest.raises(InputError, match="chosen on another calibration"):
        desk.sign_this(choice)


def test_a_choice_of_a_band_that_is_not_there(desk) -> None:
    choice = desk.choice("Ada Lovelace")
    other = BandChoice(policy_id="fire", policy_version="1.0.0", band=0, action="review", threshold=1.0)
    with pytest.raises(InputError, match="band 0 of fire is auto_remove"):
        desk.sign_this(choice.model_copy(update={"choices": [other]}))


def test_unknown_labels_count_against_a_moved_threshold_as_they_did_before(desk) -> None:
    """One golden item in ten has no label; where all of them count as not violating, figures that move do so too."""
    root = desk.calibration.parent
    calibrate(
        scores=root / "scores.parquet",
        golden=root / "golden",
        policies=root / "policies",
        validation=root / "validation",
        out=desk.calibration,
        unresolved="not_violating",
    )
    found = desk.points.policies[0].bands
    assert [(band.n_unknown, band.n_labelled) for band in found] == [(0, 600)] * 3
    assert found[0].status == "not_attainable", "a tenth of the best-scored posts count as not violating"
    desk.sign(auto_remove=2.0, waivers={"fire.0": "a drill of one day"})
    annotations = pl.read_parquet(root / "golden" / "annotations.parquet").filter(pl.col("policy_id") == "fire")
    scored = annotations.join(pl.read_parquet(root / "scores.parquet"), on="item_id")
    signed = load_operating_points(desk.out).policies[0].bands
    for band in [signed[0], found[1], signed[1]]:
        flagged = scored.filter(pl.col("fire") >= band.threshold)
        assert band.n_flagged == band.n_flagged_labelled == len(flagged)
        assert band.precision == pytest.approx((flagged["value"] == "violating").mean())
