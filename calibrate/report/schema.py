"""What the page holds: the records that templates/js reads. Numbers at every cut stand beside them, packed.

C cuts: the thresholds that the page offers, from the strictest down. S slices of a policy.
"""

from typing import Literal

from calibrate.operating_point import How
from calibrate.operating_points_file import (
    BandRecord,
    CalibratorRecord,
    DailyVolumeRecord,
    ErrorBudgetRecord,
    GoldenSetRecord,
    ScoresRecord,
    TrafficRecord,
)
from calibrate.production.record import PolicyComparison, ProductionRecord
from data.policy import Rule, Strict


class SliceStatusRecord(Strict):
    """What a band's certificate says of a slice, beside its status at every cut.

    Attributes:
        target: precision asked of it.
        more_labels: estimate of the labels that it lacks at the band's own threshold; None where it lacks none.
        threshold: its own certified one, where one was asked for.
    """

    target: float
    more_labels: int | None
    threshold: float | None


class SliceFacts(Strict):
    """One slice: column, value, known labels, and what bands with slice tests say; by the place of the band."""

    by: str
    value: str
    n_labelled: int
    tests: dict[int, SliceStatusRecord]


class BandFacts(Strict):
    """A band: its record without slices, how it was found, its place among the packed bounds, posts a day.

    `signatures_missing` says how many names it lacks, once anybody has signed; `slices_below`, how many tested slices
    miss their target at its certified threshold.
    """

    record: BandRecord
    signatures_missing: int
    how: How | None
    title: str
    bounds: int
    has_ribbon: bool
    daily_volume: DailyVolumeRecord | None
    slices_below: int


class HistogramFacts(Strict):
    """See `calibrate.report.live.histogram.ScoreHistogram`."""

    start: float
    width: float
    violating: list[int]
    other: list[int]
    unknown: list[int]
    traffic: list[int] | None


class TrafficFacts(Strict):
    """Traffic of one policy: days times share scored, posts counted, and columns whose values were counted apart."""

    exposure: float
    total: int
    sliced_by: list[str]


class ReliabilityBin(Strict):
    """A bin of predicted probabilities: mean prediction, share that violates, items."""

    predicted: float
    share: float
    count: int


class PolicyFacts(Strict):
    """One policy.

    Attributes:
        no_evidence: why the golden set says nothing about it; None if it does.
        floor: lowest score that the golden set was drawn from; None for all traffic.
        is_weighted: whether golden items count for more than one another, or were drawn in clusters.
        n_labelled, n_positive, n_unknown: golden items.
        agreement: Krippendorff's alpha of the blind votes; None with too few of them.
        columns: how the packed numbers are laid out, see `calibrate.report.packing`.
        production: what serves today; None where nothing does, or knows the policy.
    """

    policy_id: str
    version: str
    name: str
    owner: str
    definition: str
    violates: list[Rule]
    allows: list[Rule]
    preview: Literal["show", "blur", "none"]
    no_evidence: str | None
    floor: float | None
    is_weighted: bool
    n_labelled: int
    n_positive: int
    n_unknown: int
    agreement: float | None
    calibrator: CalibratorRecord
    reliability: list[ReliabilityBin]
    bands: list[BandFacts]
    slices: list[SliceFacts]
    histogram: HistogramFacts
    traffic: TrafficFacts | None
    columns: list[tuple[str, str, list[int], bool]]
    production: PolicyComparison | None = None


class PrecisionFacts(Strict):
    """What came of a further precision of the model.

    Attributes:
        flips: decisions on golden items that are others than the page's, of `decisions`.
        passed: whether a release may hold it; why not stands in precisions.json.
    """

    name: str
    flips: int
    decisions: int
    passed: bool


class EvidenceFacts(Strict):
    """What all policies rest on.

    Attributes:
        created, annotated: earliest and latest date of the golden items and of their labels; None if not stated.
        looks: which use of the labels, in words.
        pilot_digest: of the validation scores that planned the tests; None if none did.
        reuse: why earlier uses were not paid for, in somebody's words; None if they were.
        corrections: sentences.
        precisions: of the model, certified beside this one.
        production: the model that the page compares with; None without.
    """

    golden_set: GoldenSetRecord
    scores: ScoresRecord
    traffic: TrafficRecord | None
    error_budget: ErrorBudgetRecord
    pilot_digest: str | None
    created: tuple[str, str] | None
    annotated: tuple[str, str] | None
    looks: str
    reuse: str | None
    corrections: list[str]
    precisions: tuple[PrecisionFacts, ...]
    production: ProductionRecord | None = None


class PageFacts(Strict):
    """Everything on the page but the packed numbers.

    Attributes:
        calibration: SHA-256 of the operating_points.json that the page belongs to; a choice made on it carries that.
        review_seconds: that one review takes, as a start.
    """

    format: Literal["setpoint/page/v1"] = "setpoint/page/v1"
    calibration: str
    review_seconds: float
    evidence: EvidenceFacts
    policies: list[PolicyFacts]
