"""What a verb reports when it is done: what was written and where, and whether there were findings."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Summary:
    """The closing words of a verb.

    Attributes:
        title: one line, e.g. "score: 2,770 items scored, 0 quarantined".
        written: files and folders that a user may open next.
        lines: further lines, already laid out.
        ok: False when the verb found what it was asked to look for (exit code 1).
        objective: what a search for settings makes large; None for a verb that has none.
    """

    title: str
    written: list[Path] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    ok: bool = True
    objective: float | None = None
