"""Requests and answers of the Open Inference Protocol v2 as bytes: JSON, and its extension for binary tensors.

No server here, and no meaning: bytes in, arrays out, and back. `export.serving.checks` says which arrays may run.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.graph.contract import Contract, TensorContract

Array = NDArray[np.generic]

DTYPES: dict[str, type[np.generic]] = {
    "UINT8": np.uint8,
    "BOOL": np.bool_,
    "INT64": np.int64,
    "FP32": np.float32,
}
JSON_KINDS = {"UINT8": "iu", "BOOL": "b", "INT64": "iu", "FP32": "iuf"}
"""What numpy may make of a JSON list for each datatype: no number is rounded, and no true is a 1."""
HEADER_LENGTH = "inference-header-content-length"
LARGEST_HEADER = 2**20
"""Bytes of JSON before binary tensors."""


class RequestError(Exception):
    """A request that is not answered; the message is for whoever wrote the client."""

    def __init__(self, problem: str, *, status: int = 400) -> None:
        super().__init__(problem)
        self.status = status


@dataclass(frozen=True)
class WantedOutput:
    """An output that the client asked for, and whether as bytes or as JSON."""

    name: str
    binary: bool


@dataclass(frozen=True, eq=False)
class InferRequest:
    """One request: arrays by input name, in the contract's order; they look into the bytes of the request."""

    request_id: str | None
    tensors: dict[str, Array]
    outputs: tuple[WantedOutput, ...]


def decode_request(body: bytes, header_length: int | None, contract: Contract) -> InferRequest:
    """Read one request.

    Args:
        body: the whole HTTP body.
        header_length: of the JSON before the binary tensors; None where the body is JSON alone.
        contract: whose inputs must be there, each once, and nothing else.

    Raises:
        RequestError: it is not a request, names other tensors or datatypes, or its bytes do not fill its shapes.
    """
    view = memoryview(body)
    if header_length is not None:
        if not 0 < header_length <= len(body):
            raise RequestError(f"{HEADER_LENGTH} is {header_length}, the body has {len(body)} bytes")
        if header_length > LARGEST_HEADER:
            raise RequestError(f"{HEADER_LENGTH} is {header_length}, over the limit of {LARGEST_HEADER}", status=413)
    header = _object(_json(view[:header_length]), "the request")
    given = _list(header.get("inputs"), "inputs")
    expected = {tensor.name: tensor for tensor in contract.inputs}
    tensors: dict[str, Array] = {}
    offset = len(body) if header_length is None else header_length
    for place, entry in enumerate(given):
        held = _object(entry, f"inputs[{place}]")
        name = held.get("name")
        if not isinstance(name, str) or name not in expected:
            raise RequestError(f"inputs[{place}]: no input {name!r}; the inputs are {', '.join(expected)}")
        if name in tensors:
            raise RequestError(f"input {name!r} is given twice")
        size = _binary_size(held, name)
        tensors[name] = _tensor(held, expected[name], None if size is None else view[offset : offset + size], size)
        offset += size or 0
    missing = [name for name in expected if name not in tensors]
    if missing:
        raise RequestError(f"input {missing[0]!r} is missing; the inputs are {', '.join(expected)}")
    if offset != len(body):
        raise RequestError(f"{len(body) - offset} bytes follow the last binary tensor")
    request_id = header.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError("id: expected a text")
    return InferRequest(
        request_id=request_id,
        tensors={name: tensors[name] for name in expected},
        outputs=_wanted(header, [tensor.name for tensor in contract.outputs]),
    )


def encode_answer(
    request: InferRequest, answers: Mapping[str, Array], contract: Contract, *, model_name: str, model_version: str
) -> tuple[bytes, int | None]:
    """The HTTP body of an answer, and the length of the JSON in it; None where it is JSON alone."""
    datatypes = {tensor.name: tensor.datatype for tensor in contract.outputs}
    entries: list[dict[str, Any]] = []
    parts = []
    for wanted in request.outputs:
        array = answers[wanted.name]
        entry: dict[str, Any] = {
            "name": wanted.name,
            "datatype": datatypes[wanted.name],
            "shape": list(array.shape),
        }
        if wanted.binary:
            parts.append(array.tobytes())
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = array.ravel().tolist()
        entries.append(entry)
    header: dict[str, Any] = {"model_name": model_name, "model_version": model_version, "outputs": entries}
    if request.request_id is not None:
        header["id"] = request.request_id
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([text, *parts]), len(text) if parts else None


