"""A calibration that can be signed, and how to sign it."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from choices import choice_of

from calibrate.choice import Choice
from calibrate.operating_points_file import BandRecord, OperatingPointsFile, load_operating_points
from calibrate.signing.result import SignResult
from calibrate.signing.sign import sign_choice


@dataclass
class Desk:
    """Where a test signs: a calibration, the record, the signed folder."""

    calibration: Path
    signatures: Path
    out: Path
    today: date | None = None
    waivers: dict[str, str] = field(default_factory=dict)

    @property
    def points(self) -> OperatingPointsFile:
        return load_operating_points(self.calibration)

    def band(self, policy_id: str, place: int, folder: Path | None = None) -> BandRecord:
        policies = load_operating_points(folder or self.calibration).policies
        return next(policy for policy in policies if policy.policy_id == policy_id).bands[place]

    def choice(self, by: str | None, **thresholds: float | None) -> Choice:
        """A choice of bands of fire, by their action, or of all bands as they stand."""
        return choice_of(self.calibration, by, **thresholds)

    def sign(
        self, by: str | None = "Ada Lovelace", *, waivers: dict[str, str] | None = None, **thresholds
    ) -> SignResult:
        return self.sign_this(self.choice(by, **thresholds), waivers=waivers)

    def sign_this(self, choice: Choice, *, waivers: dict[str, str] | None = None) -> SignResult:
        return sign_choice(
            self.calibration,
            choice,
            waivers=waivers or {},
            signatures=self.signatures,
            out=self.out,
            today=self.today,
        )


@pytest.fixture
def desk(calibrated: Path) -> Desk:
    """Fire is certified in two bands and waits for traffic in a third; scam cannot be attained."""
    return Desk(calibrated, calibrated.parent / "signatures.jsonl", calibrated.parent / "signed")
