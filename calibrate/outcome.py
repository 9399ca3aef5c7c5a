"""What a calibration found, and the folder that it is written to."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from calibrate.inputs import CalibrationInputs, count_sharing_cluster
from calibrate.operating_points_file import (
    BandRecord,
    CalibratorRecord,
    ErrorBudgetRecord,
    GoldenSetRecord,
    OperatingPointsFile,
    PolicyRecord,
    ScoresRecord,
    TrafficRecord,
    write_operating_points,
)
from calibrate.policy_calibration import PolicyCalibration, Settings
from calibrate.report.evidence_facts import evidence_facts
from calibrate.report.examples.embedded import embedded_examples
from calibrate.report.examples.pictures import Pictures
from calibrate.report.tables.files import write_csv
from calibrate.report.write import ReportedPolicy, write_report
from calibrate.traffic.file import Traffic
from data.tables import write_parquet

POINTS_FILE = "operating_points.json"


@dataclass(frozen=True)
class Outcome:
    """Every policy calibrated on one file of scores.

    Attributes:
        inputs: what that stands on.
        reported: the policies' calibrations with the numbers of their pages, in their order.
        content: of operating_points.json.
    """

    inputs: CalibrationInputs
    reported: list[ReportedPolicy]
    content: OperatingPointsFile

    @property
    def calibrations(self) -> list[PolicyCalibration]:
        """Of the policies, in their order."""
        return [each.calibration for each in self.reported]

    def write(
        self, folder: Path, settings: Settings, *, review_seconds: float, pictures: Pictures | None = None
    ) -> None:
        """Write operating_points.json, the curves and the page.

        Args:
            folder: to write into.
            settings: how the bands were tested.
            review_seconds: that one review takes.
            pictures: makes those of the example posts; None shows none.
        """
        curves = _curves(self.calibrations)
        write_operating_points(folder / POINTS_FILE, self.content)
        write_parquet(curves, folder / "curves.parquet")
        write_csv(curves, folder / "curves.csv")
        chosen = {each.calibration.policy.policy_id: each.examples for each in self.reported if each.examples}
        write_report(
            folder / "report",
            self.reported,
            evidence_facts(self.inputs, self.content, settings.corrections, settings.reuse),
            points=folder / POINTS_FILE,
            review_seconds=review_seconds,
            examples=embedded_examples(self.inputs, chosen, pictures),
        )


def outcome_of(
    inputs: CalibrationInputs,
    reported: list[ReportedPolicy],
    error_budget: ErrorBudgetRecord,
    traffic: Traffic | None,
) -> Outcome:
    """The calibrations of these inputs' policies, with the content of operating_points.json."""
    calibrations = [each.calibration for each in reported]
    return Outcome(inputs, reported, _file_content(inputs, calibrations, error_budget, traffic))


def _file_content(
    inputs: CalibrationInputs,
    calibrations: list[PolicyCalibration],
    error_budget: ErrorBudgetRecord,
    traffic: Traffic | None,
) -> OperatingPointsFile:
    record, metadata = inputs.golden_set.record, inputs.scores.metadata
    return OperatingPointsFile(
        golden_set=GoldenSetRecord(
            name=record.name,
            version=record.version,
            digest=record.digest,
            design=record.design,
            population=record.population,
            window=record.window,
            floor=record.floor,
            floor_policy=record.scored_by.policy_id if record.scored_by else None,
            expires_at=record.expires_at.isoformat() if record.expires_at else None,
            n_items=len(inputs.golden_set.items),
            n_sharing_cluster=count_sharing_cluster(inputs.golden_set.items),
        ),
        scores=ScoresRecord(
            digest=inputs.scores.digest(),
            scale=metadata.scale,
            model_digest=metadata.model_digest,
            runtime=metadata.runtime,
        ),
        pilot_digest=inputs.validation_scores.digest() if inputs.validation_scores else None,
        error_budget=error_budget,
        traffic=(
            TrafficRecord(
                digest=traffic.digest(), **traffic.metadata.model_dump(include=set(TrafficRecord.model_fields))
            )
            if traffic
            else None
        ),
        policies=tuple(
            PolicyRecord(
                policy_id=calibration.policy.policy_id,
                policy_version=calibration.policy.version,
                calibrator=CalibratorRecord.of(
                    calibration.calibrator,
                    calibration.reliability.expected_calibration_error if calibration.reliability else None,
                ),
                bands=tuple(
                    BandRecord.of(band.band, band.point, band.slices, band.volume) for band in calibration.bands
                ),
            )
            for calibration in calibrations
        ),
    )


def _curves(calibrations: list[PolicyCalibration]) -> pl.DataFrame:
    return pl.concat(
        band.curve.select(
            pl.lit(calibration.policy.policy_id).alias("policy_id"),
            pl.lit(band.band.action).alias("action"),
            pl.lit(band.band.queue, dtype=pl.String).alias("queue"),
            pl.all(),
        )
        for calibration in calibrations
        for band in calibration.bands
    )
