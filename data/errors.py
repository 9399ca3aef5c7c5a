"""What a person is told when their input is wrong: file, row, field, value, and what was expected."""

import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SHOWN_VALUE_LENGTH = 80
SHOWN_FINDINGS = 20
SHOWN_PER_PROBLEM = 5


@dataclass(frozen=True)
class Finding:
    """One thing wrong in one file.

    Attributes:
        file: the file as the user named it.
        problem: what is wrong and what was expected, as a sentence without a full stop.
        row: 1-based data row of a table or line of a JSON Lines file; None for the whole file.
        field: column or key, dotted where nested.
        value: the offending value; shortened when shown.
        item_id: of the item that the row speaks of, where it has one and `field` is another.
    """

    file: str | Path
    problem: str
    row: int | None = None
    field: str | None = None
    value: object = None
    item_id: str | None = None

    def __str__(self) -> str:
        where = str(self.file)
        if self.row is not None:
            where += f", {'line' if where.endswith('.jsonl') else 'row'} {self.row}"
        if self.field is not None:
            where += f", {self.field}"
        if self.value is not None:
            where += f" = {shortened(self.value)}"
        item = "" if self.item_id is None else f" (item {shortened(self.item_id)})"
        return f"{where}: {self.problem}{item}"


def shortened(value: object) -> str:
    """A value as code shows it, at most a line long: both ends of it, since a path tells most by its last part."""
    shown = repr(value)
    half = SHOWN_VALUE_LENGTH // 2
    return shown if len(shown) <= SHOWN_VALUE_LENGTH else f"{shown[:half]}…{shown[-half:]}"


def finding_lines(findings: list[Finding], per_problem: int, rest: str = "") -> list[str]:
    """The findings as lines of text, the same problem of one file and field at most so often.

    Args:
        findings: to show.
        per_problem: how many of those that differ in row and value alone; the last says how many more there are.
        rest: where to find those.
    """
    counts = Counter((finding.file, finding.field, finding.problem) for finding in findings)
    shown: Counter[tuple[str | Path, str | None, str]] = Counter()
    lines = []
    for finding in findings:
        kind = (finding.file, finding.field, finding.problem)
        shown[kind] += 1
        more = counts[kind] - per_problem
        if shown[kind] == per_problem and more > 0:
            lines.append(f"{finding} (and {more:,} more rows{rest})")
        elif shown[kind] <= per_problem:
            lines.append(str(finding))
    return lines


class InputError(ValueError):
    """Wrong input. The command line prints it and ends with exit code 2; it is never a bug of Setpoint's.

    Args:
        problem: a sentence for the person who meets it, or the findings that make up the error.
    """

    def __init__(self, problem: str | list[Finding]) -> None:
        self.findings = problem if isinstance(problem, list) else []
        if isinstance(problem, list):
            lines = finding_lines(problem, SHOWN_PER_PROBLEM)
            if len(lines) > SHOWN_FINDINGS:
                lines[SHOWN_FINDINGS:] = [f"… and {len(lines) - SHOWN_FINDINGS} more; `setpoint validate` lists them"]
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
