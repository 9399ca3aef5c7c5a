"""What the page holds of its example posts: what files say, made fit to be shown, with pictures or reasons."""

import base64
import dataclasses
import io
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from page_calibration import PageCalibration
from page_examples import page_examples
from PIL import Image

from calibrate.inputs import CalibrationInputs, read_inputs
from calibrate.report.examples.choose import ChosenExamples, choose_examples
from calibrate.report.examples.embedded import embedded_examples
from calibrate.report.examples.pictures import FULL, LATE, Pictures
from calibrate.report.examples.removed import without_examples
from calibrate.run import calibrate
from data import thumbnails
from data.scores import read_scores


@pytest.fixture(scope="module")
def inputs(made: PageCalibration) -> CalibrationInputs:
    return read_inputs(
        scores=made.scores, golden=made.golden, policies=made.policies, validation=None, validation_scores=None
    )


@pytest.fixture(scope="module")
def chosen(inputs: CalibrationInputs) -> dict[str, ChosenExamples]:
    golden = inputs.golden
    return {
        name: choose_examples(golden.scores[:, column], golden.labels[:, column], [1.0, 2.0], number=6, most=60)
        for column, name in enumerate(inputs.scores.policy_ids)
    }


def test_posts_are_what_the_files_say(made: PageCalibration) -> None:
    fire, _ = page_examples(made.page)
    facts = fire["facts"]
    scores, rows = read_scores(made.scores, ["fire"]), pl.read_parquet(made.golden / "annotations.parquet")
    items = pl.read_parquet(made.golden / "items.parquet")
    values = scores.of(items["item_id"].to_list())[:, 0]
    order = np.lexsort((np.arange(len(values)), -values))
    assert facts["n_golden"] == len(items) == 3000
    assert facts["columns"] == ["market", "media_type", "language"]
    assert 60 < len(facts["items"]) <= 200
    for post in facts["items"]:
        row = int(order[post["rank"] - 1])
        item = items.row(row, named=True)
        said = rows.filter(pl.col("item_id") == item["item_id"], pl.col("policy_id") == "fire")
        assert post["item_id"] == item["item_id"]
        assert post["score"] == values[row]
        assert sum(vote["n"] for vote in post["votes"]) == len(said)
        assert [vote["value"] for vote in post["votes"]] == said["value"].unique().to_list()
        assert post["label"] == {"violating": True, "not_violating": False}.get(said["value"][0])
        assert (post["n_media"], post["media_type"]) == (len(item["media"]), item["media_type"])
        assert post["slices"][2] == item["language"]
    assert {post["label"] for post in facts["items"]} == {True, False, None}
    assert [post["rank"] for post in facts["items"]] == sorted(post["rank"] for post in facts["items"])


def test_words_of_others_are_short_and_turn_nothing_around(made: PageCalibration) -> None:
    for held in page_examples(made.page):
        for post in held["facts"]["items"]:
            words = [post["caption"] or "", post["no_picture"] or "", *post["reason_codes"]]
            words += [value or "" for value in post["slices"]]
            assert max(map(len, words)) <= 160
            assert not set("".join(words)) & set("\u202a\u202b\u202d\u202e\u2066\u2067")


def test_pictures_are_small_and_bare_and_what_has_none_says_why(made: PageCalibration) -> None:
    fire, scam = page_examples(made.page)
    posts = fire["facts"]["items"]
    assert sorted(p["picture"] for p in posts if p["picture"] is not None) == list(range(len(fire["pictures"])))
    assert len(fire["pictures"]) > 20
    for picture in fire["pictures"]:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert image.format == "WEBP"
            assert max(image.size) <= 400
            assert not image.getexif()
    reasons = {post["no_picture"] for post in posts if post["picture"] is None}
    assert reasons == {
        "no such file",
        "not a photo of a known format",
        "kept at an address; nothing was fetched for this page",
        *(each for each in reasons if each.startswith("not a readable clip")),
    }
    assert scam["pictures"] == []  # preview: none
    assert {(post["picture"], post["no_picture"]) for post in scam["facts"]["items"]} == {(None, None)}


