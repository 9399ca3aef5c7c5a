"""A progress bar with rate and time left for long work, on standard error and only for a person who watches."""

import sys
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


class RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: ProgressTask) -> Text:
        """The speed over the last seconds."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


def tracked(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Yield the items while a bar shows `what`, how many of `total`, the rate and the time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), disable=not sys.stderr.isatty()) as progress:
        yield from progress.track(items, total=total, description=what)
