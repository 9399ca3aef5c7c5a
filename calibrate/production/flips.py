"""Golden items that change sides, to look at: with both scores, label and caption. N golden items."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from calibrate.bounds import FloatArray, IntArray
from calibrate.production.overlap import KINDS, Flags
from calibrate.production.record import FlipRecord
from calibrate.ranks.ranked import Scores
from calibrate.report.live.cuts import Places
from calibrate.report.text import shown_text

CLEAREST = 5  # of each kind of label that stand on the page, gained and lost
MOST_LISTED = 50  # of a band in flips.csv
LONGEST_CAPTION = 140


@dataclass(frozen=True)
class Words:
    """What identifies golden items, and what their authors wrote."""

    item_ids: pl.Series
    captions: pl.Series


def words_of(items: pl.DataFrame) -> Words:
    """Of golden items."""
    return Words(items["item_id"], items["caption"])


@dataclass(frozen=True)
class BothScores:
    """Of one policy, [N]: both models' scores, what production flags, what both scored, places of labels in KINDS."""

    now: Scores
    before: Scores
    flagged: Flags
    scored: Flags
    kinds: NDArray[np.intp]


def clearest(scores: BothScores, words: Words, places: Places, gained: IntArray | FloatArray) -> list[FlipRecord]:
    """Of each kind of label, items that production does not flag, highest first, and that it flags, lowest first.

    Whatever the threshold, those of the first that reach it are gained and those of the second that do not are lost.

    Args:
        scores: of both models.
        words: of the items.
        places: [N], the first cut that each item reaches.
        gained: [3, C], number of items at each cut that production does not flag: it says how deep to look.
    """
    enough = max(int(np.searchsorted(counted, CLEAREST)) for counted in gained)
    top = np.flatnonzero((places <= enough) & scores.scored & ~scores.flagged)
    rows: list[int] = []
    for is_gained, among in ((True, top), (False, np.flatnonzero(scores.flagged))):
        kinds = scores.kinds[among]
        for kind in range(len(KINDS)):
            rows += _first(scores, among[kinds == kind], is_gained, CLEAREST)
    return [_record(scores, words, row) for row in rows]


def flips_at(scores: BothScores, words: Words, threshold: float | None) -> list[FlipRecord]:
    """Items that flip at a threshold (None flags nothing), furthest from it first: gained, then lost."""
    flags = np.zeros(len(scores.now), bool) if threshold is None else scores.now >= np.float32(threshold)
    flips = flags != scores.flagged
    flips &= scores.scored
    among = np.flatnonzero(flips)
    gained = flags[among]
    rows = _first(scores, among[gained], True, MOST_LISTED // 2) + _first(
        scores, among[~gained], False, MOST_LISTED // 2
    )
    return [_record(scores, words, row) for row in rows]


def _first(scores: BothScores, rows: NDArray[np.intp], is_gained: bool, most: int) -> list[int]:
    """The first `most` rows from the highest score down, or from the lowest up."""
    now = -scores.now[rows] if is_gained else scores.now[rows]
    if len(rows) > most:  # sets may be large: only what is taken is sorted
        taken = np.sort(np.argpartition(now, most)[:most])
        rows, now = rows[taken], now[taken]
    return [int(row) for row in rows[np.argsort(now, kind="stable")]]


def _record(scores: BothScores, words: Words, row: int) -> FlipRecord:
    return FlipRecord(
        item_id=shown_text(words.item_ids[row], 200),
        caption=shown_text(words.captions[row] or "", LONGEST_CAPTION),
        label=KINDS[scores.kinds[row]],
        is_gained=not bool(scores.flagged[row]),
        before=float(scores.before[row]),
        now=float(scores.now[row]),
    )
