"""The verb `calibrate`: scores and a golden set in, operating points, curves and a report out."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from calibrate.corrections import Corrections, Unresolved
from calibrate.draw import check_drawn_alike
from calibrate.evidence import Evidence, evidence_of
from calibrate.gate_file import GATE_FILE, PRECISIONS
from calibrate.inputs import CalibrationInputs, check_unexpired, read_inputs, with_auditor
from calibrate.ledger import look_numbers
from calibrate.operating_points_file import ErrorBudgetRecord
from calibrate.outcome import POINTS_FILE, Outcome, outcome_of
from calibrate.policy_calibration import PolicyCalibration, Settings, calibrate_policy
from calibrate.precisions import Limits, check_precision, compare_precisions
from calibrate.recent import with_recent
from calibrate.report.examples.choose import ChosenExamples, anchors_of, choose_examples, most_of_policy
from calibrate.report.examples.pictures import Pictures
from calibrate.report.live.numbers import PolicyNumbers, policy_numbers
from calibrate.report.live.slices import slice_columns
from calibrate.report.summary import summary_of
from calibrate.report.write import ReportedPolicy
from calibrate.slices import rows_by_value
from calibrate.traffic.file import Traffic
from calibrate.traffic.policies import open_matching_traffic, with_traffic
from data.errors import InputError
from data.files import TEMPORARY_PREFIX, atomic_folder, write_json
from data.labels import agreements_of
from data.policy import Identifier
from data.summary import Summary


def calibrate(
    *,
    scores: Path,
    golden: Path,
    policies: Path,
    out: Path,
    validation: Path | None = None,
    validation_scores: Path | None = None,
    error_budget: Literal["each", "all"] = "each",
    slices: Literal["off", "test", "own"] = "test",
    label_false_positive_rate: float = 0.0,
    label_false_negative_rate: float = 0.0,
    prior_odds_ratio: float = 1.0,
    unresolved: Unresolved = "left_out",
    recent: Path | None = None,
    auditor: Literal["off", "llm"] = "off",
    reuse: str | None = None,
    traffic: Path | None = None,
    review_seconds: float = 60.0,
    today: date | None = None,
    precisions: dict[Identifier, Path] | None = None,
    most_flips: Annotated[float, Field(ge=0, le=1)] = 0.005,
    margin: Annotated[float, Field(ge=0)] = 0.1,
    examples: Annotated[int, Field(ge=0, le=12)] = 6,
    thumbnails: bool = True,
) -> Summary:
    """Choose a threshold for every band of every policy, certified on a golden set.

    Args:
        scores: scores.parquet of the model and runtime that will serve; holds every golden item.
        golden: folder of a frozen golden set.
        policies: folder of policy files.
        out: folder to write: operating_points.json, curves.parquet, curves.csv, and report/ with index.html, tables
            as CSV and report.xlsx. Replaced whole.
        validation: folder with items.parquet and annotations.parquet of other items; plans where the tests begin
            and fits the probabilities. No guarantee rests on it.
        validation_scores: scores of the validation items, if `scores` does not hold them.
        error_budget: `each` band has 1 - confidence for itself; `all` share it, so that all hold together.
        slices: `test` the policy's slices at each certified precision threshold, give them their `own`, or `off`.
        label_false_positive_rate: at most this share of posts that do not violate is labelled violating.
        label_false_negative_rate: at least this share of violating posts is labelled not violating.
        prior_odds_ratio: odds of violating in the traffic to come over those in the golden set, at least.
        unresolved: golden items without a known label are `left_out` of precision tests, or count as `not_violating`.
        recent: folder of a recent simple random sample with labels (a golden set, or items and annotations), from
            which `prior_odds_ratio` is estimated; a tenth of 1 - confidence goes to its error.
        auditor: `llm` tests with what models said of the golden items, too (annotations with source llm): valid
            however bad they are, if the items that people labelled are a random subset.
        reuse: why earlier looks at this golden set need not be paid for, in your words, which the result repeats;
            None pays: the k-th look at a policy's labels is tested at (1 - confidence) * 6 / (pi^2 k^2).
        traffic: traffic.parquet of the same model and runtime: sets the bands by capacity and says how many posts a
            day each band takes.
        review_seconds: that one review takes: with it the page says how many hours a day a queue needs.
        today: a golden set that expired before this date certifies nothing; None is the current date.
        precisions: scores of the model in other precisions, by name. Each is certified on its own, as part of the
            same look, into `out/precisions/NAME`, and held against `scores`: see `calibrate.precisions`.
        most_flips: share of the golden decisions that may flip; a precision that flips more is refused.
        margin: flips are counted apart where the score by `scores` lies further than this from a threshold.
        examples: golden posts that the page shows on either side of a threshold, and of the worst errors of each
            kind; 0 leaves posts out.
        thumbnails: whether small pictures of them are in the page; never for a policy with `preview: none`.

    Returns:
        A table: policy, band, status, threshold, precision, lower bound, recall.

    Raises:
        InputError: a file is wrong, or the files do not belong together.
    """
    _check_replaceable(Path(out))
    if not 0 < review_seconds <= 3600:
        raise InputError(f"review_seconds = {review_seconds!r}: expected more than 0 seconds and at most 3600")
    inputs = read_inputs(
        scores=scores, golden=golden, policies=policies, validation=validation, validation_scores=validation_scores
    )
    lower = {}
    for name, file in (precisions or {}).items():
        lower[name] = read_inputs(
            scores=file, golden=golden, policies=policies, validation=validation, validation_scores=None
        )
        check_precision(name, file, lower[name], inputs)
    check_unexpired(inputs.golden_set, today or date.today())
    counted = open_matching_traffic(traffic, inputs) if traffic else None
    settings = _settings(
        inputs,
        error_budget=error_budget,
        slices=slices,
        corrections=_corrections(label_false_positive_rate, label_false_negative_rate, prior_odds_ratio, unresolved),
        reuse=reuse,
        n_precisions=1 + len(lower),
    )
    if recent is not None or auditor != "off":
        check_drawn_alike(inputs.golden_set, "recent=" if recent is not None else f"auditor={auditor}")
    if recent is not None and auditor != "off":
        raise InputError(
            "recent: not together with auditor; its proof is for the labels alone. Give one or the other"
        )
    if recent is not None:
        inputs = with_recent(inputs, recent, settings.corrections)
        lower = {name: with_recent(each, recent, settings.corrections) for name, each in lower.items()}
    if auditor == "llm":
        inputs = with_auditor(inputs, unresolved)
        lower = {name: with_auditor(each, unresolved) for name, each in lower.items()}
    _check_writable(Path(out))
    looks = look_numbers(inputs, settings, lower)
    budget = ErrorBudgetRecord(mode=error_budget, n_claims=settings.n_claims)
    outcome = _certified(inputs, settings, looks, budget, counted, examples)
    outcomes = {name: _certified(each, settings, looks, budget, None, examples) for name, each in lower.items()}
    gate = compare_precisions(outcome, outcomes, Limits(most_flips, margin)) if outcomes else None
    pictures = Pictures() if thumbnails else None
    with atomic_folder(out) as folder:
        outcome.write(folder, settings, review_seconds=review_seconds, pictures=pictures)
        for name, each in outcomes.items():
            each.write(folder / PRECISIONS / name, settings, review_seconds=review_seconds, pictures=pictures)
        if gate:
            write_json(folder / GATE_FILE, gate.model_dump(mode="json", by_alias=True))
    written = [Path(out) / "report" / "index.html", Path(out) / POINTS_FILE]
    summary = summary_of(outcome.content, outcome.calibrations, written=written)
    return replace(summary, lines=[*summary.lines, *(gate.lines() if gate else [])])


def _certified(
    inputs: CalibrationInputs,
    settings: Settings,
    looks: Mapping[str, int],
    budget: ErrorBudgetRecord,
    traffic: Traffic | None,
    examples: int,
) -> Outcome:
    """The complete procedure on one file of scores, with the numbers of each policy's page.

    One policy at a time, as sets may be large.
    """
    declared = list(dict.fromkeys(rule.by for policy in inputs.policies for rule in policy.slices))
    items = inputs.golden_set.items
    rows = {by: rows_by_value(items[by]) for by in declared} if settings.slices != "off" else {}
    columns = slice_columns(items, declared)
    agreements = agreements_of(inputs.golden_set.annotations, inputs.policies)
    scale, found = inputs.scores.metadata.scale, []
    for policy in inputs.policies:
        evidence = evidence_of(inputs, policy.policy_id, slices=rows, look=looks.get(policy.policy_id))
        calibration = calibrate_policy(policy, evidence, scale=scale, settings=settings)
        counted = (traffic.of(policy.policy_id), traffic.metadata) if traffic else None
        if counted:
            calibration = with_traffic(calibration, evidence.scores, evidence.labels, evidence.draw, *counted)
        numbers = policy_numbers(calibration, evidence, scale=scale, columns=columns, traffic=counted)
        posts = _examples(calibration, evidence, numbers, examples, len(inputs.policies)) if examples else None
        found.append(ReportedPolicy(calibration, numbers, evidence.draw, agreements[policy.policy_id], posts))
    return outcome_of(inputs, found, budget, traffic)


def _examples(
    calibration: PolicyCalibration, evidence: Evidence, numbers: PolicyNumbers, number: int, n_policies: int
) -> ChosenExamples:
    return choose_examples(
        evidence.scores,
        evidence.labels,
        anchors_of(calibration, numbers.cuts),
        number=number,
        most=most_of_policy(n_policies, number),
        n_full=len(calibration.bands),
    )


def _check_replaceable(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / POINTS_FILE).is_file()):
        raise InputError(f"{out}: exists and is no earlier calibration; name a new folder as out=")


def _check_writable(out: Path) -> None:
    """Find out, before a look is spent, whether results can be written at all; OSError if not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=out.parent)).rmdir()


