"""Items: the posts. One row a post, with its media, texts and origin."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.errors import Finding, InputError
from data.tables import RowCheck, read_rows, with_columns_as, write_parquet

ITEM_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_id": pl.String,
    "media": pl.List(pl.String),
    "media_type": pl.String,
    "caption": pl.String,
    "ocr_text": pl.String,
    "asr_text": pl.String,
    "market": pl.String,
    "language": pl.String,
    "creator_id": pl.String,
    "cluster_id": pl.String,
    "created_at": pl.String,
    "views": pl.Int64,
    "stratum": pl.String,
    "inclusion_prob": pl.Float64,
}
REQUIRED = ["item_id", "media", "media_type"]


@dataclass(frozen=True)
class CheckedItems:
    """Items as far as they can be read, and all that is wrong with their file.

    Attributes:
        frame: as `read_items` returns it; what is wrong may be null in it, and whole lines absent.
        findings: in the order of the rules.
        numbers: what a person calls each row: its place in the file, or its line, from 1.
    """

    frame: pl.DataFrame
    findings: list[Finding]
    numbers: Sequence[int]

    @property
    def all_named(self) -> bool:
        """Whether every item has a readable item_id; else what speaks of other items may speak of these."""
        lines_lost = any(finding.field is None for finding in self.findings)
        return not lines_lost and not self.frame["item_id"].is_null().any()

    def with_sound_media(self) -> pl.DataFrame:
        """The items whose `media` and `media_type` are as they should be, with their number in column `__number`."""
        found = [finding for finding in self.findings if finding.field in ("media", "media_type")]
        wrong = [finding.row for finding in found if finding.row is not None]
        numbered = self.frame.with_columns(__number=pl.Series(self.numbers, dtype=pl.Int64))
        return numbered.clear() if len(wrong) < len(found) else numbered.filter(~pl.col("__number").is_in(wrong))


def read_items(path: str | Path) -> pl.DataFrame:
    """Read and check an items file.

    Args:
        path: `.parquet` or `.jsonl`; paths in `media` are relative to this file, absolute, or fsspec URLs.

    Returns:
        One row an item, all columns of ITEM_SCHEMA (null where absent) and any further ones; `media` holds
        paths that open from the current folder.

    Raises:
        InputError: naming file, row or line, field, value and what was expected.
    """
    items = check_items(path)
    if items.findings:
        raise InputError(items.findings)
    return items.frame


def check_items(path: str | Path) -> CheckedItems:
    """Like `read_items`, but returns all findings, and the items as far as they can be read.

    Raises:
        InputError: the file cannot be read at all.
    """
    rows = read_rows(path, ITEM_SCHEMA, REQUIRED)
    items, findings = check_item_rows(rows.frame, path, rows.wrong_values)
    return CheckedItems(items, rows.all_findings(findings), rows.numbers())


def check_item_rows(
    frame: pl.DataFrame, path: str | Path, wrong_values: list[Finding] | None = None
) -> tuple[pl.DataFrame, list[Finding]]:
    """Like `check_items`, of rows that were read from `path` already; findings count rows of the frame.

    Args:
        frame: the rows.
        path: of their file.
        wrong_values: what was found wrong with them already; null in the frame.
    """
    frame, findings = with_columns_as(frame, ITEM_SCHEMA, REQUIRED, path)
    check = RowCheck(frame, path, [*(wrong_values or []), *findings])
    if frame.is_empty():
        return frame, [*check.findings, Finding(path, "no rows; expected at least one item")]
    check.where(pl.col("item_id").is_null() | (pl.col("item_id") == ""), "item_id", "an item needs an id")
    check.where(
        pl.col("item_id").is_duplicated() & ~pl.col("item_id").is_first_distinct(),
        "item_id",
        "another row has this item_id",
    )
    known_type = pl.col("media_type").is_in(["photo", "video"]).fill_null(False)
    check.where(~known_type, "media_type", "expected photo or video")
    empty = pl.col("media").list.len().fill_null(0) == 0
    blank = pl.col("media").list.eval(pl.element().is_null() | (pl.element() == "")).list.any().fill_null(False)
    check.where(empty | blank, "media", "expected the path of one video, or of one or more photos")
    several = (pl.col("media_type") == "video") & (pl.col("media").list.len() > 1)
    check.where(several, "media", "a video item has exactly one media file")
    probability = (pl.col("inclusion_prob") > 0) & (pl.col("inclusion_prob") <= 1)
    check.where((~probability).fill_null(False), "inclusion_prob", "expected a probability above 0 and at most 1")
    return _resolve_media(frame, Path(path).parent), check.findings


def write_items(items: pl.DataFrame, path: str | Path) -> None:
    """Write items so that their media open from the new place: local paths become relative to the new file."""
    # Real folders, because a relative path through a linked folder would climb out of the wrong parent.
    folder = os.path.realpath(Path(path).parent)
    unique = items["media"].explode().drop_nulls().unique()
    moved = {
        name: name
        if "://" in name
        else os.path.relpath(Path(os.path.realpath(Path(name).parent), Path(name).name), folder)
        for name in unique
    }
    write_parquet(_replace_media(items, moved), path)


def _resolve_media(items: pl.DataFrame, folder: Path) -> pl.DataFrame:
    unique = items["media"].explode().drop_nulls().unique()
    beside = f"{folder}{os.sep}"  # text: a Path for each of a million names takes ten seconds
    resolved = {
        name: name if "://" in name or name.startswith(os.sep) else os.path.normpath(beside + name) for name in unique
    }
    return _replace_media(items, resolved)


def _replace_media(items: pl.DataFrame, new_names: dict[str, str]) -> pl.DataFrame:
    if not new_names:
        return items
    return items.with_columns(
        pl.col("media").list.eval(pl.element().replace_strict(new_names, default=None, return_dtype=pl.String))
    )