def _tensor(held: dict[str, Any], expected: TensorContract, data: memoryview | None, size: int | None) -> Array:
    name, datatype = expected.name, held.get("datatype")
    if datatype != expected.datatype:
        raise RequestError(f"input {name!r}: datatype is {datatype!r}, expected {expected.datatype}")
    shape = held.get("shape")
    if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
        raise RequestError(f"input {name!r}: shape is {str(shape)[:80]}, expected a list of whole numbers")
    dtype = np.dtype(DTYPES[datatype])
    count = math.prod(shape)
    if data is None:
        array = _from_json(held.get("data"), name, datatype)
        if array.size != count:
            raise RequestError(f"input {name!r}: {array.size} values, its shape {shape} takes {count}")
        return array.reshape(shape)
    if len(data) != size:
        raise RequestError(f"input {name!r}: binary_data_size is {size}, only {len(data)} bytes are left in the body")
    if len(data) != count * dtype.itemsize:
        problem = f"{len(data)} bytes, its shape {shape} in {datatype} takes {count * dtype.itemsize}"
        raise RequestError(f"input {name!r}: {problem}")
    return np.frombuffer(data, dtype).reshape(shape)


def _from_json(values: object, name: str, datatype: str) -> Array:
    if not isinstance(values, list):
        raise RequestError(f"input {name!r}: has neither data nor binary_data_size")
    try:
        found = np.array(values)
    except (ValueError, OverflowError) as error:
        raise RequestError(f"input {name!r}: data is not a list, or nested lists of one shape") from error
    dtype = DTYPES[datatype]
    if found.size and found.dtype.kind not in JSON_KINDS[datatype]:
        raise RequestError(f"input {name!r}: data holds what is no {datatype}")
    with np.errstate(over="ignore"):
        array: Array = found.astype(dtype)
    if datatype in ("UINT8", "INT64") and (array != found).any():
        raise RequestError(f"input {name!r}: data holds a number beyond {datatype}")
    return array


def _binary_size(held: dict[str, Any], name: str) -> int | None:
    parameters = _object(held.get("parameters", {}), f"parameters of input {name!r}")
    _refuse_others(parameters, {"binary_data_size"}, f"input {name!r}")
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise RequestError(f"input {name!r}: binary_data_size is {str(size)[:40]}, expected a number of bytes")
    if "data" in held:
        raise RequestError(f"input {name!r}: has both data and binary_data_size")
    return size


def _wanted(header: dict[str, Any], known: list[str]) -> tuple[WantedOutput, ...]:
    parameters = _object(header.get("parameters", {}), "parameters")
    _refuse_others(parameters, {"binary_data_output"}, "the request")
    binary_by_default = bool(parameters.get("binary_data_output", False))
    entries = header.get("outputs")
    if not entries:
        return tuple(WantedOutput(name, binary_by_default) for name in known)
    wanted = []
    for place, entry in enumerate(_list(entries, "outputs")):
        held = _object(entry, f"outputs[{place}]")
        name = held.get("name")
        if not isinstance(name, str) or name not in known:
            raise RequestError(f"outputs[{place}]: no output {name!r}; the outputs are {', '.join(known)}")
        settings = _object(held.get("parameters", {}), f"parameters of output {name!r}")
        _refuse_others(settings, {"binary_data"}, f"output {name!r}")
        wanted.append(WantedOutput(name, bool(settings.get("binary_data", binary_by_default))))
    return tuple(wanted)


def _refuse_others(parameters: dict[str, Any], known: set[str], where: str) -> None:
    """Shared memory, sequences, classification …: a parameter that would be ignored is an error."""
    for name in parameters:
        if name not in known:
            raise RequestError(f"{where}: the parameter {name!r} is not known to this server")


def _json(text: memoryview) -> object:
    try:
        return json.loads(bytes(text))
    except (ValueError, RecursionError) as error:
        raise RequestError(
            f"the request is not JSON ({type(error).__name__}); with binary tensors, the header "
            f"{HEADER_LENGTH} says how many bytes of it are"
        ) from error


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RequestError(f"{where}: expected a JSON object")
    return value


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise RequestError(f"{where}: expected a list")
    return value
