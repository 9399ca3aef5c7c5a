"""What a server counts, in the text format of Prometheus. Used from one thread, the event loop's."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)

Labels = tuple[tuple[str, str], ...]


@dataclass
class Counter:
    """A count for each combination of labels."""

    name: str
    help: str
    counts: dict[Labels, float] = field(default_factory=dict)

    def add(self, amount: float = 1, **labels: str) -> None:
        """Count `amount` more."""
        key = tuple(labels.items())
        self.counts[key] = self.counts.get(key, 0) + amount

    def lines(self) -> Iterator[str]:
        """The metric as text."""
        yield from _head(self.name, self.help, "counter")
        for labels, count in self.counts.items():
            yield f"{self.name}{_labels(labels)} {count:.12g}"


@dataclass
class Histogram:
    """How often a value was at most each of some limits."""

    name: str
    help: str
    limits: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.limits) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.limits, value)] += 1
        self.total += value

    def lines(self) -> Iterator[str]:
        """The metric as text."""
        yield from _head(self.name, self.help, "histogram")
        so_far = 0
        for limit, count in zip([*map(_short, self.limits), "+Inf"], self.counts, strict=True):
            so_far += count
            yield f'{self.name}_bucket{{le="{limit}"}} {so_far}'
        yield f"{self.name}_sum {self.total:.12g}"
        yield f"{self.name}_count {so_far}"


@dataclass
class Gauge:
    """A value of now."""

    name: str
    help: str
    value: float = 0
    labels: Labels = ()

    def lines(self) -> Iterator[str]:
        """The metric as text."""
        yield from _head(self.name, self.help, "gauge")
        yield f"{self.name}{_labels(self.labels)} {self.value:.12g}"


def exposition(metrics: Sequence[Counter | Histogram | Gauge]) -> str:
    """All metrics in Prometheus' text format 0.0.4."""
    return "".join(f"{line}\n" for metric in metrics for line in metric.lines())


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _labels(labels: Labels) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _short(limit: float) -> str:
    return f"{limit:g}"
