"""contract.json: the served tensors in Open Inference Protocol terms, and the check of an ONNX model against it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import onnx
from onnx import TensorProto
from pydantic import Field, ValidationError

from data.errors import InputError
from data.files import read_json
from data.policy import Strict, findings_of

TEXT = "one text of caption, ocr_text and asr_text, as tokens"
FLAGS = "true where the band's threshold is reached; `index` in policies.json is a band's column"
Datatype = Literal["UINT8", "BOOL", "INT64", "FP32"]
ONNX_TYPES: dict[Datatype, int] = {
    "UINT8": TensorProto.UINT8,
    "BOOL": TensorProto.BOOL,
    "INT64": TensorProto.INT64,
    "FP32": TensorProto.FLOAT,
}


class TensorContract(Strict):
    """One tensor; `name`, `datatype` and `shape` as in the Open Inference Protocol's model metadata."""

    name: str
    datatype: Datatype
    shape: list[int] = Field(description="-1 where the size is the caller's choice")
    axes: list[str]
    range: tuple[float, float] | None = Field(description="smallest and largest valid value; null: any finite")
    padding: int | float | bool | None = Field(description="what fills places that the mask leaves out")
    meaning: str


class Contract(Strict):
    """What a served model takes and gives."""

    format: Literal["setpoint/contract/v1"] = Field(alias="schema")
    platform: Literal["onnx_onnxv1"]
    inputs: list[TensorContract]
    outputs: list[TensorContract]


def contract_of(
    *, height: int, width: int, vocabulary_size: int, pad_token_id: int, policy_count: int, num_mels: int = 0
) -> Contract:
    """The contract of a model; frames, tokens, time, batch and bands are free, and at least 1 but for bands.

    A model that reads no sound, `num_mels` 0, has no inputs for it.
    """

    def tensor(
        name: str,
        datatype: Datatype,
        axes: dict[str, int],
        meaning: str,
        limits: tuple[float, float] | None = None,
        padding: float | bool | None = None,
    ) -> TensorContract:
        return TensorContract(
            name=name,
            datatype=datatype,
            shape=list(axes.values()),
            axes=list(axes),
            range=limits,
            padding=padding,
            meaning=meaning,
        )

    clip = {"batch": -1, "frames": -1}
    words = {"batch": -1, "tokens": -1}
    scores = {"batch": -1, "policies": policy_count}
    sound = {"batch": -1, "time": -1}
    heard = [
        tensor(
            "log_mel",
            "FP32",
            {"batch": -1, "mels": num_mels, "time": -1},
            "spectrogram by preprocess.json; what is beyond its audio_seconds is not heard",
            padding=0,
        ),
        tensor("audio_mask", "BOOL", sound, "true where there is sound; all false: no audio", padding=False),
    ]
    picture = {**clip, "channels": 3, "height": height, "width": width}
    return Contract(
        schema="setpoint/contract/v1",
        platform="onnx_onnxv1",
        inputs=[
            tensor("frames", "UINT8", picture, "RGB frames, resized by preprocess.json", (0, 255), 0),
            tensor("frame_mask", "BOOL", clip, "true where a frame is real; all false: no visual", padding=False),
            tensor("frame_times", "FP32", clip, "seconds since the first frame; 0 for photos", padding=0),
            tensor(
                "token_ids",
                "INT64",
                words,
                "tokens of caption, ocr_text, asr_text",
                (0, vocabulary_size - 1),
                pad_token_id,
            ),
            tensor("token_mask", "BOOL", words, "true where a token is real; all false: no text", padding=False),
            *(heard if num_mels else []),
        ],
        outputs=[
            tensor("logits", "FP32", scores, "raw score per policy; thresholds compare these"),
            tensor("probabilities", "FP32", scores, "calibrated probability of violating", (0, 1)),
            tensor(
                "flags",
                "BOOL",
                {"batch": -1, "bands": -1},
                FLAGS,
            ),
        ],
    )


def read_contract(path: str | Path) -> Contract:
    """Read contract.json; InputError names file, key and value."""
    try:
        return Contract.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(findings_of(path, error)) from error


def mismatches(contract: Contract, model: onnx.ModelProto) -> list[str]:
    """What differs between a contract and an ONNX model: names, order, types, sizes, free axes; [] if nothing."""
    initialisers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initialisers]
    return [
        *_differences("input", contract.inputs, inputs),
        *_differences("output", contract.outputs, model.graph.output),
    ]


def _differences(kind: str, expected: list[TensorContract], found: Iterable[onnx.ValueInfoProto]) -> list[str]:
    found = list(found)
    names = [tensor.name for tensor in expected]
    found_names = [value.name for value in found]
    if names != found_names:
        return [f"{kind}s: expected {', '.join(names)}; found {', '.join(found_names)}"]
    differences = []
    for tensor, value in zip(expected, found, strict=True):
        elem_type = value.type.tensor_type.elem_type
        if elem_type != ONNX_TYPES[tensor.datatype]:
            type_name = TensorProto.DataType.Name(elem_type)
            differences.append(f"{kind} {tensor.name}: expected {tensor.datatype}, found {type_name}")
        axes = [(name if size == -1 else size) for name, size in zip(tensor.axes, tensor.shape, strict=True)]
        found_axes = [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        if axes != found_axes:
            differences.append(f"{kind} {tensor.name}: expected shape {axes}, found {found_axes}")
    return differences
