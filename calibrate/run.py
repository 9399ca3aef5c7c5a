"""The verb `calibrate`: scores and a golden set in, operating points, curves and a report out."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from calibrate.certification import Certification
from calibrate.corrections import Corrections, Unresolved
from calibrate.draw import check_drawn_alike
from calibrate.evidence import evidence_of
from calibrate.inputs import CalibrationInputs, check_unexpired, read_inputs, with_auditor
from calibrate.ledger import look_numbers
from calibrate.operating_points_file import ErrorBudgetRecord
from calibrate.outcome import POINTS_FILE, Outcome, outcome_of
from calibrate.policy_calibration import Settings, calibrate_policy
from calibrate.precisions import Limits, check_precision, compare_precisions
from calibrate.production.compare import policy_against
from calibrate.production.files import Production, ProductionFiles, read_production
from calibrate.production.flips import words_of
from calibrate.production.summary import production_lines
from calibrate.recent import with_recent
from calibrate.report.live.numbers import policy_numbers
from calibrate.report.live.slices import slice_columns
from calibrate.report.summary import summary_of
from calibrate.report.write import ReportedPolicy
from calibrate.signing.again import Again, Moves
from calibrate.signing.made_from import write_made_from
from calibrate.signing.moved import described, moved
from calibrate.slices import rows_by_value
from calibrate.traffic.file import Traffic
from calibrate.traffic.policies import open_matching_traffic, with_traffic
from data.errors import InputError
from data.files import TEMPORARY_PREFIX, atomic_folder
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
    production: ProductionFiles | None = None,
    candidates: dict[Identifier, ProductionFiles] | None = None,
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
        production: scores of the golden items by the model that serves, and the calibration (or release) that it
            serves by: the page says what would change. A description, no certificate: it spends no look.
        candidates: further models with thresholds of their own, by name, shown beside against production.

    Returns:
        A table: policy, band, status, threshold, precision, lower bound, recall.

    Raises:
        InputError: a file is wrong, or the files do not belong together.
    """
    arguments = {name: value for name, value in locals().items() if name not in ("out", "today")}
    _check_replaceable(Path(out))
    found = certify(**arguments, today=today or date.today(), out=Path(out))
    with atomic_folder(out) as folder:
        found.write(folder)
        write_made_from(folder, arguments, out=Path(out))
    written = [Path(out) / "report" / "index.html", Path(out) / POINTS_FILE]
    summary = summary_of(found.outcome.content, found.outcome.calibrations, written=written)
    compared = production_lines(found.production, found.outcome.reported) if found.production else []
    return replace(summary, lines=[*summary.lines, *compared, *(found.gate.lines() if found.gate else [])])


def certify(
    *,
    scores: Path,
    golden: Path,
    policies: Path,
    validation: Path | None,
    validation_scores: Path | None,
    error_budget: Literal["each", "all"],
    slices: Literal["off", "test", "own"],
    label_false_positive_rate: float,
    label_false_negative_rate: float,
    prior_odds_ratio: float,
    unresolved: Unresolved,
    recent: Path | None,
    auditor: Literal["off", "llm"],
    reuse: str | None,
    traffic: Path | None,
    review_seconds: float,
    precisions: dict[Identifier, Path] | None,
    most_flips: float,
    margin: float,
    production: ProductionFiles | None,
    candidates: dict[Identifier, ProductionFiles] | None,
    today: date,
    out: Path | None = None,
    again: Again | None = None,
) -> Certification:
    """What `calibrate` finds, with nothing written but its look.

    Args:
        out: folder that will be written, of which a look is taken only if it can be; None writes none.
        again: a calibration to make again, for which no look is taken; its moves are described, not certified.
        **arguments: the others are those of `calibrate`.

    Raises:
        InputError: a file is wrong, or the files do not belong together.
    """
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
    serving = read_production(production, inputs) if production else None
    if candidates and not serving:
        raise InputError("candidates: given without production, which they are held against; give production= too")
    beside = {
        name: read_production(files, inputs, key=f"candidates.{name}") for name, files in (candidates or {}).items()
    }
    if again is not None:
        again.check_inputs(inputs, counted)
    if out is not None:
        _check_writable(out)
    looks = look_numbers(inputs, settings, lower, only_known=again is not None)
    budget = ErrorBudgetRecord(mode=error_budget, n_claims=settings.n_claims)
    outcome = _certified(inputs, settings, looks, budget, counted, again.moves if again else {}, serving, beside)
    outcomes = {name: _certified(each, settings, looks, budget, None) for name, each in lower.items()}
    gate = compare_precisions(outcome, outcomes, Limits(most_flips, margin)) if outcomes else None
    return Certification(outcome, outcomes, gate, settings, review_seconds, serving)


def _certified(
    inputs: CalibrationInputs,
    settings: Settings,
    looks: Mapping[str, int],
    budget: ErrorBudgetRecord,
    traffic: Traffic | None,
    moves: Moves | None = None,
    production: Production | None = None,
    candidates: Mapping[str, Production] = MappingProxyType({}),
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
    words = words_of(items)  # columns, no copy
    for policy in inputs.policies:
        evidence = evidence_of(inputs, policy.policy_id, slices=rows, look=looks.get(policy.policy_id))
        calibration = calibrate_policy(policy, evidence, scale=scale, settings=settings)
        counted = (traffic.of(policy.policy_id), traffic.metadata) if traffic else None
        if counted:
            calibration = with_traffic(calibration, evidence.scores, evidence.labels, evidence.draw, *counted)
        calibration = moved(calibration, evidence, settings, moves or {}, counted)
        numbers = policy_numbers(calibration, evidence, scale=scale, columns=columns, traffic=counted)
        calibration = described(calibration, evidence, moves or {}, numbers)
        against = None
        if production:
            against = policy_against(production, calibration, evidence, numbers.cuts, words, candidates)
        found.append(ReportedPolicy(calibration, numbers, evidence.draw, agreements[policy.policy_id], against))
    outcome = outcome_of(inputs, found, budget, traffic)
    return replace(outcome, production=production.record(candidates) if production else None)


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
