"""TensorRT's errors as refusals: which node of the ONNX, and why, without the places of its own source."""

import re
from collections.abc import Iterable
from typing import Any

import onnx

from export.tensorrt.outcome import Refusal

REASON_LENGTH = 300


def parser_refusals(parser: Any, model: onnx.ModelProto) -> list[Refusal]:
    """What the ONNX parser found wrong, each node once."""
    refusals = []
    for place in range(parser.num_errors):
        error = parser.get_error(place)
        operator, index = error.node_operator(), error.node()
        node = error.node_name()
        nodes = model.graph.node
        if not node and 0 <= index < len(nodes) and nodes[index].op_type == operator:
            node = nodes[index].output[0]
        refusals.append(Refusal(node=node, operator=operator, reason=parser_reason(error.desc(), operator)))
    return list(dict.fromkeys(refusals))


def parser_reason(words: str, operator: str) -> str:
    """The parser's assertion in plain words.

    >>> parser_reason("false", "Det")
    'TensorRT has no such operator'
    >>> parser_reason('(antialias == 0) && "Antialiasing is not supported currently."', "Resize")
    'Antialiasing is not supported currently.'
    >>> parser_reason("Assertion failed: isZero(zero): Non-zero zero point is not supported.", "QuantizeLinear")
    'Non-zero zero point is not supported.'
    """
    if words.strip() == "false":
        return "TensorRT has no such operator" if operator else "TensorRT gives no reason"
    quoted = re.search(r'&& "([^"]+)"', words)
    if quoted:
        return shortened(quoted[1])
    return shortened(re.sub(r"^Assertion failed: .*?(?<!:): (?!:)", "", words))


def build_refusals(errors: Iterable[str], model: onnx.ModelProto) -> list[Refusal]:
    """What TensorRT's log says of a build that failed, with the node where the log names one."""
    operators = {node.name: node.op_type for node in model.graph.node if node.name}
    refusals = []
    for message in errors:
        words = [word.strip(".:") for word in re.findall(r"[\w./:-]+", message)]
        node = next((word for word in words if word in operators), "")
        refusals.append(Refusal(node=node, operator=operators.get(node, ""), reason=shortened(message)))
    unexplained = Refusal(node="", operator="", reason="TensorRT gives no reason")
    return list(dict.fromkeys(refusals)) or [unexplained]


def shortened(words: str) -> str:
    """One line of at most `REASON_LENGTH`, without the file and function of TensorRT's that said it.

    >>> shortened("IBuilder::build: Error Code 1: Myelin ([a.cpp:3: check] FP32 is\\n too wide. In x at /a.cpp:2)")
    'Myelin: FP32 is too wide.'
    """
    line = " ".join(words.split())
    line = re.sub(r"\s*In \S+ at \S+?:\d+", "", line)
    line = re.sub(r"^\[?\w+(?:::\w+)+(?:::\d+\])?:? Error Code \d+: ", "", line)
    line = re.sub(r"\(\[\w+\.\w+:\d+: \w+\] (.*?)\)?$", r": \1", line).replace(" : ", ": ")
    return line if len(line) <= REASON_LENGTH else line[: REASON_LENGTH - 1] + "…"
