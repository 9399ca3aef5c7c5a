"""Items: the posts. One row a post, with its media, texts and origin."""

import os
from pathlib import Path

import polars as pl

from data.errors import Finding, InputError
from data.tables import read_table, rows_where, with_columns_as, write_parquet

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


def read_items(path: str | Path) -> pl.DataFrame:
    """Read and check an items file.

    Args:
        path: `.parquet` or `.jsonl`; paths in `media` are relative to this file, absolute, or fsspec URLs.

    Returns:
        One row an item, all columns of ITEM_SCHEMA (null where absent) and any further ones; `media` holds
        paths that open from the current folder.

    Raises:
        InputError: naming file, row, field, value and what was expected.
    """
    items, findings = check_items(path)
    if findings:
        raise InputError(findings)
    return items


def check_items(path: str | Path) -> tuple[pl.DataFrame, list[Finding]]:
    """Like `read_items`, but returns all findings instead of raising on the first."""
    return check_item_rows(read_table(path), path)


def check_item_rows(frame: pl.DataFrame, path: str | Path) -> tuple[pl.DataFrame, list[Finding]]:
    """Like `check_items`, of rows that were read from `path` already; findings count rows of the frame."""
    if frame.schema.get("created_at") not in (None, pl.String):
        frame = frame.with_columns(pl.col("created_at").cast(pl.String))
    frame, findings = with_columns_as(frame, ITEM_SCHEMA, REQUIRED, path)
    if findings:
        return frame, findings
    if frame.is_empty():
        return frame, [Finding(path, "no rows; expected at least one item")]
    findings += rows_where(
        frame, pl.col("item_id").is_null() | (pl.col("item_id") == ""), path, "item_id", "an item needs an id"
    )
    findings += rows_where(
        frame,
        pl.col("item_id").is_duplicated() & ~pl.col("item_id").is_first_distinct(),
        path,
        "item_id",
        "another row has this item_id",
    )
    findings += rows_where(
        frame,
        ~pl.col("media_type").is_in(["photo", "video"]).fill_null(False),
        path,
        "media_type",
        "expected photo or video",
    )
    empty = pl.col("media").list.len().fill_null(0) == 0
    blank = pl.col("media").list.eval(pl.element().is_null() | (pl.element() == "")).list.any().fill_null(False)
    findings += rows_where(
        frame, empty | blank, path, "media", "expected the path of one video, or of one or more photos"
    )
    findings += rows_where(
        frame,
        (pl.col("media_type") == "video") & (pl.col("media").list.len() > 1),
        path,
        "media",
        "a video item has exactly one media file",
    )
    findings += rows_where(
        frame,
        (~((pl.col("inclusion_prob") > 0) & (pl.col("inclusion_prob") <= 1))).fill_null(False),
        path,
        "inclusion_prob",
        "expected a probability above 0 and at most 1",
    )
    return _resolve_media(frame, Path(path).parent), findings


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
