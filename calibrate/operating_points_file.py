"""operating_points.json: what was certified, on which evidence, in the form that sealing and serving read."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from calibrate.operating_point import Kind, OperatingPoint
from calibrate.probability import Calibrator
from calibrate.slices import SliceResult, SliceStatus
from calibrate.traffic.volume import DailyVolume
from data.errors import InputError
from data.files import read_json, write_json
from data.policy import Band, Strict, findings_of


class SliceRecord(Strict):
    """One slice at its band's threshold; see `calibrate.slices.SliceResult` for the fields."""

    by: str
    value: str
    status: SliceStatus
    target: float
    n_labelled: int
    n_flagged_labelled: int
    precision: float | None
    more_labels: int | None
    threshold: float | None


class ErrorBudgetRecord(Strict):
    """How 1 - confidence is spent: by each claim (`each`), or shared equally by `n_claims` of them (`all`).

    The bands by precision or recall are claims, and so are all slices of a band together.
    """

    mode: Literal["each", "all"]
    n_claims: int


class LookRecord(Strict):
    """Which use of the golden set; see `calibrate.operating_point.Look` for the fields."""

    number: int
    spent: float
    reuse: str | None


class SignatureRecord(Strict):
    """Who vouches for a threshold; see `calibrate.operating_point.Signature` for the fields."""

    by: str
    at: str
    rationale: str
    waiver: str | None
    line: str


class PriorShiftRecord(Strict):
    """How traffic changed; see `calibrate.operating_point.PriorShift` for the fields."""

    estimate: float | None
    lower: float
    upper: float | None
    n_recent: int
    n_recent_positive: int


class SliceVolumeRecord(Strict):
    """Posts a day of one slice; see `calibrate.traffic.volume.SliceVolume`."""

    by: str
    value: str
    expected: float
    low: float
    high: float


class DailyVolumeRecord(Strict):
    """Posts a day in a band's own part of the score axis; see `calibrate.traffic.volume.DailyVolume`."""

    expected: float
    low: float
    high: float
    slices: tuple[SliceVolumeRecord, ...] = ()


class TrafficRecord(Strict):
    """Which traffic the volumes come from; see `calibrate.traffic.file.TrafficMetadata`."""

    digest: str
    days: float
    sampled_share: float
    n_posts: int


class BandRecord(Strict):
    """One band with its operating point; see `calibrate.operating_point.OperatingPoint` for the fields."""

    action: str
    queue: str | None
    status: Literal["certified", "fits", "not_attainable", "expired", "waived", "switched_off"]
    kind: Kind
    target: float
    confidence: float | None
    reason: str
    method: str
    assumptions: tuple[str, ...]
    n_labelled: int
    n_unknown: int
    n_positive: int
    threshold: float | None
    precision: float | None
    precision_lower_bound: float | None
    recall: float | None
    recall_interval: tuple[float, float] | None
    n_flagged: int
    n_flagged_labelled: int
    certified_range: tuple[float, float] | None
    labels_needed: int | None
    tested_target: float | None = None
    recall_above: float | None = None
    look: LookRecord | None = None
    prior_shift: PriorShiftRecord | None = None
    slices: tuple[SliceRecord, ...] = ()
    daily_volume: DailyVolumeRecord | None = None
    signatures: tuple[SignatureRecord, ...] = ()

    @classmethod
    def of(
        cls,
        band: Band,
        point: OperatingPoint,
        slices: tuple[SliceResult, ...] = (),
        volume: DailyVolume | None = None,
    ) -> "BandRecord":
        """The record of a policy's band."""
        facts = dataclasses.asdict(point)
        del facts["how"]
        return cls(
            action=band.action,
            queue=band.queue,
            slices=tuple(SliceRecord(**dataclasses.asdict(part)) for part in slices),
            daily_volume=DailyVolumeRecord(**dataclasses.asdict(volume)) if volume else None,
            **facts,
        )

    @model_validator(mode="after")
    def _threshold_only_if_certified(self) -> "BandRecord":
        if (self.threshold is not None) != (self.status in ("certified", "fits", "waived")):
            raise ValueError(f"a threshold stands with status certified, fits or waived, found {self.status}")
        if self.status in ("certified", "fits") and (self.status == "fits") != (self.kind == "capacity"):
            raise ValueError(f"a band by capacity fits and no other is certified, found {self.status} by {self.kind}")
        if self.status == "waived" and not all(signature.waiver for signature in self.signatures):
            raise ValueError("a promise is waived by who signs, each with a reason")
        for threshold in (self.threshold, *(self.certified_range or ())):
            if threshold is not None and float(np.float32(threshold)) != threshold:
                raise ValueError(f"a threshold must be a float32 number, found {threshold!r}")
        if self.status == "certified" and self.certified_range and self.threshold is not None:
            strictest, loosest = self.certified_range
            if not loosest <= self.threshold <= strictest:
                raise ValueError(f"certified from {loosest} to {strictest}, and the threshold is {self.threshold}")
        return self


