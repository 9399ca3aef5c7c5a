"""What a person is told when their input is wrong: file, row, field, value, and what was expected."""

import signal
from dataclasses import dataclass
from pathlib import Path

SHOWN_VALUE_LENGTH = 80
SHOWN_FINDINGS = 20


@dataclass(frozen=True)
class Finding:
    """One thing wrong in one file.

    Attributes:
        file: the file as the user named it.
        problem: what is wrong and what was expected, as a sentence without a full stop.
        row: 1-based data row of a table or line of a JSON Lines file; None for the whole file.
        field: column or key, dotted where nested.
        value: the offending value; shortened when shown.
    """

    file: str | Path
    problem: str
    row: int | None = None
    field: str | None = None
    value: object = None

    def __str__(self) -> str:
        where = str(self.file)
        if self.row is not None:
            where += f", row {self.row}"
        if self.field is not None:
            where += f", {self.field}"
        if self.value is not None:
            shown = repr(self.value)
            if len(shown) > SHOWN_VALUE_LENGTH:
                half = SHOWN_VALUE_LENGTH // 2  # both ends: a path tells most by its last part
                shown = f"{shown[:half]}…{shown[-half:]}"
            where += f" = {shown}"
        return f"{where}: {self.problem}"


class InputError(ValueError):
    """Wrong input. The command line prints it and ends with exit code 2; it is never a bug of Setpoint's.

    Args:
        problem: a sentence for the person who meets it, or the findings that make up the error.
    """

    def __init__(self, problem: str | list[Finding]) -> None:
        self.findings = problem if isinstance(problem, list) else []
        if isinstance(problem, list):
            lines = [str(finding) for finding in problem[:SHOWN_FINDINGS]]
            if len(problem) > SHOWN_FINDINGS:
                lines.append(f"… and {len(problem) - SHOWN_FINDINGS} more; `setpoint validate` lists them all")
            problem = "\n".join(lines)
        super().__init__(problem)


class Preempted(Exception):  # noqa: N818 (nothing went wrong)
    """A run left in order because a signal asked it to. The same command goes on where it stopped.

    Args:
        signum: the signal.
        step: optimiser steps done.
        requeued: a scheduler will start it again.
    """

    def __init__(self, signum: int, step: int, *, requeued: bool = False) -> None:
        self.exit_code = 128 + signum  # as a shell reports it
        what_next = "the job is requeued" if requeued else "the same command goes on from there"
        super().__init__(f"stopped by {signal.Signals(signum).name} after step {step:,}; {what_next}")
