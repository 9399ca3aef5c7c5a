"""What all policies of a calibration stand on, for the page."""

import polars as pl

from calibrate.corrections import Corrections
from calibrate.gate_file import GateFile
from calibrate.inputs import CalibrationInputs
from calibrate.looks import described_looks
from calibrate.operating_points_file import OperatingPointsFile
from calibrate.report.schema import EvidenceFacts, PrecisionFacts
from calibrate.report.text import shown_text

DATE_LENGTH = len("2026-01-31")


def evidence_facts(
    inputs: CalibrationInputs,
    content: OperatingPointsFile,
    corrections: Corrections,
    reuse: str | None,
    gate: GateFile | None,
) -> EvidenceFacts:
    """Gather the evidence.

    Args:
        inputs: of the calibration.
        content: of operating_points.json.
        corrections: of the precision tests.
        reuse: why earlier looks were not paid for; None if they were.
        gate: what came of further precisions; None without any.
    """
    looks = {policy.policy_id: band.look.number for policy in content.policies for band in policy.bands if band.look}
    golden = inputs.golden_set
    return EvidenceFacts(
        golden_set=content.golden_set.model_copy(
            update={
                "population": shown_text(content.golden_set.population, 400),
                "window": content.golden_set.window and shown_text(content.golden_set.window, 200),
            }
        ),
        scores=content.scores,
        traffic=content.traffic,
        error_budget=content.error_budget,
        pilot_digest=content.pilot_digest,
        created=_span(golden.items, "created_at"),
        annotated=_span(golden.annotations, "annotated_at"),
        looks=described_looks(looks) if looks else "",
        reuse=reuse,
        corrections=list(corrections.sentences()),
        precisions=_precision_facts(gate) if gate else (),
    )


def _precision_facts(gate: GateFile) -> tuple[PrecisionFacts, ...]:
    return tuple(
        PrecisionFacts(name=each.name, flips=each.flips, decisions=gate.decisions(each), passed=each.passed)
        for each in gate.precisions
    )


def _span(frame: pl.DataFrame, column: str) -> tuple[str, str] | None:
    """The earliest and the latest day of ISO dates; None where none is stated."""
    stated = frame[column].drop_nulls() if column in frame.columns else pl.Series(dtype=pl.String)
    if stated.is_empty():
        return None
    first, last = (shown_text(str(end), 100)[:DATE_LENGTH] for end in (stated.min(), stated.max()))
    return first, last
