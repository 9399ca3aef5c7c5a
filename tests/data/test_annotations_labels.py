from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data.annotations import read_annotations
from data.errors import InputError
from data.items import read_items
from data.labels import agreement, derive_labels, label_matrix
from data.policy import load_policies
from data.validation import validate

ROW = {
    "item_id": "i00",
    "policy_id": "fire",
    "policy_version": "1.0.0",
    "annotator_id": "a",
    "source": "human",
    "value": "violating",
    "round": "blind",
}


def frame(*changes: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([{**ROW, **change} for change in changes])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": "maybe"}, ["row 2", "value", "'maybe'", "violating, not_violating, unsure or unreviewable"]),
        ({"item_id": "nobody"}, ["item_id", "'nobody'", "no such item"]),
        ({"policy_id": "smoke"}, ["policy_id", "'smoke'", "fire or scam"]),
        ({"policy_version": "2.0.0"}, ["policy_version", "'2.0.0'", "1.0.0"]),
        ({"source": "rumour"}, ["source", "'rumour'"]),
        ({"round": "third"}, ["round", "'third'"]),
        ({"value": None}, ["value"]),
    ],
)
def test_wrong_annotations_are_refused(
    tmp_path: Path, items_file: Path, policy_folder: Path, change: dict[str, object], words: list[str]
) -> None:
    path = tmp_path / "wrong.parquet"
    frame({}, change).write_parquet(path)
    with pytest.raises(InputError) as error:
        read_annotations(path, read_items(items_file), load_policies(policy_folder))
    for word in [str(path), *words]:
        assert word in str(error.value)


@pytest.mark.parametrize("readable", [0, 1])
def test_policies_that_cannot_be_read_are_said_and_not_their_annotations(
    tmp_path: Path, items_file: Path, policy_folder: Path, readable: int
) -> None:
    path = tmp_path / "annotations.parquet"
    frame({}, {"policy_id": "scam"}, {"value": "maybe"}).write_parquet(path)
    files = sorted(policy_folder.iterdir())
    for file in files[readable:]:
        file.write_text("owner: [")
    summary = validate(items=items_file, annotations=path, policies=policy_folder, media=False, workers=1, out=None)
    assert not summary.ok
    for file in files[readable:]:
        assert any(str(file) in line for line in summary.lines)
    assert any("'maybe'" in line for line in summary.lines)
    assert not any("no such policy" in line for line in summary.lines)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([{"annotator_id": "a"}, {"annotator_id": "b"}, {"annotator_id": "c", "value": "not_violating"}], True),
        ([{"annotator_id": "a"}, {"annotator_id": "b", "value": "not_violating"}], None),  # a tie is unknown
        ([{"value": "unsure"}], None),
        ([{"value": "unreviewable"}], None),
        ([{"annotator_id": "a", "value": "unsure"}, {"annotator_id": "b", "value": "not_violating"}], False),
        ([{"annotator_id": "a"}, {"annotator_id": "z", "round": "adjudication", "value": "not_violating"}], False),
        ([{"annotator_id": "a"}, {"annotator_id": "z", "round": "adjudication", "value": "unsure"}], None),
        ([{"source": "appeal", "value": "not_violating"}, {"annotator_id": "b"}], True),
        ([{"annotator_id": "a"}, {"annotator_id": "a", "value": "not_violating"}], False),  # the last vote counts
    ],
)
def test_a_label_is_the_adjudication_else_the_majority_else_unknown(
    policy_folder: Path, votes: list[dict[str, object]], expected: bool | None
) -> None:
    labels = derive_labels(frame(*votes), load_policies(policy_folder))
    assert labels["label"].to_list() == [expected]


@pytest.mark.parametrize(
    ("final", "expected"), [(None, 0.5), ("violating", 0.5), ("not_violating", 0.5), ("unsure", None)]
)
def test_votes_that_an_adjudication_could_not_settle_say_nothing(
    policy_folder: Path, final: str | None, expected: float | None
) -> None:
    votes = [{"annotator_id": "a"}, {"annotator_id": "b", "value": "not_violating"}]
    votes += [] if final is None else [{"annotator_id": "z", "round": "adjudication", "value": final}]
    labels = derive_labels(frame(*votes), load_policies(policy_folder))
    assert labels["p_violating"].to_list() == [expected]


def test_an_item_with_one_annotation_is_labelled_like_one_with_the_same_said_twice(policy_folder: Path) -> None:
    said = [
        {"item_id": f"i{n:02d}", "value": value, "round": stage}
        for n, (value, stage) in enumerate(
            product(["violating", "not_violating", "unsure", "unreviewable"], ["blind", "adjudication"])
        )
    ]
    policies = load_policies(policy_folder)
    once, twice = derive_labels(frame(*said), policies), derive_labels(frame(*said, *said), policies)
    assert len(once) == 8
    assert_frame_equal(once, twice, check_row_order=False)
    several = derive_labels(frame(*said, said[0] | {"annotator_id": "b", "value": "not_violating"}), policies)
    known = several.filter(pl.col("item_id") == "i00")
    assert known.select("label", "p_violating", "n_annotators").row(0) == (None, 0.5, 2)
    assert_frame_equal(
        several.filter(pl.col("item_id") != "i00"), once.filter(pl.col("item_id") != "i00"), check_row_order=False
    )


@pytest.mark.parametrize("change", [{"source": "report"}, {"source": "llm"}, {"policy_version": "0.9.0"}])
def test_reports_models_and_other_versions_make_no_label(policy_folder: Path, change: dict[str, object]) -> None:
    assert derive_labels(frame(change), load_policies(policy_folder)).is_empty()


def test_the_matrix_holds_nan_where_unknown(policy_folder: Path) -> None:
    labels = derive_labels(frame({}, {"item_id": "i01", "value": "unsure"}), load_policies(policy_folder))
    matrix = label_matrix(["i01", "i00", "i02"], labels, ["fire", "scam"])
    np.testing.assert_array_equal(matrix, [[np.nan, np.nan], [1, np.nan], [np.nan, np.nan]])


def test_agreement_of_the_real_votes_is_a_known_figure(moderation_mini: Path) -> None:
    policies = load_policies(moderation_mini / "policies")
    items = read_items(moderation_mini / "items.parquet")
    annotations = read_annotations(moderation_mini / "annotations.parquet", items, policies)
    hateful = next(policy for policy in policies if policy.policy_id == "hateful_text")
    votes = annotations.filter(pl.col("policy_id") == "hateful_text", pl.col("round") == "blind")
    # Nominal alpha by its definition: 1 - observed / expected disagreement over pairable votes.
    counts = votes.group_by("item_id").agg(v=(pl.col("value") == "violating").sum(), n=pl.len())
    v, n = counts["v"].to_numpy().astype(float), counts["n"].to_numpy().astype(float)
    observed = (2 * v * (n - v) / (n - 1)).sum() / n.sum()
    expected = 2 * v.sum() * (n - v).sum() / (n.sum() * (n.sum() - 1))
    assert agreement(annotations, hateful) == pytest.approx(1 - observed / expected)
    assert agreement(annotations, policies[0]) is None  # adjudicated only
