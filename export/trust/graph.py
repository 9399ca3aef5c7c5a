"""An ONNX graph of unknown origin: nothing outside its file, nothing of the machine behind it, no foreign operator.

Asked before a runtime loads it; that the graph is valid is the ONNX checker's to say.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import onnx
from onnx.external_data_helper import uses_external_data

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Whose operators ONNX Runtime has built in; others come as libraries, which a release does not hold."""

PLACE = re.compile(r"(^|[^\w.])(/(home|root|Users|tmp|opt|usr|var|mnt|work)/|[A-Za-z]:\\|~/)|\.py\b")
"""Beginnings of absolute paths, and names of source files."""

SHOWN = 60


def graph_problems(model: onnx.ModelProto) -> Iterator[str]:
    """What speaks against loading a graph, half a sentence each."""
    if any(uses_external_data(tensor) for tensor in _tensors(model)):
        yield "keeps weights in other files"
    foreign = {node.domain for node in _nodes(model)} - set(DOMAINS) - {each.domain for each in model.functions}
    yield from (f"has operators of {_shown(domain)}, which no runtime has built in" for domain in sorted(foreign))
    told = sum(1 for part in _parts(model) if part.doc_string or part.metadata_props)
    if told:
        yield f"has doc strings or metadata in {told:,} places; they tell of the code and the machine that wrote it"
    placed = sorted({name for name in _names(model) if PLACE.search(name)})
    yield from (f"names a place on a machine, or a source file: {_shown(name)}" for name in placed[:3])


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The graph and all subgraphs, those of functions too."""
    waiting = [model.graph]
    loose = [node for function in model.functions for node in function.node]
    while waiting or loose:
        nodes: Iterable[onnx.NodeProto] = loose
        loose = []
        if waiting:
            graph = waiting.pop()
            yield graph
            nodes = [*nodes, *graph.node]
        for node in nodes:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for function in model.functions:
        yield from function.node
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Initialisers and constants."""
    for graph in _graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from [attribute.t, *attribute.tensors]


def _parts(model: onnx.ModelProto) -> Iterator[Any]:
    """All that may carry a doc string or metadata."""
    yield from (model, *model.functions, *_nodes(model))
    for graph in _graphs(model):
        yield from (graph, *graph.initializer, *graph.input, *graph.output, *graph.value_info)


def _names(model: onnx.ModelProto) -> Iterator[str]:
    yield from (model.producer_name, model.producer_version, model.domain)
    for graph in _graphs(model):
        yield graph.name
        yield from (each.name for each in (*graph.initializer, *graph.input, *graph.output))
    for node in _nodes(model):
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (text.decode(errors="replace") for each in node.attribute for text in (each.s, *each.strings))


def _shown(name: str) -> str:
    return repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}…")