def _corrections(
    false_positive_rate: float, false_negative_rate: float, prior_odds_ratio: float, unresolved: Unresolved
) -> Corrections:
    try:
        return Corrections(false_positive_rate, false_negative_rate, prior_odds_ratio, unresolved)
    except ValueError as error:
        raise InputError(f"calibrate: label_{error}" if str(error).startswith("false_") else str(error)) from error


def _settings(
    inputs: CalibrationInputs,
    *,
    error_budget: Literal["each", "all"],
    slices: Literal["off", "test", "own"],
    corrections: Corrections,
    reuse: str | None,
    n_precisions: int,
) -> Settings:
    """How bands are tested. The claims of `all` are, in each precision, bands by precision or recall, and each band's
    slices together.
    """
    missing = [
        (policy.policy_id, rule.by)
        for policy in inputs.policies
        for rule in policy.slices
        if rule.by not in inputs.golden_set.items.columns
    ]
    if missing and slices != "off":
        policy_id, column = missing[0]
        raise InputError(
            f"{inputs.golden_set.folder / 'items.parquet'}: no column {column!r}, by which {policy_id} is sliced; "
            "freeze a golden set that has it, or give slices=off"
        )
    n_claims = sum(
        1 + (band.kind == "precision" and bool(policy.slices) and slices != "off")
        for policy in inputs.policies
        for band in policy.bands
        if band.kind != "capacity"
    )
    return Settings(
        n_claims=max(1, n_claims * n_precisions) if error_budget == "all" else 1,
        corrections=corrections,
        slices=slices,
        reuse=reuse,
    )
