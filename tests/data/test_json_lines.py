"""JSON Lines: every error names file and line, and the good lines are read all the same."""

import json
from pathlib import Path

import polars as pl
import pytest

from data.annotations import check_annotations
from data.errors import InputError
from data.items import check_items, read_items
from data.tables import read_table

GOOD = {"item_id": "a", "media": ["a.jpg"], "media_type": "photo"}


def write(path: Path, *lines: object) -> Path:
    """A file of lines: texts as they stand, all else as JSON."""
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"item_id": "b", ', "not JSON"),
        (json.dumps(GOOD)[:-1] + ",}", "not JSON"),
        ('{"item_id": "b", "views": NaN}', "no NaN; leave the key out, or write null"),
        ('"b"', "a text; expected one JSON object a line"),
        ("5", "a number; expected one JSON object a line"),
        ("null", "null; expected one JSON object a line"),
        ('{"item_id": ' + "[" * 100_000 + "}", "not JSON"),
        ("[1, 2]", "a list; expected one JSON object a line"),
    ],
)
def test_a_line_that_is_no_object_is_named_and_the_others_are_read(tmp_path: Path, line: str, words: str) -> None:
    path = write(tmp_path / "items.jsonl", GOOD, "", line, {**GOOD, "item_id": "c"})
    with pytest.raises(InputError, match=r"items.jsonl, line 3: ") as error:
        read_table(path)
    assert words in str(error.value)
    found = check_items(path)
    assert found.frame["item_id"].to_list() == ["a", "c"]
    assert list(found.numbers) == [1, 4]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"media": "b.jpg"}, "media = 'b.jpg': expected a list of texts, found a text (item 'b')"),
        ({"media": 5}, "media = 5: expected a list of texts, found a number"),
        ({"views": "many"}, "views = 'many': expected a whole number, found a text"),
        ({"views": True}, "views = True: expected a whole number, found true"),
        ({"views": 2**70}, "views = 1180591620717411303424: expected a whole number"),
        ({"views": 10**400}, f"views = 1{'0' * 39}…{'0' * 40}: expected a whole number, found a number"),
        ({"inclusion_prob": 10**400}, f"inclusion_prob = 1{'0' * 39}…{'0' * 40}: expected a number, found"),
        ({"inclusion_prob": "half"}, "inclusion_prob = 'half': expected a number, found a text"),
        ({"caption": {"en": "fire"}, "views": []}, "caption = {'en': 'fire'}: expected a text, found an object"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_and_hides_nothing(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    lines = [
        {**GOOD, "views": 1},
        "",
        {**GOOD, "item_id": "b", **change},
        {**GOOD, "item_id": "c", "media_type": "gif"},
    ]
    found = check_items(write(tmp_path / "items.jsonl", *lines))
    texts = [str(finding) for finding in found.findings]
    assert any(f"items.jsonl, line 3, {words}" in text for text in texts)
    assert any(
        "items.jsonl, line 4, media_type = 'gif': expected photo or video (item 'c')" in text for text in texts
    )
    places = [(finding.row, finding.field) for finding in found.findings]
    assert len(places) == len(set(places))  # null in its place is not found wrong again
    assert found.with_sound_media()["item_id"].to_list() == (["a"] if "media" in change else ["a", "b"])


def test_blank_lines_move_no_number(tmp_path: Path) -> None:
    path = write(tmp_path / "items.jsonl", "", GOOD, "   ", "", GOOD)
    with pytest.raises(InputError, match="line 5, item_id = 'a': another row"):
        read_items(path)


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_an_empty_file_says_so_and_what_is_expected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"items.jsonl: the file .*expected one JSON object a line with item_id, media,"
    ):
        read_items(path)
    with pytest.raises(InputError, match="expected one JSON object a line with item_id, policy_id"):
        check_annotations(path, None, [])
    (tmp_path / "items.parquet").touch()
    with pytest.raises(InputError, match=r"items.parquet: the file is empty; expected a Parquet table with item_id"):
        read_items(tmp_path / "items.parquet")


def test_a_json_array_is_told_what_json_lines_are(tmp_path: Path) -> None:
    path = write(tmp_path / "items.jsonl", "[", json.dumps(GOOD) + ",", GOOD, "]")
    with pytest.raises(InputError) as error:
        read_items(path)
    assert str(error.value).count("\n") == 0
    assert "line 1: a JSON array begins here" in str(error.value)


def test_bytes_that_are_no_text_are_named_and_a_byte_order_mark_is_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b'\r\n{"item_id": "\xff"}\r\n')
    with pytest.raises(InputError, match=r"items.jsonl, line 2: not UTF-8"):
        read_items(path)
    path.write_bytes(path.read_bytes().partition(b"\n")[0])
    assert read_items(path)["item_id"].to_list() == ["a"]


def test_the_slow_reader_reads_what_polars_reads(tmp_path: Path) -> None:
    rows = [
        {**GOOD, "views": 3, "inclusion_prob": 1, "source": "web", "tags": ["x"], "caption": None, "extra": {"a": 1}},
        {**GOOD, "item_id": 7, "views": "4", "inclusion_prob": 0.5, "market": 5, "tags": None, "created_at": 2026},
    ]
    rows += [{**GOOD, "item_id": "x", "caption": "half a \ud83d, a whole \U0001f600"}]
    fast = read_items(write(tmp_path / "items.jsonl", *rows))
    slow = check_items(write(tmp_path / "items.jsonl", *rows, "{")).frame
    assert slow.select(sorted(slow.columns)).equals(fast.select(sorted(fast.columns)))


def test_annotations_name_their_lines(tmp_path: Path) -> None:
    vote = {
        **{"item_id": "a", "policy_id": "fire", "policy_version": "1.0.0", "annotator_id": "x"},
        **{"source": "human", "value": "violating", "round": "blind"},
    }
    lines = [vote, "{", {**vote, "value": "maybe"}, {**vote, "value": ["violating"]}, {**vote, "item_id": "z"}]
    path = write(tmp_path / "annotations.jsonl", *lines)
    items = pl.DataFrame({"item_id": ["a"]})
    texts = [str(finding) for finding in check_annotations(path, items, [], complete=False)[1]]
    assert [text.partition("annotations.jsonl, ")[2].partition(":")[0] for text in texts] == [
        "line 2",
        "line 4, value = ['violating']",
        "line 3, value = 'maybe'",
        "line 5, item_id = 'z'",
    ]
