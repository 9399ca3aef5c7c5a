"""The calibration report: one HTML page for a policy lead, complete in itself."""

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from calibrate.bands import BandPart
from calibrate.looks import described_looks
from calibrate.operating_points_file import ErrorBudgetRecord, GoldenSetRecord, ScoresRecord, TrafficRecord
from calibrate.policy_calibration import BandCalibration, PolicyCalibration
from calibrate.report import figures, verdict

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class BandView:
    """What the page shows of a band."""

    anchor: str
    calibration: BandCalibration
    verdict: str
    claim: str
    figure: figures.PrecisionRecallFigure | None
    part: BandPart


@dataclass(frozen=True)
class PolicyView:
    """What the page shows of a policy."""

    calibration: PolicyCalibration
    bands: tuple[BandView, ...]
    cautions: list[str]
    dots: tuple[figures.ReliabilityDot, ...]


def render_report(
    policies: list[PolicyCalibration],
    golden_set: GoldenSetRecord,
    scores: ScoresRecord,
    *,
    has_pilot: bool,
    error_budget: ErrorBudgetRecord | None = None,
    traffic: TrafficRecord | None = None,
) -> str:
    """Render the page: no external resource, no script, every value escaped, the same input the same bytes.

    Args:
        policies: in the order of the page.
        golden_set: what the claims were certified on.
        scores: whose scores.
        has_pilot: whether a validation split planned the tests.
        error_budget: how the bands share what may go wrong; None for each by itself.
        traffic: what the volumes were counted on; None without.
    """
    views = [_policy_view(number, calibration) for number, calibration in enumerate(policies)]
    points = [band.point for calibration in policies for band in calibration.bands]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=lambda share: _unbroken(verdict.percent(share)),
        threshold=verdict.shown_threshold,
        about=verdict.about,
        recall_seen=verdict.recall_seen,
        shift=verdict.described_shift,
        unbroken=_unbroken,
        volume=verdict.shown_volume,
    )
    return environment.get_template("report.html.j2").render(
        policies=views,
        golden_set=golden_set,
        scores=scores,
        has_pilot=has_pilot,
        looks=described_looks(
            {
                calibration.policy.policy_id: band.point.look.number
                for calibration in policies
                for band in calibration.bands
                if band.point.look
            }
        ),
        reuse=next((point.look.reuse for point in points if point.look), None),
        traffic=traffic,
        n_claims=error_budget.n_claims if error_budget and error_budget.mode == "all" else 1,
        n_bands=sum(point.kind != "capacity" for point in points),
        n_certified=sum(point.status == "certified" and point.kind != "capacity" for point in points),
        n_fits=sum(point.status == "certified" and point.kind == "capacity" for point in points),
        shared_risk=min(1.0, sum(1 - point.confidence for point in points if point.confidence is not None)),
        plot=figures,
    )


def _policy_view(number: int, calibration: PolicyCalibration) -> PolicyView:
    return PolicyView(
        calibration=calibration,
        bands=tuple(
            BandView(
                anchor=f"band-{number}-{place}",
                calibration=band,
                verdict=verdict.verdict(band.title, band.point),
                claim=verdict.claim(band.point),
                figure=figures.precision_recall_figure(band.curve, band.point),
                part=part,
            )
            for place, (band, part) in enumerate(zip(calibration.bands, calibration.parts, strict=True))
        ),
        cautions=verdict.out_of_order(calibration.parts),
        dots=figures.reliability_dots(calibration.reliability) if calibration.reliability else (),
    )


def _unbroken(sentence: str) -> str:
    """The sentence with its percent signs kept on the line of their number."""
    return sentence.replace(" %", "\u00a0%")
