"""Every slice at every cut: its labels, what tests say of it, its traffic. S slices, C cuts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from calibrate.bounds import FloatArray, IntArray
from calibrate.policy_calibration import BandCalibration
from calibrate.ranks.ranked import Scores
from calibrate.report.live.cuts import Places
from calibrate.slice_tests import SliceTest
from calibrate.slices import STATUSES, rows_by_value
from calibrate.traffic.file import Slice
from data.policy import Policy

SHOWN_COLUMNS = ("market", "language", "media_type")  # whether or not a policy declares them
MOST_VALUES = 100  # of a column that no policy declares: more of them are no slices to read
UNTESTED = len(STATUSES)


@dataclass(frozen=True)
class SliceColumn:
    """A column of the golden items: its values in order, and each item's place among them, -1 for none. N items."""

    by: str
    values: tuple[str, ...]
    places: NDArray[np.int32]


@dataclass(frozen=True)
class SliceCounts:
    """Labels of each slice at each cut.

    Attributes:
        keys: column and value of each.
        n_labelled: [S], in all.
        labelled: [S, C], known labels.
        positive: [S, C], those that violate.
        known, right: [S, C], their weights; None where none weighs more than another.
        statuses: of the bands with slice tests, by the place of the band: uint8 [S, C], places in STATUSES, and
            UNTESTED for slices that the policy does not declare.
    """

    keys: tuple[Slice, ...]
    n_labelled: IntArray
    labelled: IntArray
    positive: IntArray
    known: FloatArray | None
    right: FloatArray | None
    statuses: Mapping[int, NDArray[np.uint8]]


def slice_columns(items: pl.DataFrame, declared: Sequence[str]) -> dict[str, SliceColumn]:
    """The columns that policies declare, and market, language and media type, where the items have them."""
    columns = {}
    for by in dict.fromkeys([*declared, *SHOWN_COLUMNS]):
        if by not in items.columns or items[by].null_count() == len(items):
            continue
        rows = rows_by_value(items[by])
        places = np.full(len(items), -1, np.int32)
        for place, inside in enumerate(rows.values()):
            places[inside] = place
        columns[by] = SliceColumn(by, tuple(rows), places)
    return columns


def columns_of(policy: Policy, columns: Mapping[str, SliceColumn]) -> list[SliceColumn]:
    """Those that a policy declares, in its order, then the others, but for one with countless values."""
    declared = [rule.by for rule in policy.slices]
    others = [by for by in SHOWN_COLUMNS if by not in declared and by in columns]
    return [columns[by] for by in declared if by in columns] + [
        columns[by] for by in others if len(columns[by].values) <= MOST_VALUES
    ]


def slice_counts(
    columns: Sequence[SliceColumn],
    places: Places,
    labels: Scores,
    bands: Sequence[BandCalibration],
    n_cuts: int,
    *,
    weights: FloatArray | None,
    further: Sequence[Slice] = (),
) -> SliceCounts:
    """Count and test the slices of one policy.

    Args:
        columns: to slice by.
        places: [N], cut that each item reaches first.
        labels: [N], 1, 0 or NaN.
        bands: of the policy.
        n_cuts: C.
        weights: [N]; None for equal ones.
        further: declared slices that the traffic knows; those without a golden item are appended.
    """
    known, right = ~np.isnan(labels), labels == 1
    keys = [(column.by, value) for column in columns for value in column.values]
    keys += [key for key in further if key not in set(keys)]

    def table(chosen: NDArray[np.bool_], by: FloatArray | None) -> FloatArray:
        """[S, C + 1]: what falls between two cuts, slice by slice."""
        counted = np.zeros((len(keys), n_cuts + 1))
        row = 0
        for column in columns:
            n = len(column.values)
            inside = chosen & (column.places >= 0)
            cells = column.places[inside].astype(np.int64) * (n_cuts + 1) + places[inside]
            found = np.bincount(cells, None if by is None else by[inside], n * (n_cuts + 1))
            counted[row : row + n] = found.reshape(n, n_cuts + 1)
            row += n
        return counted

    def reaching(counted: FloatArray) -> FloatArray:
        return np.cumsum(counted[:, :n_cuts], axis=1)

    whole = table(known, None)
    labelled, positive = reaching(whole).astype(np.int64), reaching(table(right, None)).astype(np.int64)
    return SliceCounts(
        keys=tuple(keys),
        n_labelled=whole.sum(axis=1).astype(np.int64),
        labelled=labelled,
        positive=positive,
        known=None if weights is None else reaching(table(known, weights)),
        right=None if weights is None else reaching(table(right, weights)),
        statuses={
            place: _statuses(band.slice_tests, keys, labelled, positive)
            for place, band in enumerate(bands)
            if band.slice_tests
        },
    )


def _statuses(
    tests: Sequence[Sequence[SliceTest]], keys: Sequence[Slice], labelled: IntArray, positive: IntArray
) -> NDArray[np.uint8]:
    """What every target that is left open says alike; insufficient where they differ, or no golden item is."""
    row_of = {key: row for row, key in enumerate(keys)}
    tested = {test.by for test in tests[0]}
    found = np.full(labelled.shape, UNTESTED, np.uint8)
    found[[row for (by, _), row in row_of.items() if by in tested]] = STATUSES.index("insufficient")
    for alternatives in zip(*tests, strict=True):
        row = row_of[alternatives[0].by, alternatives[0].value]
        each = np.stack([test.statuses(labelled[row], positive[row]) for test in alternatives])
        agreed = (each == each[0]).all(axis=0)
        found[row] = np.where(agreed, each[0], STATUSES.index("insufficient"))
    return found
