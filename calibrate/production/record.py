"""What the page holds of the comparison with production. Kinds of label: violating, not violating, unknown."""

from typing import Literal

from calibrate.operating_points_file import DailyVolumeRecord
from data.policy import Strict

Three = tuple[float, float, float]
Label = Literal["violating", "other", "unknown"]


class FlipRecord(Strict):
    """A golden item on which the two models may differ.

    Attributes:
        is_gained: production does not flag it; else production does.
        before: production's score.
        now: this model's.
    """

    item_id: str
    caption: str
    label: Label
    is_gained: bool
    before: float
    now: float


class ShiftRecord(Strict):
    """A share, and the ends of its difference to production's; see `calibrate.production.changes.Shift`."""

    now: float | None
    ends: tuple[float, float] | None


class CandidateBand(Strict):
    """A further model's band against production's, on the golden items that both scored.

    Attributes:
        name: of the candidate.
        version: of the policy that its thresholds are for; None where it has no such band.
        threshold: on its own scores; None where it is off.
        gained, lost: items that it flags and production does not, and the other way round.
        better, worse: items with a known label on which only the candidate is right, or only production.
        p_value: McNemar's; None where it is not computed.
    """

    name: str
    version: str | None
    threshold: float | None
    gained: int
    lost: int
    better: int
    worse: int
    p_value: float | None
    volume: ShiftRecord
    precision: ShiftRecord
    recall: ShiftRecord


class BandComparison(Strict):
    """A band against production's.

    Attributes:
        title: of production's band.
        threshold: of production, on its own scores; None where it is off.
        before: items that production flags, by kind of label.
        before_weights: theirs; None where all weigh the same.
        daily_volume: posts a day that production's calibration counted in the band's own part; None without.
        gained, lost: items at the calibrated threshold.
        flips: items that production decides otherwise at some thresholds, the clearest of each kind first: at any
            threshold those that now score at least that are gained, and those that score less are lost.
        candidates: further models, in the order given.
    """

    title: str
    threshold: float | None
    before: Three
    before_weights: Three | None
    daily_volume: DailyVolumeRecord | None
    gained: int
    lost: int
    flips: list[FlipRecord]
    candidates: list[CandidateBand]


class PolicyComparison(Strict):
    """A policy against production.

    Attributes:
        version: of the policy that production's thresholds are for.
        all: items that both models scored, by kind of label.
        all_weights: theirs; None where all weigh the same.
        bands: by the place of the band; None where production has no such band.
        others: titles of production's bands that no band of the policy stands against.
    """

    version: str
    all: Three
    all_weights: Three | None
    bands: list[BandComparison | None]
    others: list[str]


class CandidateRecord(Strict):
    """Which further model: name, digests, and golden items without a score of its."""

    name: str
    model_digest: str | None
    scores_digest: str
    n_missing: int


class ProductionRecord(Strict):
    """Which model serves.

    Attributes:
        golden_set: that its thresholds were certified on.
        n_missing: golden items without a score of its.
        first_missing: one of them.
        candidates: models shown beside it.
    """

    model_digest: str | None
    runtime: str | None
    scores_digest: str
    golden_set: str
    n_missing: int
    first_missing: str | None
    candidates: list[CandidateRecord]
