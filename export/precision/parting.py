"""A graph in two: up to its last convolutions, and the rest; quantising and running the first alone is quick."""

import onnx
from onnx import helper

from export.precision.int8 import before_convolutions, layers_of


def parted(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The part that int8 may change, and the rest, which takes its outputs by their names among its inputs.

    Args:
        model: with at least one convolution.
    """
    graph = model.graph
    behind = {name for layer in layers_of(model) for name in layer.nodes}
    before = before_convolutions(model)
    first = [node for place, node in enumerate(graph.node) if place in before or node.name in behind]
    kept = {id(node) for node in first}
    rest = [node for node in graph.node if id(node) not in kept]
    made = {name for node in first for name in node.output}
    wanted = {name for node in rest for name in node.input} | {value.name for value in graph.output}
    values = {
        value.name: value for value in (*onnx.shape_inference.infer_shapes(model).graph.value_info, *graph.output)
    }
    crossing = [values[name] for name in sorted(made & wanted)]
    return (
        _part(model, first, list(graph.input), crossing),
        _part(model, rest, [*graph.input, *crossing], list(graph.output)),
    )


def _part(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """These nodes, with the inputs and initialisers that they use."""
    used = {name for node in nodes for name in node.input}
    return helper.make_model(
        helper.make_graph(
            nodes,
            model.graph.name,
            [value for value in inputs if value.name in used],
            outputs,
            [tensor for tensor in model.graph.initializer if tensor.name in used],
        ),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        functions=model.functions,
    )
