"""Curves as coordinates for the report's drawings: no colours, no markup. The template draws."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from calibrate.operating_point import OperatingPoint
from calibrate.probability import Reliability

PLOT_LEFT, PLOT_TOP, PLOT_WIDTH, PLOT_HEIGHT = 64.0, 14.0, 464.0, 262.0
RELIABILITY_LEFT, RELIABILITY_TOP, RELIABILITY_SIDE = 52.0, 12.0, 168.0


@dataclass(frozen=True)
class Tick:
    """A grid line: where, and what it says."""

    position: float
    label: str


@dataclass(frozen=True)
class PrecisionRecallFigure:
    """A precision-recall curve in a drawing of the plot size above.

    Attributes:
        curve, ribbon: SVG path data; the ribbon lies between the curve and its lower band, and is None without one.
        recall_ticks, precision_ticks: grid lines.
        target_x: vertical line at a target recall, or None.
        target_y: horizontal line at a target precision, or None.
        certified: (left, width) of the certified range, or None.
        point: (x, y) of the chosen threshold, or None.
    """

    curve: str
    ribbon: str | None
    recall_ticks: tuple[Tick, ...]
    precision_ticks: tuple[Tick, ...]
    target_x: float | None
    target_y: float | None
    certified: tuple[float, float] | None
    point: tuple[float, float] | None


@dataclass(frozen=True)
class ReliabilityDot:
    """One non-empty bin: place, radius, and its numbers for the tooltip."""

    x: float
    y: float
    radius: float
    title: str


def precision_recall_figure(curve: pl.DataFrame, point: OperatingPoint) -> PrecisionRecallFigure | None:
    """Lay out a curve of `calibrate.curve.precision_recall_curve`; None if nothing is known to violate."""
    if curve.is_empty() or curve["recall"].null_count():
        return None
    recall, precision = curve["recall"].to_numpy(), curve["precision"].to_numpy()
    lowest = min(float(precision[-1]), point.target if point.kind == "precision" else 1.0)
    floor = min(float(np.floor(lowest * 10)) / 10, 0.8)

    def x(share: ArrayLike) -> NDArray[np.float64]:
        return PLOT_LEFT + PLOT_WIDTH * np.asarray(share, np.float64)

    def y(share: ArrayLike) -> NDArray[np.float64]:
        inside = np.clip(np.asarray(share, np.float64), floor, 1)
        height: NDArray[np.float64] = PLOT_TOP + PLOT_HEIGHT * (1 - inside) / (1 - floor)
        return height

    upper = _thinned(x(recall), y(precision))
    band = curve["precision_lower_band"]
    lower = None if band.null_count() else _thinned(x(recall), y(band.to_numpy()))
    step = 0.05 if floor >= 0.7 else 0.1 if floor >= 0.4 else 0.2
    marks = 1 - step * np.arange(int(np.floor((1 - floor) / step + 1e-9)) + 1)
    certified = curve.filter("certified")
    return PrecisionRecallFigure(
        curve=_path(upper),
        ribbon=None if lower is None else _path(np.concatenate([upper, lower[::-1]])) + "Z",
        recall_ticks=tuple(Tick(round(float(x(r)), 1), f"{100 * r:.0f} %") for r in (0, 0.25, 0.5, 0.75, 1)),
        precision_ticks=tuple(Tick(round(float(y(p)), 1), f"{100 * p:.0f} %") for p in marks),
        target_x=round(float(x(point.target)), 1) if point.kind == "recall" else None,
        target_y=round(float(y(point.target)), 1) if point.kind == "precision" else None,
        certified=_span(x(certified["recall"].to_numpy())) if len(certified) else None,
        point=(
            (round(float(x(point.recall)), 1), round(float(y(point.precision)), 1))
            if point.recall is not None and point.precision is not None
            else None
        ),
    )


def reliability_dots(reliability: Reliability) -> tuple[ReliabilityDot, ...]:
    """One dot a non-empty bin, its area growing with the number of items."""
    largest = int(reliability.counts.max())
    return tuple(
        ReliabilityDot(
            x=round(RELIABILITY_LEFT + RELIABILITY_SIDE * float(predicted), 1),
            y=round(RELIABILITY_TOP + RELIABILITY_SIDE * (1 - float(share)), 1),
            radius=round(2.5 + 5 * float(np.sqrt(count / largest)), 1),
            title=f"{count:,} posts: predicted {100 * predicted:.0f} %, violating {100 * share:.0f} %",
        )
        for count, predicted, share in zip(
            reliability.counts, reliability.mean_probability, reliability.violating_share, strict=True
        )
        if count
    )


def _span(x: NDArray[np.float64]) -> tuple[float, float]:
    left, right = float(x.min()), float(x.max())
    return round(left, 1), round(max(right - left, 2.0), 1)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [n, 2] to a tenth of a pixel; of those in one column of a pixel, the first, extremes and last."""
    points = np.round(np.stack([x, y], axis=1), 1).astype(np.float64)
    columns = np.floor(points[:, 0])
    keep: list[int] = []
    edges = np.flatnonzero(np.diff(columns, prepend=np.nan) != 0).tolist()
    for start, stop in zip(edges, [*edges[1:], len(points)], strict=True):
        within = points[start:stop, 1]
        keep += sorted({start, start + int(within.argmin()), start + int(within.argmax()), stop - 1})
    return points[keep]


def _path(points: NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