def test_the_same_inputs_give_the_same_bytes(inputs: CalibrationInputs, chosen) -> None:
    assert embedded_examples(inputs, chosen, Pictures()) == embedded_examples(inputs, chosen, Pictures())


def test_a_policy_that_shows_no_pictures_has_none_decoded(inputs: CalibrationInputs, chosen) -> None:
    only = dataclasses.replace(inputs, policies=[each for each in inputs.policies if each.preview == "none"])
    with patch.object(thumbnails, "thumbnail", side_effect=AssertionError):
        assert embedded_examples(only, {"scam": chosen["scam"]}, Pictures())["scam"]["pictures"] == []


def test_pictures_stay_within_their_room_and_the_most_wanted_come_first(inputs, chosen) -> None:
    both = [each.model_copy(update={"preview": "show"}) for each in inputs.policies]
    inputs = dataclasses.replace(inputs, policies=both)
    everything = embedded_examples(inputs, chosen, Pictures())
    sizes = [len(picture) for held in everything.values() for picture in held["pictures"]]
    room = sum(sizes) // 3
    some = embedded_examples(inputs, chosen, Pictures(characters=room))
    assert room - max(sizes) < sum(len(p) for held in some.values() for p in held["pictures"]) <= room
    for name, held in some.items():
        assert len(held["pictures"]) > 0  # shared by the policies
        posts = held["facts"]["items"]
        left_out = [at for at, post in zip(chosen[name].order, posts, strict=True) if post["no_picture"] == FULL]
        kept = [at for at, post in zip(chosen[name].order, posts, strict=True) if post["picture"] is not None]
        assert np.median(kept) < np.median(left_out)
    few = embedded_examples(inputs, chosen, Pictures(most=5))
    assert len({p for held in few.values() for p in held["pictures"]}) <= 5


def test_slow_media_leave_pictures_out_and_end_in_time(inputs: CalibrationInputs, chosen) -> None:
    held = embedded_examples(inputs, chosen, Pictures(seconds=-1.0))
    assert held["fire"]["pictures"] == []
    assert {post["no_picture"] for post in held["fire"]["facts"]["items"]} == {LATE}


@pytest.mark.parametrize("error", [OSError("disk"), MemoryError(), ValueError("odd"), SystemError("codec")])
def test_no_file_fails_a_calibration(inputs: CalibrationInputs, chosen, error: Exception) -> None:
    with patch.object(thumbnails, "thumbnail", side_effect=error):
        held = embedded_examples(inputs, chosen, Pictures())
    assert all(post["no_picture"] for post in held["fire"]["facts"]["items"])


def test_posts_and_pictures_can_be_left_out(made: PageCalibration, tmp_path: Path) -> None:
    given = {"scores": made.scores, "golden": made.golden, "policies": made.policies}
    calibrate(**given, out=tmp_path / "bare", thumbnails=False, examples=2)
    fire, _ = page_examples(tmp_path / "bare/report/index.html")
    assert fire["pictures"] == []
    assert fire["facts"]["number"] == 2
    calibrate(**given, out=tmp_path / "none", examples=0)
    assert page_examples(tmp_path / "none/report/index.html") == [None, None]


def test_a_page_without_its_posts_is_else_the_same(made: PageCalibration) -> None:
    page = made.page.read_bytes()
    bare = without_examples(page)
    assert without_examples(bare) == bare
    assert bare.count(b">null</script>") == 2
    assert b"UklGR" in page  # how every WebP file begins
    for held in (b"UklGR", b'"n_media"', b"g00001"):
        assert held not in bare
    assert bare.split(b'id="examples-0"')[0] == page.split(b'id="examples-0"')[0]
