"""looks.jsonl, the ledger of a golden set: what its labels were asked. What that costs: `calibrate.looks`.

The file holds a line for each run that looked at something new. It is the one file of a golden set that grows, and
the set's digest leaves it out. A look is written before its result: who kills a run has looked all the same, and the
same run finds its line again, gets the same number and the same answer, and writes nothing.
"""

import errno
import fcntl
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError

from calibrate.appending import append, read_all
from calibrate.draw import draw_of
from calibrate.inputs import CalibrationInputs
from calibrate.looks import look_digest
from calibrate.policy_calibration import Settings
from data.errors import Finding, InputError
from data.golden import LOOKS, GoldenSet
from data.policy import Policy, Strict


class LookLine(Strict):
    """A line of looks.jsonl.

    Attributes:
        at: UTC time; part of no digest.
        looks: digest of what was looked at, by policy_id; None for a line whose writing was cut off, which counts as
            a look at every policy.
        model_digest: whose scores; None for a foreign model.
        reuse: why this look was not paid for, in the words of who said so; None if it was.
    """

    format: Literal["setpoint/look/v1"] = Field(default="setpoint/look/v1", alias="schema")
    at: str
    looks: dict[str, str] | None
    model_digest: str | None
    reuse: str | None

    def written(self) -> bytes:
        """The line as it stands in the file."""
        text = json.dumps(self.model_dump(mode="json", by_alias=True), ensure_ascii=False)
        return text.encode() + b"\n"


def look_numbers(
    inputs: CalibrationInputs,
    settings: Settings,
    precisions: Mapping[str, CalibrationInputs] | None = None,
    *,
    only_known: bool = False,
) -> dict[str, int]:
    """Record what a run is about to look at.

    Args:
        inputs: scores and labels.
        settings: how they are tested.
        precisions: the same items, scored by the model in other precisions: all are one look.
        only_known: refuse a look that was not taken before, and write nothing.

    Returns:
        The number of each policy's look; policies whose bands claim nothing of their labels, or for which the golden
        set is no evidence, have none.

    Raises:
        InputError: the ledger cannot be read or written, or is switched off without words.
    """
    if settings.reuse is not None and not settings.reuse.strip():
        raise InputError('reuse: empty; say in a sentence why earlier looks need not count, e.g. reuse="a drill"')
    validation, others = inputs.validation, precisions or {}
    digests = {
        policy.policy_id: look_digest(
            policy,
            settings.deciding(),
            {
                "scores": inputs.golden.scores[:, column],
                "verdicts": None if inputs.golden.verdicts is None else inputs.golden.verdicts[:, column],
                "recent": None if inputs.recent_labels is None else np.sort(inputs.recent_labels[:, column]),
                "pilot_scores": validation.scores[:, column] if validation else None,
                "pilot_labels": validation.labels[:, column] if validation else None,
                **{f"scores {name}": each.golden.scores[:, column] for name, each in others.items()},
                **{
                    f"pilot_scores {name}": each.validation.scores[:, column]
                    for name, each in others.items()
                    if each.validation
                },
            },
        )
        for column, policy in enumerate(inputs.policies)
        if _is_looked_at(policy, inputs.golden_set)
    }
    model_digest = inputs.scores.metadata.model_digest
    return record_looks(
        inputs.golden_set.folder,
        digests,
        model_digest=model_digest,
        reuse=settings.reuse,
        only_known=only_known,
    )


def _is_looked_at(policy: Policy, golden_set: GoldenSet) -> bool:
    draw = draw_of(golden_set, policy.policy_id)
    return any(band.kind != "capacity" and not draw.objection(band.kind) for band in policy.bands)


def record_looks(
    folder: Path, digests: Mapping[str, str], *, model_digest: str | None, reuse: str | None, only_known: bool = False
) -> dict[str, int]:
    """Find or append these looks; runs at the same time wait for one another.

    Args:
        folder: of the golden set.
        digests: by policy_id, what is looked at.
        model_digest: for the line.
        reuse: for the line.
        only_known: refuse what was not looked at before.

    Returns:
        The number of each look, by policy_id: 1 for the first that this policy's labels see.

    Raises:
        InputError: the file holds a line that is no look, or cannot be written.
    """
    path = Path(folder) / LOOKS
    descriptor, problem = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        content = read_all(descriptor)
        whole, _, tail = content.rpartition(b"\n")
        lines = [_line(path, row, text) for row, text in enumerate(whole.splitlines(), start=1)]
        mended = b""  # what the next line must be preceded by
        if tail:
            torn = _parsed(tail) is None
            lines.append(_parsed(tail) or _now(None, None, None))
            mended = lines[-1].written() if torn else b"\n"
        earlier = {name: _earlier(lines, name) for name in digests}
        new = {name: digest for name, digest in digests.items() if digest not in earlier[name]}
        if new and only_known:
            raise InputError(
                f"{path}: holds no such look at {', '.join(new)}; the evidence has changed: calibrate again"
            )
        if new:
            if problem is not None:
                raise InputError(_not_writable(path, problem))
            keep = len(content) if mended in (b"", b"\n") else len(content) - len(tail)
            _append(path, descriptor, keep, mended + _now(new, model_digest, reuse).written())
    finally:
        os.close(descriptor)
    return {
        name: len(earlier[name]) + 1 if name in new else earlier[name].index(digest) + 1
        for name, digest in digests.items()
    }


def _earlier(lines: list[LookLine], policy_id: str) -> list[str]:
    """Digests of a policy's looks in order; lines that were cut off stand as the empty string."""
    found = [("" if line.looks is None else line.looks.get(policy_id)) for line in lines]
    return [digest for digest in found if digest is not None]


def _now(looks: Mapping[str, str] | None, model_digest: str | None, reuse: str | None) -> LookLine:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return LookLine(at=at, looks=None if looks is None else dict(looks), model_digest=model_digest, reuse=reuse)


def _parsed(text: bytes) -> LookLine | None:
    try:
        return LookLine.model_validate_json(text)
    except ValidationError:
        return None


def _line(path: Path, row: int, text: bytes) -> LookLine:
    line = _parsed(text)
    if line is None:
        problem = (
            "not a look (a JSON object with schema setpoint/look/v1); this file is only ever appended to: restore "
            "it, as what it says decides how much confidence is left"
        )
        raise InputError([Finding(path, problem, row, None, text.decode(errors="replace"))])
    return line


def _open(path: Path) -> tuple[int, OSError | None]:
    """A descriptor; and where the file can be read only, the reason why."""
    try:
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666), None
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and path.is_file():
            return os.open(path, os.O_RDONLY), error
        raise InputError(_not_writable(path, error)) from error


def _append(path: Path, descriptor: int, keep: int, text: bytes) -> None:
    try:
        append(path, descriptor, keep, text)
    except OSError as error:
        raise InputError(_not_writable(path, error)) from error


def _not_writable(path: Path, error: OSError) -> str:
    return (
        f"{path}: cannot be written ({error.strerror}); every certification on a golden set is recorded there before "
        "its result. Make the folder writable, or copy the whole golden set, this file included, to one that is"
    )
