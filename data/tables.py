"""Reading tables from Parquet or JSON Lines, and checking their columns, types and values row by row."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from data.errors import Finding, InputError
from data.files import atomic_file, existing_file

FINDINGS_PER_RULE = 5


def read_table(path: str | Path) -> pl.DataFrame:
    """Read a `.parquet` or `.jsonl` file.

    Raises:
        InputError: the file is missing, has another ending, or cannot be read.
    """
    path = existing_file(path)
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False)
        if path.suffix == ".jsonl":
            return pl.read_ndjson(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read as {path.suffix[1:]} ({reason})") from error
    raise InputError(f"{path}: expected a .parquet or .jsonl file")


def write_parquet(frame: pl.DataFrame, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a frame as Parquet, atomically; the same frame gives the same bytes."""
    with atomic_file(path) as temporary:
        frame.write_parquet(temporary, compression="zstd", metadata=dict(metadata) if metadata else None)


def with_columns_as(
    frame: pl.DataFrame, schema: Mapping[str, pl.DataType | type[pl.DataType]], required: list[str], file: str | Path
) -> tuple[pl.DataFrame, list[Finding]]:
    """Cast the columns of `schema`, add absent optional ones as null, keep further columns.

    Returns:
        The frame and a finding for each absent required column or column of another type.
    """
    findings = [
        Finding(file, f"this column is missing; found {', '.join(frame.columns) or 'none'}", None, name)
        for name in required
        if name not in frame.columns
    ]
    for name, dtype in schema.items():
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype=dtype).alias(name))
            continue
        try:
            frame = frame.with_columns(pl.col(name).cast(dtype, strict=True))
        except pl.exceptions.PolarsError:
            found = frame.schema[name]
            findings.append(Finding(file, f"expected type {_type_name(dtype)}, found {found}", None, name))
            frame = frame.with_columns(pl.lit(None, dtype=dtype).alias(name))
    return frame, findings


def rows_where(frame: pl.DataFrame, wrong: pl.Expr, file: str | Path, field: str, problem: str) -> list[Finding]:
    """A finding for each of the first rows where `wrong` is true; the last says how many more there are."""
    rows = frame.with_row_index("__row").filter(wrong).select("__row", field)
    findings = []
    for index, (row, value) in enumerate(rows.head(FINDINGS_PER_RULE).iter_rows()):
        more = len(rows) - FINDINGS_PER_RULE
        text = f"{problem} (and {more} more rows)" if index == FINDINGS_PER_RULE - 1 and more > 0 else problem
        findings.append(Finding(file, text, row + 1, field, value))
    return findings


def _type_name(dtype: pl.DataType | type[pl.DataType]) -> str:
    return str(dtype() if isinstance(dtype, type) else dtype).lower()
