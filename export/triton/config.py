"""config.pbtxt of the three models of a repository, as the text form of Triton's ModelConfig."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from export.graph.contract import Contract, TensorContract

TYPES = {"UINT8": "TYPE_UINT8", "BOOL": "TYPE_BOOL", "INT64": "TYPE_INT64", "FP32": "TYPE_FP32"}
TEXTS = ("CAPTION", "OCR_TEXT", "ASR_TEXT")
LABELS = {"logits": "policies.txt", "probabilities": "policies.txt", "flags": "bands.txt"}


@dataclass(frozen=True)
class Word:
    """A value without quotes: an enum."""

    text: str


Value = str | int | bool | Word | Mapping[str, "Value"] | Sequence["Value"]
Fields = dict[str, Value]


@dataclass(frozen=True)
class WarmUp:
    """One golden input that a model runs before it is ready: raw files in `warmup/`, and shapes of one item."""

    name: str
    shapes: Mapping[str, tuple[int, ...]]


def model_config(
    name: str,
    contract: Contract,
    *,
    platform: str,
    version: int,
    num_bands: int,
    max_batch: int,
    max_delay_ms: float,
    warm_ups: Sequence[WarmUp],
) -> str:
    """The model itself, by ONNX Runtime (`onnxruntime_onnx`) or TensorRT (`tensorrt_plan`)."""
    types = {tensor.name: TYPES[tensor.datatype] for tensor in contract.inputs}
    outputs: list[Value] = []
    for tensor in contract.outputs:
        dims = [num_bands] if tensor.name == "flags" else tensor.shape[1:]
        outputs.append({**_tensor(tensor, dims), "label_filename": LABELS[tensor.name]})
    return _text(
        {
            "name": name,
            "platform": platform,
            "max_batch_size": max_batch,
            "version_policy": {"specific": {"versions": [version]}},
            "input": [_tensor(tensor, tensor.shape[1:]) for tensor in contract.inputs],
            "output": outputs,
            "dynamic_batching": {"max_queue_delay_microseconds": int(max_delay_ms * 1000)},
            "model_warmup": [_warm_up(each, types) for each in warm_ups],
        }
    )


def preprocess_config(name: str, contract: Contract, *, version: int) -> str:
    """The step in Python: encoded media and texts of one item to the contract's inputs."""
    return _text(
        {
            "name": name,
            "backend": "python",
            "max_batch_size": 1,
            "version_policy": {"specific": {"versions": [version]}},
            "input": _encoded_inputs(),
            "output": [_tensor(tensor, tensor.shape[1:]) for tensor in contract.inputs],
        }
    )


def ensemble_config(name: str, contract: Contract, *, version: int, num_bands: int, steps: tuple[str, str]) -> str:
    """Both in a row, as clients ask it; `steps` are the names of the preprocessing and of the model."""
    tensors: Fields = {tensor.name: tensor.name for tensor in contract.inputs}
    outputs: Fields = {tensor.name: tensor.name for tensor in contract.outputs}
    encoded: Fields = {key: key for key in ("MEDIA", "MEDIA_TYPE", *TEXTS)}
    return _text(
        {
            "name": name,
            "platform": "ensemble",
            "max_batch_size": 1,
            "version_policy": {"specific": {"versions": [version]}},
            "input": _encoded_inputs(),
            "output": [
                _tensor(tensor, [num_bands] if tensor.name == "flags" else tensor.shape[1:])
                for tensor in contract.outputs
            ],
            "ensemble_scheduling": {
                "step": [
                    {"model_name": steps[0], "model_version": version, **_maps(encoded, tensors)},
                    {"model_name": steps[1], "model_version": version, **_maps(tensors, outputs)},
                ]
            },
        }
    )


def _encoded_inputs() -> list[Value]:
    sizes = {"MEDIA": -1, **dict.fromkeys(("MEDIA_TYPE", *TEXTS), 1)}
    return [
        {"name": name, "data_type": Word("TYPE_STRING"), "dims": [size], "optional": True}
        for name, size in sizes.items()
    ]


def _maps(inputs: Fields, outputs: Fields) -> Fields:
    maps: Fields = {}
    for field, names in (("input_map", inputs), ("output_map", outputs)):
        maps[field] = [{"key": key, "value": value} for key, value in names.items()]
    return maps


def _tensor(tensor: TensorContract, dims: list[int]) -> Fields:
    return {"name": tensor.name, "data_type": Word(TYPES[tensor.datatype]), "dims": dims}


def _warm_up(warm_up: WarmUp, types: Mapping[str, str]) -> Fields:
    inputs: list[Value] = []
    for name, shape in warm_up.shapes.items():
        file = f"{warm_up.name}.{name}"
        inputs.append(
            {
                "key": name,
                "value": {"data_type": Word(types[name]), "dims": list(shape), "input_data_file": file},
            }
        )
    return {"name": warm_up.name, "batch_size": 1, "inputs": inputs}


def _text(fields: Fields) -> str:
    return "\n".join(_lines(fields, "")) + "\n"


def _lines(fields: Mapping[str, Value], indent: str) -> Iterator[str]:
    for name, value in fields.items():
        repeated = isinstance(value, Sequence) and not isinstance(value, str)
        for one in value if repeated else [value]:  # type: ignore[union-attr]
            if isinstance(one, Mapping):
                yield f"{indent}{name} {{"
                yield from _lines(one, indent + "  ")
                yield f"{indent}}}"
            else:
                yield f"{indent}{name}: {_scalar(one)}"


def _scalar(value: Value) -> str:
    if isinstance(value, Word):
        return value.text
    return json.dumps(value)
