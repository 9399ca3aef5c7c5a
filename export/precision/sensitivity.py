"""Which layers int8 hurts: they stay in fp32, so that the logits move little enough on validation items.

Measured on validation items and never on golden ones: labels that chose a model are no evidence for it.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from pydantic import Field

from data.errors import InputError
from data.policy import Strict
from data.progress import tracked
from export.graph.decision_head import LOGITS
from export.precision.int8 import Int8, Layer, layers_of, quantised
from export.precision.parting import parted
from export.scoring.batch import Batch
from export.scoring.runtimes import open_session


class LayerSensitivity(Strict):
    """One layer, see `export.precision.int8.Layer`.

    Attributes:
        layer: its name.
        logit_change: mean change of a logit where it alone is in int8.
        quantised: whether it is; False where it stays in fp32.
    """

    layer: str
    logit_change: float
    quantised: bool


class Int8Report(Strict):
    """The content of reports/int8.json, or of another kind's.

    Attributes:
        items: validation items that changes are means over.
        most_change: the largest mean change of a logit that was allowed.
        whole_change: with all layers in int8.
        logit_change: of the model as it was written.
        layers: most sensitive first; none where all could be quantised, since then nobody asked.
    """

    format: Literal["setpoint/int8/v1"] = Field(default="setpoint/int8/v1", alias="schema")
    kind: Int8
    items: int
    most_change: float
    whole_change: float
    logit_change: float
    layers: tuple[LayerSensitivity, ...]

    @property
    def kept(self) -> list[str]:
        """The layers that stay in fp32."""
        return [each.layer for each in self.layers if not each.quantised]


def quantised_within(
    model: onnx.ModelProto, ranges_from: Iterable[Batch], validation: Sequence[Batch], kind: Int8, most_change: float
) -> tuple[onnx.ModelProto, Int8Report]:
    """`model` in int8, but for those layers with which its logits move more than `most_change`.

    Where the whole may not be quantised, each layer is, alone, to see how much it moves the logits. Then layers are
    taken from the least sensitive on, as many at once as fit; what does not fit even alone beside those taken before
    stays in fp32. Layers that each do little may do much together, which no order of single ones foretells.

    Args:
        model: the fp32 graph.
        ranges_from: batches of training items, on which the ranges of activations are measured.
        validation: batches of other items, on which changes are.
        kind: for CPUs, or for TensorRT.
        most_change: largest mean change of a logit over items and policies.

    Raises:
        InputError: there is no convolution, or no layer can be quantised.
    """
    if not layers_of(model):
        raise InputError(f"precisions: {kind} quantises convolutions, and this model has none; leave {kind} out")
    first, rest = parted(model)
    judge = _Judge(first, rest, validation)
    with tempfile.TemporaryDirectory() as folder:
        ranges = Path(folder) / "ranges.json"
        whole_change = judge.change(quantised(first, ranges_from, kind, ranges=ranges))

        def of(layers: Sequence[Layer]) -> onnx.ModelProto:
            return quantised(first, (), kind, layers=layers, ranges=ranges)

        layers, chosen_change, alone = layers_of(model), whole_change, {}
        if whole_change > most_change:
            alone = {layer: judge.change(of([layer])) for layer in tracked(layers, f"{kind}: layers", len(layers))}
            order = sorted(layers, key=lambda layer: alone[layer])
            layers, chosen_change = fitting(order, lambda some: judge.change(of(some)), most_change)
        if not layers:
            raise InputError(
                f"precisions: {kind} moves a logit by more than int8_change={most_change:g} on average whichever of "
                f"{len(alone)} layers is quantised; leave {kind} out, or allow more"
            )
        chosen = quantised(model, (), kind, layers=layers, ranges=ranges)
    report = Int8Report(
        kind=kind,
        items=len(judge.expected),
        most_change=most_change,
        whole_change=whole_change,
        logit_change=chosen_change,
        layers=tuple(
            LayerSensitivity(layer=layer.name, logit_change=moved, quantised=layer in layers)
            for layer, moved in sorted(alone.items(), key=lambda each: -each[1])
        ),
    )
    return chosen, report


def fitting(
    order: Sequence[Layer], change: Callable[[Sequence[Layer]], float], most_change: float
) -> tuple[list[Layer], float]:
    """The layers to quantise, by halving what does not fit at once, and what they change.

    Args:
        order: the least sensitive first.
        change: mean change of a logit with some layers in int8.
        most_change: that is allowed.
    """
    taken: list[Layer] = []
    moved = 0.0
    waiting = [list(order[: len(order) // 2]), list(order[len(order) // 2 :])]
    decided = tracked(order, "layers that fit together", len(order))
    while waiting:
        some = waiting.pop(0)
        with_some = change([*taken, *some]) if some else moved
        if with_some <= most_change:
            taken, moved = [*taken, *some], with_some
        elif len(some) > 1:
            waiting[:0] = [some[: len(some) // 2], some[len(some) // 2 :]]
            continue
        for _ in some:
            next(decided)
    next(decided, None)  # there are no more, which ends the bar
    return taken, moved


class _Judge:
    """Runs parts in place of the first one, and the rest behind them."""

    def __init__(self, first: onnx.ModelProto, rest: onnx.ModelProto, batches: Sequence[Batch]) -> None:
        self.batches = batches
        self.session = _session(rest)
        self.expected = self._logits(first)

    def change(self, part: onnx.ModelProto) -> float:
        """Mean change of a logit."""
        return float(np.abs(self._logits(part).astype(np.float64) - self.expected).mean())

    def _logits(self, part: onnx.ModelProto) -> NDArray[np.float32]:
        session = _session(part)
        names = [output.name for output in session.get_outputs()]
        logits = []
        for batch in self.batches:
            arrays: dict[str, NDArray[np.generic]] = dict(batch.arrays())
            crossing = session.run(names, {each.name: arrays[each.name] for each in session.get_inputs()})
            arrays |= dict(zip(names, crossing, strict=True))
            fed = {each.name: arrays[each.name] for each in self.session.get_inputs()}
            logits.append(self.session.run([LOGITS], fed)[0])
        return np.concatenate(logits)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return open_session(path)
