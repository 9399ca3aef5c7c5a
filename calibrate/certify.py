"""What `calibrate` does before it writes: inputs that belong together, a look at the labels, every policy tested."""

import tempfile
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

from calibrate.certification import Certification
from calibrate.corrections import Corrections, Unresolved
from calibrate.draw import check_drawn_alike
from calibrate.inputs import CalibrationInputs, check_unexpired, read_inputs, with_auditor
from calibrate.ledger import look_numbers
from calibrate.operating_points_file import ErrorBudgetRecord
from calibrate.policy_calibration import Settings
from calibrate.precisions import Limits, PrecisionFiles, compare_precisions, read_precisions
from calibrate.procedure import Procedure
from calibrate.production.files import ProductionFiles, read_production
from calibrate.recent import with_recent
from calibrate.report.examples.pictures import Pictures
from calibrate.signing.again import Again
from calibrate.traffic.policies import open_matching_traffic
from data.errors import InputError
from data.files import TEMPORARY_PREFIX
from data.policy import Identifier


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
    precisions: dict[Identifier, PrecisionFiles] | None,
    most_flips: float,
    margin: float,
    production: ProductionFiles | None,
    candidates: dict[Identifier, ProductionFiles] | None,
    examples: int,
    thumbnails: bool,
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
    read = partial(read_inputs, golden=golden, policies=policies, validation=validation)
    inputs = read(scores=scores, validation_scores=validation_scores)
    lower, lower_traffic = read_precisions(precisions or {}, inputs, partial(read, validation_scores=None))
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
    procedure = Procedure(settings, looks, budget, examples)
    outcome = procedure.certified(
        inputs, traffic=counted, moves=again.moves if again else {}, production=serving, candidates=beside
    )
    outcomes = {
        name: procedure.certified(each, traffic=lower_traffic.get(name), follows=outcome)
        for name, each in lower.items()
    }
    gate = compare_precisions(outcome, outcomes, Limits(most_flips, margin)) if outcomes else None
    return Certification(
        outcome, outcomes, gate, settings, review_seconds, serving, Pictures() if thumbnails else None
    )


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
