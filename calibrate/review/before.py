"""What others left for the next reader: the last saved choice, and thresholds that somebody signed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from calibrate.choice import BandChoice, load_choice
from calibrate.operating_points_file import (
    DailyVolumeRecord,
    OperatingPointsFile,
    SignatureRecord,
    load_operating_points,
)
from calibrate.outcome import POINTS_FILE
from calibrate.report.text import all_shown
from calibrate.signing.needed import names_of, signatures_missing
from data.errors import InputError
from data.policy import Strict

MOST_READ = 20  # saved choices that are tried before one of this calibration is found
DAY = re.compile(r"choice-(\d{4})(\d{2})(\d{2})T")


class Saved(Strict):
    """A saved choice, and the day it was saved on, which its file name says; None where it does not."""

    on: str | None
    by: str | None
    rationale: str | None
    choices: list[BandChoice]


class SignedBand(Strict):
    """A band as it was signed: by its policy and its place there, with what its certificate says.

    `missing` says how many more names it needs.
    """

    policy_id: str
    band: int
    threshold: float | None
    status: str
    precision: float | None
    recall: float | None
    daily_volume: DailyVolumeRecord | None
    signatures: tuple[SignatureRecord, ...]
    missing: int


class Signed(Strict):
    """Signed thresholds: who signed them, in order, and all bands."""

    by: list[str]
    bands: list[SignedBand]


class Before(Strict):
    """What the page is served with."""

    saved: Saved | None
    signed: Signed | None

    def embedded(self) -> bytes:
        """JSON that cannot end the element it stands in."""
        text = json.dumps(all_shown(self.model_dump(mode="json")), allow_nan=False)
        for sign in "<>&":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        return text.encode()


def left_before(choices: Path, out: Path, calibration: str) -> Before:
    """What was saved and signed of a calibration, by its digest; what cannot be read is passed over."""
    return Before(saved=_last_saved(choices, calibration), signed=signed_in(out, calibration))


def _last_saved(folder: Path, calibration: str) -> Saved | None:
    files = sorted(folder.glob("choice-*.yaml"), key=lambda file: file.name, reverse=True) if folder.is_dir() else []
    for path in files[:MOST_READ]:
        try:
            choice = load_choice(path)
        except (InputError, OSError):
            continue
        if choice.calibration == calibration:
            day = DAY.match(path.name)
            on = "-".join(day.groups()) if day else None
            return Saved(on=on, by=choice.by, rationale=choice.rationale, choices=choice.choices)
    return None


def signed_in(out: Path, calibration: str) -> Signed | None:
    """The thresholds of a calibration, by its digest, that somebody signed; None where nobody did."""
    try:
        points = load_operating_points(out) if (out / POINTS_FILE).is_file() else None
    except InputError:
        return None
    if points is None or points.signed_from != calibration:
        return None
    return Signed(
        by=names_of(band for policy in points.policies for band in policy.bands), bands=list(_bands(points))
    )


def _bands(points: OperatingPointsFile) -> Iterator[SignedBand]:
    for policy in points.policies:
        for place, band in enumerate(policy.bands):
            volume = band.daily_volume
            yield SignedBand(
                policy_id=policy.policy_id,
                band=place,
                threshold=band.threshold,
                status=band.status,
                precision=band.precision,
                recall=band.recall,
                daily_volume=volume and DailyVolumeRecord(expected=volume.expected, low=volume.low, high=volume.high),
                signatures=band.signatures,
                missing=signatures_missing(band),
            )
