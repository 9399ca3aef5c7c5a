"""One request through our graph, a plain export of the same network, torch eager and torch.compile, in turns."""

import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from export.graph.onnx_export import example_inputs, free_axes
from export.model_folder import read_model_folder
from export.release.predictor import _open_session
from export.scoring.batch import Batch
from scripts.bench_calibrate import Claims

TURNS = 40
Answer = Callable[[], Any]


def latencies(
    claims: Claims, model: Path, network: nn.Module, requests: Mapping[str, Batch], *, most: float, turns: int = TURNS
) -> None:
    """Measure each request in every way, and print ratios.

    Args:
        claims: for the rows.
        model: folder that `export` wrote.
        network: that it was exported from.
        requests: batches of 1, by name.
        most: the latency of ours over that of the plain export, at most.
        turns: of each.
    """
    folder = read_model_folder(model)
    ours = _open_session(folder.onnx_file("fp32"))  # as predict.py of a release opens it
    with tempfile.TemporaryDirectory() as scratch:
        plain = plain_session(network, example_inputs(folder.contract), free_axes(folder.contract), Path(scratch))
    compiled = torch.compile(network) if shutil.which("g++") or shutil.which("clang++") else None
    if compiled is None:
        print("torch.compile: left out, there is no C++ compiler")
    for name, batch in requests.items():
        given = batch.arrays()
        wide = {key: array.astype(np.float32) if array.dtype == np.uint8 else array for key, array in given.items()}
        positional = dict(zip([each.name for each in plain.get_inputs()], wide.values(), strict=True))
        answers: dict[str, Answer] = {
            "ours": partial(ours.run, ["logits", "probabilities", "flags"], given),
            "plain export": partial(plain.run, None, positional),
            "torch eager": partial(_torch, network, given),
        }
        if compiled is not None:
            answers["torch.compile"] = partial(_torch, compiled, given)
        _compare(claims, name, answers, most=most, turns=turns)


def _compare(claims: Claims, name: str, answers: dict[str, Answer], *, most: float, turns: int) -> None:
    expected = answers["torch eager"]()[0]
    for way, answer in answers.items():
        for _ in range(3):
            found = answer()[0]
        assert np.allclose(found, expected, atol=1e-3), f"{way} computes something else"
    taken: dict[str, list[float]] = {way: [] for way in answers}
    for _ in range(turns):
        for way, answer in answers.items():
            began = time.perf_counter()
            answer()
            taken[way].append(time.perf_counter() - began)
    medians = {way: 1e3 * statistics.median(times) for way, times in taken.items()}
    for way in ("plain export", "torch eager", "torch.compile"):
        if way not in taken:
            continue
        ratio = statistics.median(mine / theirs for mine, theirs in zip(taken["ours"], taken[way], strict=True))
        note = f"{medians['ours']:.1f} over {medians[way]:.1f} ms"
        if way == "plain export":
            claims.below(f"one {name}: latency of ours over {way}", ratio, most, "x", note)
        else:
            print(f"{f'one {name}: latency of ours over {way}':58} {ratio:8.2f} x  {note}")


def plain_session(
    network: nn.Module, example: dict[str, torch.Tensor], axes: dict[str, dict[int, str]], folder: Path
) -> onnxruntime.InferenceSession:
    """The network as others export it: frames in fp32, no decision head, all options left at their defaults."""
    example = {key: held.float() if held.dtype == torch.uint8 else held for key, held in example.items()}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(), tuple(example.values()), dynamo=True, dynamic_shapes=tuple(axes.values()), verbose=False
        )
    assert program is not None
    program.save(str(folder / "plain.onnx"))
    return onnxruntime.InferenceSession(str(folder / "plain.onnx"), providers=["CPUExecutionProvider"])


def _torch(network: Callable[..., torch.Tensor], given: dict[str, Any]) -> list[Any]:
    with torch.inference_mode():
        return [network(**{name: torch.from_numpy(array) for name, array in given.items()}).numpy()]
