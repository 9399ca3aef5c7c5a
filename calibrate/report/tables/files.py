"""CSV and XLSX files that no spreadsheet takes for programs.

A text that begins like a formula is run as one by spreadsheets that open a CSV file, so such texts begin with an
apostrophe there. An XLSX file says of every cell what it is, so texts stay as they are.
"""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import xlsxwriter

from calibrate.report.tables.frames import Tables
from data.files import atomic_file

FORMULA_STARTS = "^[=+\\-@\t\r]"
MOST_ROWS = 10_000  # of thresholds in the XLSX file: a thinned list; the CSV file holds all of them
UNCHANGING = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # one calibration, one file


def write_tables(folder: Path, tables: Tables) -> None:
    """Write bands.csv, slices.csv, thresholds.csv, evidence.csv, report.xlsx, and what else there is."""
    for name, frame in tables.named().items():
        write_csv(frame, folder / f"{name}.csv")
    with atomic_file(folder / "report.xlsx") as file:
        _write_xlsx(tables, file)


def write_csv(frame: pl.DataFrame, path: Path) -> None:
    """Write a table; texts that a spreadsheet would run get an apostrophe in front."""
    text = pl.col(pl.String)
    guarded = frame.with_columns(
        pl.when(text.str.contains(FORMULA_STARTS)).then(pl.lit("'") + text).otherwise(text).name.keep()
    )
    with atomic_file(path) as file:
        guarded.write_csv(file)


def _write_xlsx(tables: Tables, file: Path) -> None:
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(file), options) as book:
        book.set_properties({"title": "Setpoint calibration", "created": UNCHANGING})
        head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        share = book.add_format({"num_format": "0.0%"})
        for name, frame in tables.named().items():
            if name == "thresholds":
                thinned = frame.gather_every(max(1, -(-len(frame) // MOST_ROWS)))
                _write_sheet(book.add_worksheet(name), thinned, head, share)
            else:
                _write_sheet(book.add_worksheet(name), frame, head, share)


def _write_sheet(
    sheet: xlsxwriter.worksheet.Worksheet,
    frame: pl.DataFrame,
    head: xlsxwriter.format.Format,
    share: xlsxwriter.format.Format,
) -> None:
    sheet.freeze_panes(1, 0)
    formats = [share if _is_share(name) else None for name in frame.columns]
    for column, name in enumerate(frame.columns):
        sheet.set_column(column, column, 28 if frame[name].dtype == pl.String else 14)
    for column, name in enumerate(frame.columns):
        sheet.write_string(0, column, name.replace("_", " "), head)
    for row, values in enumerate(frame.iter_rows(), start=1):
        for column, value in enumerate(values):
            if isinstance(value, str):
                sheet.write_string(row, column, value)
            elif value is not None:
                sheet.write_number(row, column, value, formats[column])


def _is_share(name: str) -> bool:
    return (name.startswith(("precision", "recall")) and name != "recall_above") or name in ("target", "confidence")
