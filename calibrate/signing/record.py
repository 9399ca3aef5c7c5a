"""signatures.jsonl: who signed which thresholds, a line a signature; it only grows.

Each line holds the digest of the one before, so that a line that was edited or taken out is found; the last line is
held by the signed folder that it made. No secret protects it: whoever can write every file can write them all anew.
"""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from calibrate.appending import append, read_all
from calibrate.choice import BandChoice
from data.errors import Finding, InputError
from data.policy import Strict

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class SignatureLine(Strict):
    """A line of signatures.jsonl.

    Attributes:
        at: UTC time.
        by: who signed.
        rationale: why, in their words.
        waivers: why a band is taken without a promise, by POLICY_ID.BAND.
        calibration: SHA-256 of the operating_points.json whose thresholds these are, or were moved from.
        precisions: the same of further precisions that are signed with it, by name.
        thresholds: of all bands; None where one is off.
        previous: SHA-256 of the line before; None for the first.
    """

    format: Literal["setpoint/signature/v1"] = Field(default="setpoint/signature/v1", alias="schema")
    at: str
    by: str
    rationale: str
    waivers: dict[str, str]
    calibration: Digest
    precisions: dict[str, Digest]
    thresholds: list[BandChoice]
    previous: Digest | None

    def written(self) -> bytes:
        """The line as it stands in the file, without its end."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), ensure_ascii=False).encode()

    def signs_the_same(self, other: "SignatureLine") -> bool:
        """Whether both are of the same thresholds of the same calibration."""
        return (self.calibration, self.precisions, self.thresholds) == (
            other.calibration,
            other.precisions,
            other.thresholds,
        )


@dataclass
class Record:
    """The file, open and locked.

    Attributes:
        lines: with the digest of each.
    """

    path: Path
    descriptor: int
    lines: list[tuple[SignatureLine, str]]
    size: int
    lead: bytes

    def last(self) -> str | None:
        """Digest of the last line; None of an empty record."""
        return self.lines[-1][1] if self.lines else None

    def add(self, line: SignatureLine) -> str:
        """Append a line, on disk before this returns; its digest."""
        text = line.written()
        try:
            append(self.path, self.descriptor, self.size, self.lead + text + b"\n")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}); nothing was signed") from error
        self.size, self.lead = self.size + len(self.lead) + len(text) + 1, b""
        self.lines.append((line, digest_of(text)))
        return self.lines[-1][1]


def digest_of(text: bytes) -> str:
    """SHA-256 of a line without its end."""
    return hashlib.sha256(text).hexdigest()


@contextmanager
def locked_record(path: Path) -> Iterator[Record]:
    """Open the record, made if it is missing; whoever signs at the same time waits until it is closed.

    A last line whose writing was cut off signed nothing: nobody was told so, and the next line takes its place.

    Raises:
        InputError: it cannot be written, or a line was edited.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({os.strerror(error.errno or errno.EIO)})") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        texts, size, lead = _whole_lines(read_all(descriptor))
        yield Record(path, descriptor, _chained(path, texts), size, lead)
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> list[tuple[SignatureLine, str]]:
    """The signatures in a record, with the digest of each; none if it is missing.

    Raises:
        InputError: it cannot be read, or a line was edited.
    """
    if not path.exists():
        return []
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return _chained(path, _whole_lines(content)[0])


def _whole_lines(content: bytes) -> tuple[list[bytes], int, bytes]:
    """The lines, how many bytes of them stay, and what the next line must be preceded by."""
    whole, _, tail = content.rpartition(b"\n")
    texts = whole.split(b"\n") if whole else []
    if tail and _parsed(tail):
        return [*texts, tail], len(content), b"\n"
    return texts, len(content) - len(tail), b""


def _chained(path: Path, texts: list[bytes]) -> list[tuple[SignatureLine, str]]:
    lines: list[tuple[SignatureLine, str]] = []
    for row, text in enumerate(texts, start=1):
        line = _parsed(text)
        if line is None:
            problem = "not a signature (a JSON object with schema setpoint/signature/v1); restore this file"
            raise InputError([Finding(path, problem, row, None, text.decode(errors="replace")[:200])])
        expected = lines[-1][1] if lines else None
        if line.previous != expected:
            problem = (
                f"the line before has the digest {expected}: a line was edited, added or taken out; this file is "
                "only ever appended to: restore it"
            )
            raise InputError([Finding(path, problem, row, "previous", line.previous)])
        lines.append((line, digest_of(text)))
    return lines


def _parsed(text: bytes) -> SignatureLine | None:
    try:
        return SignatureLine.model_validate_json(text)
    except ValidationError:
        return None
