"""What the served page can do: keep a choice, sign one. No HTTP here; the errors say what a person should do."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from calibrate.choice import check_choice, parse_choice
from calibrate.review.before import Signed, left_before, signed_in
from calibrate.signing.recertified import read_points
from calibrate.signing.result import SignResult
from calibrate.signing.sign import sign_choice
from data.files import atomic_file

PAGE = "index.html"
BESIDE = (".csv", ".xlsx")
"""Endings of the files beside the page that are served."""
HERE = "your choice"


@dataclass(frozen=True)
class Desk:
    """Where choices and signatures of one calibration go. `sign` is called one at a time.

    Attributes:
        calibration: folder that `calibrate` wrote.
        signatures: record of all signatures.
        out: the signed calibration.
        choices: folder of saved choices.
        today: a golden set that expired before it is refused; None is the current date.
    """

    calibration: Path
    signatures: Path
    out: Path
    choices: Path
    today: date | None = None

    @property
    def report(self) -> Path:
        """The folder of the page."""
        return self.calibration / "report"

    def page(self) -> bytes:
        """The page, which is told that it is served, and what was saved and signed before.

        It then saves and signs instead of downloading.
        """
        _, digest = read_points(self.calibration)
        left = left_before(self.choices, self.out, digest).embedded()
        told = b'<script type="application/json" id="before">' + left + b"</script>\n</head>"
        page = (self.report / PAGE).read_bytes()
        return page.replace(b"<html ", b"<html data-served ", 1).replace(b"</head>", told, 1)

    def file(self, name: str) -> Path | None:
        """A file beside the page, by its exact name; None if there is none of that name to give."""
        with os.scandir(self.report) as entries:
            names = {each.name for each in entries if each.is_file(follow_symlinks=False)}
        return self.report / name if name in names and name.endswith(BESIDE) else None

    def save(self, text: str) -> Path:
        """Keep a choice as a new file.

        Raises:
            InputError: it is none, or of another calibration.
        """
        check_choice(HERE, parse_choice(text, HERE), *read_points(self.calibration))
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")  # by which the names are in order
        path = self.choices / f"choice-{now}-{secrets.token_hex(8)}.yaml"  # no two are ever alike
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
        return path

    def signed(self) -> Signed | None:
        """The thresholds as they stand signed now; None where nobody signed."""
        return signed_in(self.out, read_points(self.calibration)[1])

    def sign(self, text: str, waivers: Mapping[str, str]) -> SignResult:
        """Sign a choice.

        Raises:
            InputError: as of `calibrate.signing.sign.sign_choice`; nothing is written then.
        """
        return sign_choice(
            self.calibration,
            parse_choice(text, HERE),
            waivers=waivers,
            signatures=self.signatures,
            out=self.out,
            today=self.today,
            chosen_in=HERE,
        )
