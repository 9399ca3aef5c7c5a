"""What a calibration found, and the folder that it is written to."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from calibrate.gate_file import GateFile
from calibrate.inputs import CalibrationInputs, count_sharing_cluster
from calibrate.operating_point import Signature
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
from calibrate.production.record import ProductionRecord
from calibrate.report.evidence_facts import evidence_facts
from calibrate.report.examples.embedded import embedded_examples
from calibrate.report.examples.pictures import Pictures
from calibrate.report.tables.files import write_csv
from calibrate.report.write import ReportedPolicy, write_report
from calibrate.traffic.file import Traffic
from data.files import sha256_of_file
from data.tables import write_parquet

POINTS_FILE = "operating_points.json"


@dataclass(frozen=True)
class Outcome:
    """Every policy calibrated on one file of scores.

    Attributes:
        inputs: what that stands on.
        reported: the policies' calibrations with the numbers of their pages, in their order.
        content: of operating_points.json.
        production: what the policies were compared with; None without.
    """

    inputs: CalibrationInputs
    reported: list[ReportedPolicy]
    content: OperatingPointsFile
    production: ProductionRecord | None = None

    @property
    def calibrations(self) -> list[PolicyCalibration]:
        """Of the policies, in their order."""
        return [each.calibration for each in self.reported]

    def signed(self, signatures: Mapping[tuple[str, int], tuple[Signature, ...]], signed_from: str) -> "Outcome":
        """The same with who vouches for each band, by policy_id and place.

        Args:
            signatures: of bands that have any.
            signed_from: SHA-256 of the operating_points.json as `calibrate` wrote it.
        """
        reported = []
        for each in self.reported:
            policy_id = each.calibration.policy.policy_id
            bands = tuple(
                replace(band, point=replace(band.point, signatures=signatures.get((policy_id, place), ())))
                for place, band in enumerate(each.calibration.bands)
            )
            reported.append(replace(each, calibration=replace(each.calibration, bands=bands)))
        content = self.content.model_copy(
            update={
                "policies": _policy_records([each.calibration for each in reported]),
                "signed_from": signed_from,
            }
        )
        return replace(self, reported=reported, content=content)

    def write(
        self,
        folder: Path,
        settings: Settings,
        *,
        review_seconds: float,
        pictures: Pictures | None = None,
        gate: GateFile | None = None,
    ) -> None:
        """Write operating_points.json, the curves and the page.

        Args:
            folder: to write into.
            settings: how the bands were tested.
            review_seconds: that one review takes.
            pictures: makes those of the example posts; None shows none.
            gate: what came of further precisions, for the page; None without any.
        """
        curves = _curves(self.calibrations)
        evidence = evidence_facts(self.inputs, self.content, settings.corrections, settings.reuse, gate)
        write_operating_points(folder / POINTS_FILE, self.content)
        write_parquet(curves, folder / "curves.parquet")
        write_csv(curves, folder / "curves.csv")
        chosen = {each.calibration.policy.policy_id: each.examples for each in self.reported if each.examples}
        write_report(
            folder / "report",
            self.reported,
            evidence.model_copy(update={"production": self.production}),
            points=self.content.signed_from or sha256_of_file(folder / POINTS_FILE),
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
        policies=_policy_records(calibrations),
    )


def _policy_records(calibrations: list[PolicyCalibration]) -> tuple[PolicyRecord, ...]:
    return tuple(
        PolicyRecord(
            policy_id=calibration.policy.policy_id,
            policy_version=calibration.policy.version,
            calibrator=CalibratorRecord.of(
                calibration.calibrator,
                calibration.reliability.expected_calibration_error if calibration.reliability else None,
            ),
            bands=tuple(BandRecord.of(band.band, band.point, band.slices, band.volume) for band in calibration.bands),
        )
        for calibration in calibrations
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
