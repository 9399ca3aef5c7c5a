"""A calibration made again from its data, which must come out as it stands, byte for byte."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationError, validate_call

from calibrate.certification import Certification
from calibrate.certify import certify
from calibrate.gate_file import GATE_FILE, PRECISIONS
from calibrate.operating_points_file import OperatingPointsFile, load_operating_points
from calibrate.outcome import POINTS_FILE, Outcome
from calibrate.refused import RefusedError
from calibrate.signing.again import Again, Moves
from calibrate.signing.made_from import MADE_FROM, read_made_from
from calibrate.words import said
from calibrate.words.catalogue import CHOSEN
from data.errors import InputError
from data.files import existing_file, existing_folder, sha256_of_file
from data.policy import Strict, findings_of


@dataclass(frozen=True)
class Recertified:
    """A calibration that came out again as it stands.

    Attributes:
        folder: of it.
        digest: SHA-256 of its operating_points.json.
        precisions: the same of further precisions, by name.
        found: what it came out as.
    """

    folder: Path
    digest: str
    precisions: dict[str, str]
    found: Certification
    again: Again
    arguments: Mapping[str, Any]
    today: date

    def moved(self, moves: Moves) -> Certification:
        """The same at other thresholds, which further precisions follow as far as they are certified."""
        if not moves:
            return self.found
        return _certify(self.folder, self.arguments, replace(self.again, moves=moves), self.today)


def read_points(calibration: Path) -> tuple[OperatingPointsFile, str]:
    """The operating points of a calibration that can be signed, and their digest.

    Raises:
        InputError: they are missing or wrong, or are signed ones.
    """
    file = existing_file(existing_folder(calibration) / POINTS_FILE)
    points = load_operating_points(file)
    if points.signed_from is not None:
        raise InputError(
            f"{file}: this is a signed copy; sign the calibration that `setpoint calibrate` wrote, with the digest "
            f"{points.signed_from}"
        )
    return points, sha256_of_file(file)


def certify_again(calibration: Path, today: date) -> Recertified:
    """Certify from the data, and hold what comes out against the files.

    Raises:
        InputError: an input has changed, has expired, or the files are not what comes out.
    """
    points, digest = read_points(calibration)
    file = calibration / POINTS_FILE
    expires_at = points.golden_set.expires_at
    if expires_at is not None and expires_at < today.isoformat():
        raise RefusedError(
            f"{file}, golden_set.expires_at = {expires_at}: it certifies nothing after that day, and nothing is "
            "signed on it any more. Draw and label a fresh sample",
            told=said("refused.expired", date=expires_at),
        )
    arguments, again = read_made_from(calibration), Again(file, points)
    found = _certify(calibration, arguments, again, today)
    _check_same(file, _bytes_of(found.outcome.content))
    for name, each in found.precisions.items():
        _check_same(calibration / PRECISIONS / name / POINTS_FILE, _bytes_of(each.content))
    if found.gate:
        _check_same(calibration / GATE_FILE, _bytes_of(found.gate))
    return Recertified(
        folder=calibration,
        digest=digest,
        precisions={name: _digest_of(each) for name, each in found.precisions.items()},
        found=found,
        again=again,
        arguments=arguments,
        today=today,
    )


def _certify(folder: Path, arguments: Mapping[str, Any], again: Again, today: date) -> Certification:
    checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(certify)
    try:
        return checked(**arguments, today=today, again=again)
    except ValidationError as error:
        if error.title != certify.__name__:
            raise
        raise InputError(findings_of(folder / MADE_FROM, error)) from error


def _check_same(file: Path, expected: bytes) -> None:
    if existing_file(file).read_bytes() != expected:
        raise RefusedError(
            f"{file}: not what its data give when they are certified again; it was edited, or written by another "
            f"version or in other words (see {CHOSEN}). Nothing was signed: calibrate again",
            told=said("refused.not_the_same"),
        )


def _bytes_of(content: Strict) -> bytes:
    text = json.dumps(content.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def _digest_of(outcome: Outcome) -> str:
    return hashlib.sha256(_bytes_of(outcome.content)).hexdigest()
