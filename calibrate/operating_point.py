"""The answer to "which threshold": certified with its evidence, or not attainable with what is missing."""

from dataclasses import dataclass, replace
from typing import Literal

from calibrate.bounds import interval
from calibrate.ranks.ranked import RankedLabels

Status = Literal["certified", "fits", "not_attainable", "waived", "switched_off"]
Kind = Literal["precision", "recall", "capacity"]
How = Literal["scan", "walk", "bets", "auditor", "order", "recall_bets", "capacity"]


@dataclass(frozen=True)
class Look:
    """Which use of a golden set's labels a point comes from, and what it cost; see `calibrate.ledger`.

    Attributes:
        number: 1 for the first look at this policy's labels.
        spent: delta that the test was given.
        reuse: why nothing was taken off for earlier looks, in someone's words; None if it was.
    """

    number: int
    spent: float
    reuse: str | None = None


@dataclass(frozen=True)
class Signature:
    """Somebody's word for a threshold; see `calibrate.signing`.

    Attributes:
        by: who signed.
        at: UTC time.
        rationale: why, in their words.
        waiver: why they take it without a promise; None where it has one.
        line: SHA-256 of its line in the record.
    """

    by: str
    at: str
    rationale: str
    waiver: str | None
    line: str


@dataclass(frozen=True)
class PriorShift:
    """What a recent sample says about the odds of violating; see `calibrate.prior_shift`.

    Attributes:
        estimate: odds in the recent sample over those in the golden set; None if nothing violates there, or
            everything here.
        lower: end of an exact interval.
        upper: the other end; None for infinity.
        n_recent: recent items with a known label.
        n_recent_positive: those of them that violate.
    """

    estimate: float | None
    lower: float
    upper: float | None
    n_recent: int
    n_recent_positive: int


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold together with the claim that it carries.

    What is guaranteed, under `assumptions`: the chance that the procedure returns status `certified` while the
    true precision (kind `precision`) or recall (kind `recall`) at `threshold` is below `target` is at most
    1 - `confidence`. That claim is about `target` and survives that the threshold was chosen on these very labels.

    What is not: `precision`, `precision_lower_bound`, `recall` and `recall_interval` describe the chosen
    threshold as if it had been fixed beforehand (pointwise). The walk stops where luck ends, so a bound above
    `target` is no certificate of its own excess; read it as a description and quote `target`.

    Attributes:
        status: `certified` or `not_attainable`; once signed also `waived` (a threshold without a promise, as somebody
            wanted it) or `switched_off`.
        kind: what `target` is about.
        target: target precision or recall in (0, 1); posts a day for kind `capacity`.
        confidence: 1 - delta; None for kind `capacity`, which is no statistical claim.
        threshold: flagged when score >= threshold, both in float32; exactly representable in float32. None
            unless certified or waived.
        precision: share of violating posts among the flagged known labels; None if nothing is flagged.
        precision_lower_bound: one-sided Clopper-Pearson bound of it at the level of the walk that chose it
            (delta, or delta shared by the walks); pointwise.
        recall: share of the known violating posts that are flagged; None if nothing is flagged.
        recall_interval: two-sided Clopper-Pearson interval of it at `confidence`, or by betting; pointwise.
        recall_above: recall is the share of the violating posts that score at least this, the floor that the labels
            were drawn above; None if it is of all of them.
        n_flagged: items passed with score >= threshold, unknown labels included.
        n_flagged_labelled: those of them with a known label.
        n_labelled: items with a known label.
        n_unknown: items without; left out of every estimate.
        n_positive: items known to violate.
        certified_range: (strictest, loosest) thresholds that are certified along with this one: any threshold
            between them may be used instead, at no cost in confidence.
        labels_needed: known labels, drawn from the same population, with which the target is estimated to be
            certified in four cases of five; None if certified or if nothing supports an estimate. It is an
            estimate, not a promise: see `calibrate.ranks.labels_needed`.
        tested_target: the share of violating labels that was tested for instead of `target`, because of corrections;
            None without. Precision and its bound describe labels as they are: compare them with this.
        look: the use of the golden set that it comes from; None where no ledger is kept.
        prior_shift: how traffic changed since, where a recent sample estimated it.
        signatures: who vouches for the threshold.
        method: how the threshold was found, in a phrase.
        assumptions: sentences; the guarantee is as good as they are.
        reason: why the answer is what it is, as a sentence.
        how: the kind of `method`, for the page to explain; no part of operating_points.json. None where nothing was
            tested.
    """

    status: Status
    kind: Kind
    target: float
    confidence: float | None
    reason: str
    method: str
    assumptions: tuple[str, ...] = ()
    n_labelled: int = 0
    n_unknown: int = 0
    n_positive: int = 0
    threshold: float | None = None
    precision: float | None = None
    precision_lower_bound: float | None = None
    recall: float | None = None
    recall_interval: tuple[float, float] | None = None
    n_flagged: int = 0
    n_flagged_labelled: int = 0
    certified_range: tuple[float, float] | None = None
    labels_needed: int | None = None
    tested_target: float | None = None
    recall_above: float | None = None
    look: Look | None = None
    prior_shift: PriorShift | None = None
    signatures: tuple[Signature, ...] = ()
    how: How | None = None

    @property
    def target_precision(self) -> float | None:
        """`target` where it is a precision."""
        return self.target if self.kind == "precision" else None

    @property
    def target_recall(self) -> float | None:
        """`target` where it is a recall."""
        return self.target if self.kind == "recall" else None


def checked_share(name: str, value: float) -> float:
    """A number strictly between 0 and 1; ValueError with the argument's name otherwise."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a number strictly between 0 and 1, got {value!r}") from error
    if not 0 < number < 1 or 1 - number == 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {value!r}")
    return number


def unanswered(
    ranked: RankedLabels,
    *,
    kind: Kind,
    target: float,
    confidence: float,
    method: str,
    how: How | None,
    assumptions: tuple[str, ...],
) -> OperatingPoint:
    """A point that claims nothing yet: the question, and how many labels there were to answer it."""
    return OperatingPoint(
        status="not_attainable",
        kind=kind,
        target=target,
        confidence=confidence,
        reason="",
        method=method,
        how=how,
        assumptions=assumptions,
        n_labelled=ranked.n_labelled,
        n_unknown=ranked.n_unknown,
        n_positive=ranked.n_positive,
    )


def described_at(ranked: RankedLabels, step: int, point: OperatingPoint) -> OperatingPoint:
    """`point` with the threshold, counts and pointwise estimates of a step of the ranked labels."""
    threshold = ranked.threshold(step)
    flagged = int(ranked.n_flagged[step])
    right = flagged - int(ranked.false_positives[step])
    positive = ranked.n_positive
    assert point.confidence is not None
    return replace(
        point,
        threshold=threshold,
        precision=right / flagged,
        recall=right / positive if positive else None,
        recall_interval=interval(right, positive, confidence=point.confidence) if positive else None,
        n_flagged=int((ranked.all_scores >= threshold).sum()),
        n_flagged_labelled=flagged,
    )
