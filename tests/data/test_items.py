import json
from pathlib import Path

import polars as pl
import pytest

from data.errors import InputError
from data.items import read_items, write_items


def write_lines(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


GOOD = {"item_id": "a", "media": ["a.jpg"], "media_type": "photo"}


def test_absent_columns_become_null_and_further_columns_stay(tmp_path: Path) -> None:
    items = read_items(write_lines(tmp_path / "items.jsonl", {**GOOD, "source": "web"}))
    assert items["caption"].to_list() == [None]
    assert items["source"].to_list() == ["web"]
    assert items["media"].to_list() == [[str(tmp_path / "a.jpg")]]


def test_urls_and_absolute_paths_are_left_alone(tmp_path: Path) -> None:
    items = read_items(write_lines(tmp_path / "items.jsonl", {**GOOD, "media": ["s3://bucket/a.jpg", "/data/b.jpg"]}))
    assert items["media"].to_list() == [["s3://bucket/a.jpg", "/data/b.jpg"]]


def test_written_items_open_the_same_media_from_another_folder(tmp_path: Path) -> None:
    items = read_items(write_lines(tmp_path / "items.jsonl", GOOD))
    write_items(items, tmp_path / "deep" / "er" / "items.parquet")
    assert pl.read_parquet(tmp_path / "deep/er/items.parquet")["media"].to_list() == [["../../a.jpg"]]
    assert read_items(tmp_path / "deep/er/items.parquet")["media"].to_list() == items["media"].to_list()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([GOOD, GOOD], ["line 2", "item_id", "'a'", "another row"]),
        ([{**GOOD, "media": []}], ["line 1", "media"]),
        ([{**GOOD, "media": None}], ["media"]),
        ([{**GOOD, "media": [""]}], ["line 1", "media"]),
        ([{**GOOD, "media_type": "gif"}], ["line 1", "media_type", "'gif'", "photo or video"]),
        ([{**GOOD, "media_type": "video", "media": ["a.mp4", "b.mp4"]}], ["exactly one"]),
        ([{**GOOD, "inclusion_prob": 0}], ["line 1", "inclusion_prob", "0.0"]),
        ([{**GOOD, "inclusion_prob": 1.5}], ["inclusion_prob", "1.5"]),
        ([{**GOOD, "item_id": ""}], ["item_id"]),
        ([{"item_id": "a", "media_type": "photo"}], ["media", "missing"]),
        ([{**GOOD, "views": "many"}], ["line 1", "views", "'many'", "a whole number"]),
    ],
)
def test_wrong_rows_are_refused_with_row_field_and_value(
    tmp_path: Path, rows: list[dict[str, object]], words: list[str]
) -> None:
    path = write_lines(tmp_path / "items.jsonl", *rows)
    with pytest.raises(InputError) as error:
        read_items(path)
    for word in [str(path), *words]:
        assert word in str(error.value)


@pytest.mark.parametrize("name", ["missing.parquet", "folder.parquet", "items.csv", "torn.parquet", "torn.jsonl"])
def test_an_unreadable_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.parquet").mkdir()
    for torn in ("items.csv", "torn.parquet", "torn.jsonl"):
        (tmp_path / torn).write_bytes(b"PAR1 {")
    with pytest.raises(InputError, match=name):
        read_items(tmp_path / name)
