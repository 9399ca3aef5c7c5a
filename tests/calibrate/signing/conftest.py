"""A calibration that can be signed, and how to sign it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from calibrate.choice import BandChoice, Choice
from calibrate.operating_points_file import BandRecord, OperatingPointsFile, load_operating_points
from calibrate.signing.result import SignResult
from calibrate.signing.sign import sign_choice
from data.files import sha256_of_file


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
        points = self.points
        bands = [
            BandChoice(
                policy_id=policy.policy_id,
                policy_version=policy.policy_version,
                band=place,
                action=band.action,
                threshold=thresholds.get(band.action, band.threshold)
                if policy.policy_id == "fire"
                else band.threshold,
            )
            for policy in points.policies
            for place, band in enumerate(policy.bands)
        ]
        digest = sha256_of_file(self.calibration / "operating_points.json")
        return Choice(schema="setpoint/choice/v1", calibration=digest, by=by, rationale="It is right.", choices=bands)

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


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test's workspace is kept for the others."""
    return tmp_path_factory.mktemp("made") / "workspace"


@pytest.fixture
def desk(made: Path, make_calibration: Callable, tmp_path: Path) -> Desk:
    """Fire is certified in two bands and waits for traffic in a third; scam cannot be attained."""
    if made.is_dir():
        shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    else:
        make_calibration().run()
        shutil.copytree(tmp_path, made)
    return Desk(tmp_path / "calibration", tmp_path / "signatures.jsonl", tmp_path / "signed")
