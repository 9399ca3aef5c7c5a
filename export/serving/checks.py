"""Which arrays may run: the contract's shapes and values, and no more than preprocess.json makes of one item.

Requests run together in one batch, so that a request which the graph would refuse is refused before it is in one.
"""

from collections.abc import Mapping

import numpy as np

from data.preprocessing import Preprocessing
from data.sound import PLACES_PER_SECOND
from export.graph.contract import Contract, TensorContract
from export.serving.protocol import Array, RequestError


def axis_limits(preprocessing: Preprocessing, *, max_batch: int) -> dict[str, int]:
    """The largest size of each free axis: what preprocessing makes; thresholds are certified on nothing else."""
    clips = preprocessing.num_clips if preprocessing.sampling == "dense" else 1
    return {
        "batch": max_batch,
        "frames": preprocessing.num_frames * clips,
        "tokens": preprocessing.max_tokens,
        "time": preprocessing.audio_seconds * PLACES_PER_SECOND,
    }


def check_inputs(tensors: Mapping[str, Array], contract: Contract, limits: Mapping[str, int]) -> int:
    """Check the arrays of one request against the contract.

    Args:
        tensors: by input name, of the contract's datatypes.
        contract: axes, their sizes, ranges of values.
        limits: the largest size of each free axis.

    Returns:
        The number of items, B.

    Raises:
        RequestError: a shape, or a value, that the contract does not allow.
    """
    sizes: dict[str, int] = {}
    for expected in contract.inputs:
        array = tensors[expected.name]
        _check_shape(expected, array.shape, sizes, limits)
        _check_values(expected, array)
    return sizes["batch"]


def _check_shape(
    expected: TensorContract, shape: tuple[int, ...], sizes: dict[str, int], limits: Mapping[str, int]
) -> None:
    if len(shape) != len(expected.shape):
        axes = ", ".join(expected.axes)
        raise RequestError(f"input {expected.name!r}: shape is {list(shape)}, expected [{axes}]")
    for axis, fixed, found in zip(expected.axes, expected.shape, shape, strict=True):
        wanted = fixed if fixed != -1 else sizes.setdefault(axis, found)
        if found != wanted:
            raise RequestError(f"input {expected.name!r}: {axis} is {found}, expected {wanted}")
        if fixed == -1 and not 1 <= found <= limits[axis]:
            raise RequestError(f"input {expected.name!r}: {axis} is {found}, expected 1 to {limits[axis]}")


def _check_values(expected: TensorContract, array: Array) -> None:
    if expected.datatype == "FP32" and not np.isfinite(array).all():
        raise RequestError(f"input {expected.name!r}: holds a value that is no finite number")
    if expected.datatype == "BOOL" and array.view(np.uint8).max() > 1:
        raise RequestError(f"input {expected.name!r}: holds a byte that is neither 0 nor 1")
    if expected.range is None or expected.datatype == "UINT8":
        return
    low, high = expected.range
    if array.min() < low or array.max() > high:
        raise RequestError(f"input {expected.name!r}: holds a value outside {low:g} … {high:g}")
