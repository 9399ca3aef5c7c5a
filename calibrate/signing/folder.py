"""The signed calibration: one as `calibrate` writes it, at the signed thresholds, with who vouches for each band."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from calibrate.certification import Certification
from calibrate.operating_point import Signature
from calibrate.operating_points_file import OperatingPointsFile, load_operating_points
from calibrate.outcome import POINTS_FILE
from calibrate.signing.needed import signatures_needed
from calibrate.signing.recertified import Recertified
from calibrate.signing.record import Record, SignatureLine
from calibrate.signing.waivers import band_key
from data.errors import InputError
from data.files import atomic_folder

Lines = Sequence[tuple[SignatureLine, str]]


def check_out(out: Path, calibration: Path) -> None:
    """Refuse to replace anything but an earlier signed calibration."""
    if out.resolve() == calibration.resolve():
        raise InputError(f"out = {out}: is the calibration itself; name another folder for the signed one")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and _signed(out) is None):
        raise InputError(f"{out}: exists and is no earlier signed calibration; name a new folder as out=")


def is_current(out: Path, record: Record, digest: str, expected: Sequence[str]) -> bool:
    """Whether a folder holds exactly the signatures with these digests, of a calibration.

    Raises:
        InputError: it holds one that is not in the record, so that the record was edited or cut.
    """
    points = _signed(out)
    if points is None:
        return False
    held = {each.line for policy in points.policies for band in policy.bands for each in band.signatures}
    if not held <= {line for _, line in record.lines}:
        raise InputError(
            f"{record.path}: lacks a signature that {out} holds: its last lines were edited or taken out, or it is "
            "not the record that the folder was signed in. Restore it, or name another folder as out="
        )
    return points.signed_from == digest and (held or set()) == set(expected)


def write_signed(out: Path, certified: Certification, lines: Lines, again: Recertified) -> OperatingPointsFile:
    """Write the folder, whole or not at all; the operating points in it."""
    outcome = certified.outcome
    signed = replace(
        certified,
        outcome=outcome.signed(_signatures(outcome.content, lines), again.digest),
        precisions={
            name: each.signed(_signatures(each.content, lines), again.precisions[name])
            if name in lines[0][0].precisions
            else each
            for name, each in certified.precisions.items()
        },
    )
    with atomic_folder(out) as folder:
        signed.write(folder)
    return signed.outcome.content


def _signatures(points: OperatingPointsFile, lines: Lines) -> dict[tuple[str, int], tuple[Signature, ...]]:
    return {
        (policy.policy_id, place): tuple(
            Signature(line.by, line.at, line.rationale, line.waivers.get(band_key(policy.policy_id, place)), digest)
            for line, digest in lines
        )
        for policy in points.policies
        for place, band in enumerate(policy.bands)
        if signatures_needed(band)
    }


def _signed(out: Path) -> OperatingPointsFile | None:
    """The operating points of a signed calibration, None if the folder is none."""
    if not (out / POINTS_FILE).is_file():
        return None
    points = load_operating_points(out)
    return points if points.signed_from is not None else None
