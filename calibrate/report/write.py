"""Writes the report of a calibration: the page, and its figures as tables for spreadsheets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from calibrate.draw import Draw
from calibrate.policy_calibration import PolicyCalibration
from calibrate.production.compare import PolicyAgainst
from calibrate.report.examples.choose import ChosenExamples
from calibrate.report.live.numbers import PolicyNumbers
from calibrate.report.page import render_page
from calibrate.report.policy_page import policy_page
from calibrate.report.schema import EvidenceFacts, PageFacts
from calibrate.report.tables.files import write_tables
from calibrate.report.tables.frames import tables_of
from calibrate.report.tables.production import flips_frame, production_frame
from data.files import atomic_file


@dataclass(frozen=True)
class ReportedPolicy:
    """A calibrated policy with all that its page needs.

    Attributes:
        calibration: its bands.
        numbers: at every threshold that the page offers.
        draw: how its golden items came into their set.
        agreement: of its annotators; None with too few votes.
        against: what serves today; None where nothing does, or knows the policy.
        examples: posts to show; None for none.
    """

    calibration: PolicyCalibration
    numbers: PolicyNumbers
    draw: Draw
    agreement: float | None
    against: PolicyAgainst | None = None
    examples: ChosenExamples | None = None


def write_report(
    folder: Path,
    policies: Sequence[ReportedPolicy],
    evidence: EvidenceFacts,
    *,
    points: str,
    review_seconds: float,
    examples: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write index.html and the tables.

    Args:
        folder: to write to.
        policies: in the order of the page.
        evidence: that they share.
        points: SHA-256 of the operating_points.json as `calibrate` wrote it, which choices made on the page carry.
        review_seconds: that one review takes.
        examples: posts of each policy, as `embedded_examples` gives them; None for none.
    """
    pages = [
        policy_page(each.calibration, each.numbers, each.draw, agreement=each.agreement, against=each.against)
        for each in policies
    ]
    facts = PageFacts(
        calibration=points,
        review_seconds=review_seconds,
        evidence=evidence,
        policies=[page.facts for page in pages],
    )
    with atomic_file(folder / "index.html") as file:
        file.write_text(render_page(facts, pages, examples), encoding="utf-8")
    tables = tables_of([each.calibration for each in policies], [each.numbers for each in policies], evidence)
    if evidence.production:
        compared = [(each.calibration, each.against) for each in policies]
        tables = replace(tables, production=production_frame(compared), flips=flips_frame(compared))
    write_tables(folder, tables)