class CalibratorRecord(Strict):
    """Platt scaling of one policy: probability = sigmoid(scale * logit + offset).

    Attributes:
        reason: why scale 1 and offset 0 stand in; None if fitted.
        expected_calibration_error: on the golden set; None without known labels.
    """

    scale: float = Field(gt=0)
    offset: float
    n_labelled: int
    reason: str | None
    expected_calibration_error: float | None

    @classmethod
    def of(cls, calibrator: Calibrator, expected_calibration_error: float | None) -> "CalibratorRecord":
        """The record of a fitted calibrator."""
        return cls(**dataclasses.asdict(calibrator), expected_calibration_error=expected_calibration_error)


class PolicyRecord(Strict):
    """One policy: its calibrator and its bands, strictest first."""

    policy_id: str
    policy_version: str
    calibrator: CalibratorRecord
    bands: tuple[BandRecord, ...]


class ScoresRecord(Strict):
    """Which scores: content digest, scale, and the model and runtime that made them."""

    digest: str
    scale: Literal["logit", "probability"]
    model_digest: str | None
    runtime: str | None


class GoldenSetRecord(Strict):
    """Which golden set, and how many of its items are near-duplicates of another."""

    name: str
    version: str
    digest: str
    design: str
    population: str
    window: str | None
    floor: float | None
    floor_policy: str | None = None
    expires_at: str | None
    n_items: int
    n_sharing_cluster: int


class OperatingPointsFile(Strict):
    """The content of operating_points.json.

    Attributes:
        pilot_digest: content digest of the validation scores that planned the tests; None without validation.
        error_budget: how bands and slices share what may go wrong.
        traffic: what the volumes were counted on; None without.
        signed_from: SHA-256 of the operating_points.json that `calibrate` wrote, where this one is signed.
    """

    format: Literal["setpoint/operating_points/v1"] = Field(default="setpoint/operating_points/v1", alias="schema")
    golden_set: GoldenSetRecord
    scores: ScoresRecord
    pilot_digest: str | None
    error_budget: ErrorBudgetRecord | None = None
    traffic: TrafficRecord | None = None
    signed_from: str | None = None
    policies: tuple[PolicyRecord, ...]


def write_operating_points(path: str | Path, content: OperatingPointsFile) -> None:
    """Write operating_points.json, atomically."""
    write_json(path, content.model_dump(mode="json", by_alias=True))


def load_operating_points(path: str | Path) -> OperatingPointsFile:
    """Read operating_points.json.

    Args:
        path: the file, or the folder that `calibrate` wrote.

    Raises:
        InputError: the file is missing or not what `calibrate` writes; names key, value and what was expected.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "operating_points.json"
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping with the keys of setpoint/operating_points/v1")
    try:
        return OperatingPointsFile.model_validate(content)
    except ValidationError as error:
        raise InputError(findings_of(path, error)) from error
