"""Reading tables from Parquet or JSON Lines, and checking their columns, types and values row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from data.errors import Finding, InputError
from data.files import atomic_file, existing_file
from data.json_lines import lines_with_content, read_json_lines, type_in_words

DataType = pl.DataType | type[pl.DataType]


@dataclass(frozen=True)
class Rows:
    """The rows of a table as far as they can be read, and what is wrong with the others.

    Attributes:
        file: the table.
        frame: its rows.
        wrong_values: values of the wrong type, which are null in `frame`; their rows are those of `frame`, from 1.
        unread: what has no row in `frame`: lines of a JSON Lines file.
        lines: where `frame` leaves lines out, the line of each row.
    """

    file: Path
    frame: pl.DataFrame
    wrong_values: list[Finding] = field(default_factory=list)
    unread: list[Finding] = field(default_factory=list)
    lines: list[int] | None = None

    def numbers(self) -> Sequence[int]:
        """What a person calls each row: its line in a JSON Lines file, else its place, from 1."""
        if self.lines is not None:
            return self.lines
        if self.file.suffix == ".jsonl":
            return lines_with_content(self.file)
        return range(1, len(self.frame) + 1)

    def all_findings(self, findings: list[Finding]) -> list[Finding]:
        """What is wrong in the file.

        Args:
            findings: those of `frame`, by its rows, from 1.
        """
        if any(finding.row is not None for finding in findings):
            numbers = self.numbers()
            findings = [
                finding if finding.row is None else replace(finding, row=numbers[finding.row - 1])
                for finding in findings
            ]
        return [*self.unread, *findings]


def read_table(path: str | Path) -> pl.DataFrame:
    """Read a `.parquet` or `.jsonl` file.

    Raises:
        InputError: the file is missing, has another ending, or cannot be read; of a `.jsonl`, every line that cannot.
    """
    rows = read_rows(path, {}, [])
    if rows.unread:
        raise InputError(rows.unread)
    return rows.frame


def read_rows(path: str | Path, schema: Mapping[str, DataType], required: list[str]) -> Rows:
    """Read a `.parquet` or `.jsonl` file, leaving out lines that cannot be read.

    Args:
        path: the file.
        schema: types of its columns, as far as they are known.
        required: columns that it must have, for messages.

    Raises:
        InputError: the file is missing, has another ending, is empty, or nothing of it can be read.
    """
    path = existing_file(path)
    if path.suffix not in (".parquet", ".jsonl"):
        raise InputError([Finding(path, "expected a .parquet or .jsonl file")])
    if path.stat().st_size == 0:
        raise InputError([Finding(path, f"the file is empty; expected {_expected(path, required)}")])
    try:
        if path.suffix == ".parquet":
            return Rows(path, pl.read_parquet(path, glob=False))
        frame = pl.read_ndjson(path, infer_schema_length=None)
        if not any(name in frame.columns and not _casts(frame, name, dtype) for name, dtype in schema.items()):
            return Rows(path, frame)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        if path.suffix == ".parquet":
            reason = str(error).splitlines()[0]
            raise InputError([Finding(path, f"cannot be read as parquet ({reason})")]) from error
    found = read_json_lines(path, schema)
    if not found.lines:
        blank = Finding(path, f"the file holds blank lines only; expected {_expected(path, required)}")
        raise InputError(found.wrong_lines or [blank])
    return Rows(path, found.frame, found.wrong_values, found.wrong_lines, found.lines)


def write_parquet(frame: pl.DataFrame, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a frame as Parquet, atomically; the same frame gives the same bytes."""
    with atomic_file(path) as temporary:
        frame.write_parquet(temporary, compression="zstd", metadata=dict(metadata) if metadata else None)


def with_columns_as(
    frame: pl.DataFrame, schema: Mapping[str, DataType], required: list[str], file: str | Path
) -> tuple[pl.DataFrame, list[Finding]]:
    """Cast the columns of `schema`, add absent optional ones as null, keep further columns.

    Returns:
        The frame, and a finding for each absent required column, column of another type, and value that does not fit
        its column's type; these are null in the frame.
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
        expected = f"expected {type_in_words(dtype)}"
        try:
            typed = frame[name].cast(dtype, strict=False)
        except pl.exceptions.PolarsError:
            findings.append(Finding(file, f"{expected} in each row, found {frame.schema[name]}", None, name))
            frame = frame.with_columns(pl.lit(None, dtype=dtype).alias(name))
            continue
        lost = typed.is_null() & frame[name].is_not_null()
        findings += rows_where(frame, pl.lit(lost), file, name, expected) if lost.any() else []
        frame = frame.with_columns(typed)
    return frame, findings


@dataclass
class RowCheck:
    """Gathers what is wrong with the rows of a frame; a field found wrong in a row is not found wrong there again.

    Attributes:
        frame: the rows.
        file: where they come from.
        findings: what was found so far, by rows of the frame from 1; a field wrong in all of them has no row.
    """

    frame: pl.DataFrame
    file: str | Path
    findings: list[Finding]

    def where(self, wrong: pl.Expr, name: str, problem: str) -> None:
        """Find the field wrong in the rows where `wrong` is true."""
        known = {finding.row for finding in self.findings if finding.field == name}
        if None not in known:
            found = rows_where(self.frame, wrong, self.file, name, problem)
            self.findings += [finding for finding in found if finding.row not in known]


def rows_where(frame: pl.DataFrame, wrong: pl.Expr, file: str | Path, field: str, problem: str) -> list[Finding]:
    """A finding for each row where `wrong` is true."""
    item = pl.col("item_id").cast(pl.String) if "item_id" in frame.columns else pl.lit(None, pl.String)
    rows = frame.with_row_index("__row").filter(wrong).select("__row", __value=pl.col(field), __item=item)
    return [
        Finding(file, problem, row + 1, field, value, item_id=item_id if field != "item_id" else None)
        for row, value, item_id in rows.iter_rows()
    ]


def _casts(frame: pl.DataFrame, name: str, dtype: DataType) -> bool:
    """Whether all values of a column fit a type."""
    try:
        frame[name].cast(dtype)
    except pl.exceptions.PolarsError:
        return False
    return True


def _expected(path: Path, required: list[str]) -> str:
    columns = f" with {', '.join(required)}" if required else ""
    return f"one JSON object a line{columns}" if path.suffix == ".jsonl" else f"a Parquet table{columns}"
