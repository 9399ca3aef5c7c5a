"""Tables for spreadsheets: the same figures, and no text that runs."""

import polars as pl
import pytest
from openpyxl import load_workbook
from page_calibration import FORMULA, HOSTILE, PageCalibration

from calibrate.operating_points_file import load_operating_points
from calibrate.report.tables.files import write_csv

STARTS = "=+-@\t\r"


def test_a_band_stands_with_its_figures_in_csv_and_xlsx(made: PageCalibration) -> None:
    points = load_operating_points(made.out)
    bands = pl.read_csv(made.out / "report" / "bands.csv")
    sheet = load_workbook(made.out / "report" / "report.xlsx")["bands"]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    heads = [head.replace(" ", "_") for head in rows[0]]
    assert heads == bands.columns
    records = [(policy.policy_id, band) for policy in points.policies for band in policy.bands]
    assert len(bands) == len(rows) - 1 == len(records)
    for (policy_id, record), from_csv, cells in zip(records, bands.iter_rows(named=True), rows[1:], strict=True):
        from_xlsx = dict(zip(heads, cells, strict=True))
        for found in (from_csv, from_xlsx):
            assert (found["policy_id"], found["status"]) == (policy_id, record.status)
            expected = (record.threshold, record.precision, record.daily_volume and record.daily_volume.expected)
            figures = (found["threshold"], found["precision"], found["posts_a_day"])
            assert figures == (expected if None in expected else pytest.approx(expected, rel=1e-15))


def test_thresholds_hold_all_that_the_page_offers(made: PageCalibration) -> None:
    frame = pl.read_csv(made.out / "report" / "thresholds.csv")
    fire = frame.filter(pl.col("policy_id") == "fire")
    points = load_operating_points(made.out).policies[0]
    assert fire["confidence"].n_unique() == 3  # of three bands
    assert {band.threshold for band in points.bands} <= set(fire["threshold"])
    one = fire.filter(pl.col("confidence") == fire["confidence"][0])
    assert one["flagged_labels"].is_sorted()
    assert (one["violating_labels"] / one["flagged_labels"]).to_list()[5] == one["precision"][5]


def test_no_text_is_run_by_a_spreadsheet(made: PageCalibration) -> None:
    report = made.out / "report"
    for path in [*report.glob("*.csv"), made.out / "curves.csv"]:
        frame = pl.read_csv(path, infer_schema=False)
        numbers = pl.all().cast(pl.Float64, strict=False).is_null()
        texts = frame.select(pl.when(numbers).then(pl.all()).name.keep())
        for column in texts:
            assert not [text for text in column.drop_nulls() if text and text[0] in STARTS], (path, column.name)
    book = load_workbook(report / "report.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f" or cell.hyperlink]
    texts = {cell.value for cell in cells if cell.data_type == "s"}
    assert {FORMULA, HOSTILE} <= texts  # kept as they are where a cell says that it is text
    assert max(len(text) for text in texts) <= 4000
    assert sum(cell.data_type == "n" and cell.value is not None for cell in cells) > 10_000


def test_only_texts_are_guarded(tmp_path) -> None:
    write_csv(pl.DataFrame({"a": ["=1", "-x", "fine", None, "a=b"], "b": [-1.5, 2, 3, 4, 5]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "a,b\n'=1,-1.5\n'-x,2.0\nfine,3.0\n,4.0\na=b,5.0\n"
