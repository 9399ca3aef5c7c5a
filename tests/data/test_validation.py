"""`validate` finds in one run all that can be found, and says where."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from data.errors import InputError
from data.items import read_items
from data.validation import validate


def lines_of(folder: Path, items: Path, **given: object) -> list[str]:
    arguments = {"annotations": None, "policies": folder, "media": True, "workers": 1, "out": None}
    return validate(items=items, **{**arguments, **given}).lines  # type: ignore[arg-type]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folder with one photo that opens, and one that does not."""
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    return tmp_path


def test_media_are_checked_beside_every_other_finding(photos: Path, policy_folder: Path) -> None:
    rows = [
        {"item_id": "a", "media": ["torn.png"], "media_type": "photo"},
        {"item_id": "b", "media": "good.png", "media_type": "photo"},
        {"item_id": "c", "media": ["good.png"], "media_type": "gif"},
        {"item_id": "d", "media": ["gone.png"], "media_type": "photo", "inclusion_prob": 2},
        {"item_id": "e", "media": ["good.png"], "media_type": "photo"},
    ]
    items = photos / "items.jsonl"
    items.write_text("\n".join([json.dumps(row) for row in rows] + ["{"]))
    (policy_folder / "fire.yaml").write_text("owner: [")
    annotations = photos / "annotations.jsonl"
    annotations.write_text("")
    lines = lines_of(policy_folder, items, annotations=annotations)
    for words in (
        ["fire.yaml", "not a YAML file"],
        ["items.jsonl, line 6: not JSON"],
        ["items.jsonl, line 2, media = 'good.png': expected a list of texts", "(item 'b')"],
        ["items.jsonl, line 3, media_type = 'gif'", "(item 'c')"],
        ["items.jsonl, line 4, inclusion_prob = 2.0", "(item 'd')"],
        ["annotations.jsonl: the file is empty"],
        ["items.jsonl, line 1, media", "torn.png': unreadable", "(item 'a')"],
        ["items.jsonl, line 4, media", "gone.png': unreadable: no such file", "(item 'd')"],
    ):
        assert [line for line in lines if all(word in line for word in words)], words
    assert len(lines) == 8


def test_a_column_of_another_type_hides_no_other_finding(tmp_path: Path, policy_folder: Path) -> None:
    items = tmp_path / "items.parquet"
    frame = pl.DataFrame({"item_id": ["a", "a"], "media": ["a.jpg", "b.jpg"], "media_type": ["photo", "gif"]})
    frame.write_parquet(items)
    lines = lines_of(policy_folder, items)
    assert len(lines) == 3
    assert any("items.parquet, media: expected a list of texts in each row, found String" in line for line in lines)
    assert any("row 2, item_id = 'a'" in line for line in lines)
    assert any("row 2, media_type = 'gif': expected photo or video (item 'a')" in line for line in lines)


def test_times_may_be_of_any_type_that_can_be_written_out(tmp_path: Path, policy_folder: Path) -> None:
    items = tmp_path / "items.parquet"
    frame = pl.DataFrame({"item_id": ["a"], "media": [["a.jpg"]], "media_type": ["photo"]})
    frame.with_columns(created_at=datetime(2026, 11, 2, 9, 30)).write_parquet(items)
    assert read_items(items)["created_at"].to_list() == ["2026-11-02 09:30:00.000000"]
    frame.with_columns(created_at=pl.Series([[2026, 11]])).write_parquet(items)
    [line] = lines_of(policy_folder, items, media=False)
    assert "items.parquet, created_at: expected a text in each row, found List(Int64)" in line


def test_a_torn_items_file_hides_neither_policies_nor_annotations(tmp_path: Path, policy_folder: Path) -> None:
    (tmp_path / "items.parquet").write_bytes(b"PAR1 torn")
    (tmp_path / "annotations.jsonl").write_text('{"item_id": "a", "policy_id": "ghost"}\n')
    lines = lines_of(policy_folder, tmp_path / "items.parquet", annotations=tmp_path / "annotations.jsonl")
    assert any("items.parquet: cannot be read as parquet" in line for line in lines)
    assert any("annotations.jsonl, line 1, policy_id = 'ghost'" in line for line in lines)
    assert not any("no such item" in line for line in lines)  # nobody knows


def test_annotations_of_an_item_whose_line_is_torn_are_not_blamed(
    tmp_path: Path, policy_folder: Path, annotations_file: Path
) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text('{"item_id": "i00", "media": ["a.jpg"], "media_type": "photo"}\n{"item_id": "i01", \n')
    lines = lines_of(policy_folder, items, annotations=annotations_file, media=False)
    assert len(lines) == 1
    assert "line 2: not JSON" in lines[0]


def test_the_same_problem_in_many_rows_is_shown_some_times_and_written_each_time(
    tmp_path: Path, policy_folder: Path, items_file: Path
) -> None:
    frame = pl.read_parquet(items_file)
    pl.concat([frame, frame, frame]).write_parquet(items_file)  # 80 rows whose item_id another row has
    summary = validate(
        items=items_file, annotations=None, policies=policy_folder, media=False, workers=1, out=tmp_path / "f.parquet"
    )
    assert len(summary.lines) == 50
    assert f"and 30 more rows, all of them in {tmp_path / 'f.parquet'}" in summary.lines[-1]
    assert "80 findings" in summary.title
    written = pl.read_parquet(tmp_path / "f.parquet")
    assert len(written) == 80
    assert written["row"].to_list() == list(range(41, 121))


def test_findings_are_written_with_the_item_that_they_are_of(tmp_path: Path, policy_folder: Path) -> None:
    items = tmp_path / "items.parquet"
    rows = [{"item_id": "a", "media": ["gone.jpg"], "media_type": "photo"}]
    pl.DataFrame(rows).write_parquet(items)
    validate(items=items, annotations=None, policies=policy_folder, media=True, workers=1, out=tmp_path / "f.parquet")
    found = pl.read_parquet(tmp_path / "f.parquet").row(0, named=True)
    assert (found["row"], found["item_id"], found["field"]) == (1, "a", "media")


def test_a_missing_file_is_wrong_input_and_no_finding(tmp_path: Path, policy_folder: Path, items_file: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        lines_of(policy_folder, items_file, annotations=tmp_path / "annotations.jsonl")
