"""What others left for the next reader: the last saved choice, and thresholds that somebody signed."""

import json
from pathlib import Path

from calibrate.choice import BandChoice, load_choice
from calibrate.operating_points_file import load_operating_points
from calibrate.outcome import POINTS_FILE
from calibrate.report.text import all_shown
from calibrate.signing.needed import names_of
from calibrate.signing.result import missing_signatures
from calibrate.signing.sign import thresholds_of
from data.errors import InputError
from data.policy import Strict

MOST_READ = 20  # saved choices that are tried before one of this calibration is found


class Saved(Strict):
    """A saved choice, and where it lies."""

    path: str
    by: str | None
    rationale: str | None
    choices: list[BandChoice]


class Signed(Strict):
    """Signed thresholds.

    Attributes:
        by: who signed them.
        missing: a sentence for each band that lacks signatures.
        choices: the thresholds of all bands.
    """

    by: list[str]
    missing: list[str]
    choices: list[BandChoice]


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
    return Before(saved=_last_saved(choices, calibration), signed=_signed(out, calibration))


def _last_saved(folder: Path, calibration: str) -> Saved | None:
    files = sorted(folder.glob("choice-*.yaml"), key=lambda file: file.name, reverse=True) if folder.is_dir() else []
    for path in files[:MOST_READ]:
        try:
            choice = load_choice(path)
        except (InputError, OSError):
            continue
        if choice.calibration == calibration:
            return Saved(path=str(path), by=choice.by, rationale=choice.rationale, choices=choice.choices)
    return None


def _signed(out: Path, calibration: str) -> Signed | None:
    try:
        points = load_operating_points(out) if (out / POINTS_FILE).is_file() else None
    except InputError:
        return None
    if points is None or points.signed_from != calibration:
        return None
    return Signed(
        by=names_of(band for policy in points.policies for band in policy.bands),
        missing=list(missing_signatures(points)),
        choices=thresholds_of(points),
    )
