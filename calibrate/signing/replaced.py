"""What is lost where a calibration takes the place of an earlier one: signatures, and inputs given before."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibrate.outcome import POINTS_FILE
from calibrate.signing.made_from import read_made_from
from calibrate.signing.record import read_lines
from data.errors import InputError
from data.files import sha256_of_file

OPTIONAL = ("validation", "recent", "traffic", "precisions", "production", "candidates")


def check_replaceable(out: Path, signatures: Path | None, *, overwrite: bool) -> None:
    """Refuse to replace anything but an earlier calibration, and one that was signed unless told to.

    Args:
        out: folder that will be written.
        signatures: record of all signatures; None knows of none.
        overwrite: replace also what was signed.

    Raises:
        InputError: the folder holds something else, or somebody has signed its thresholds.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / POINTS_FILE).is_file()):
        raise InputError(f"{out}: exists and is no earlier calibration; name a new folder as out=")
    if overwrite or signatures is None or not (out / POINTS_FILE).is_file():
        return
    digest = sha256_of_file(out / POINTS_FILE)
    names = sorted({line.by for line, _ in read_lines(signatures) if line.calibration == digest})
    if names:
        raise InputError(
            f"{out}: {' and '.join(names)} signed its thresholds ({signatures}), and nobody could sign them further, "
            "or see what they signed, once it is replaced. Name a new folder as out=, or give overwrite=true"
        )


def given_before(out: Path, arguments: Mapping[str, Any]) -> list[str]:
    """A sentence for each input that the calibration in this folder had and the one that replaces it has not."""
    try:
        before = read_made_from(out) if out.is_dir() else {}
    except InputError:
        return []  # of an older version, or edited: it is replaced all the same
    return [
        f"caution: {name} was given to the calibration that stood here, and not to this one"
        for name in OPTIONAL
        if before.get(name) is not None and arguments.get(name) is None
    ]
