"""How far long work is, on standard error: a bar for a person who watches, else a line a minute."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as ProgressTask
from rich.text import Text

Item = TypeVar("Item")
SECONDS_A_LINE = 60.0


class RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: ProgressTask) -> Text:
        """The speed over the last seconds."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


def tracked(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Yield the items while a bar shows `what`, how many of `total`, the rate and the time left."""
    if not sys.stderr.isatty():
        yield from _told(items, what, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        yield from progress.track(items, total=total, description=what)


def _told(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Where nobody watches, as in a log file."""
    told = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - told >= SECONDS_A_LINE:
            told = time.monotonic()
            print(f"{what}: {number:,} of {total:,}", file=sys.stderr, flush=True)
