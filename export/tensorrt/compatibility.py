"""What TensorRT-RTX says of a release, asked on a CPU: part of verification where it is installed."""

from dataclasses import dataclass, field
from pathlib import Path

from data.errors import InputError
from export.model_folder import ModelFolder, read_model_folder
from export.tensorrt.build import build_apart
from export.tensorrt.library import INSTALL, Library, is_installed, open_library, target_of
from export.tensorrt.outcome import Outcome
from export.tensorrt.profiles import profile_of
from export.tensorrt.report import REPORT, read_report
from export.tensorrt.worker import BuildRequest

MEMORY = 2**34
"""Bytes that the building process may take: the graph may be a stranger's."""


@dataclass(frozen=True)
class Compatibility:
    """The answer.

    Attributes:
        reasons: what contradicts reports/tensorrt.json.
        lines: what TensorRT-RTX takes and refuses, or why it was not asked.
    """

    reasons: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def check_compatibility(folder: Path, *, seconds: float = 300.0) -> Compatibility:
    """Offer every ONNX file of a model folder or release to TensorRT-RTX, and throw the engines away.

    A refusal is a line, since a release need not be served by TensorRT; it is a reason where the report says that
    this very version took the file.

    Args:
        folder: whose records can be read.
        seconds: longest that one engine may take.
    """
    if not is_installed("tensorrt-rtx"):
        return Compatibility(lines=[f"TensorRT was not asked: tensorrt-rtx is not here ({INSTALL['tensorrt-rtx']})"])
    try:
        library = open_library("tensorrt-rtx")
    except InputError as error:
        return Compatibility(lines=[f"TensorRT was not asked: {error}"])
    model, report = read_model_folder(folder), read_report(folder)
    target = target_of(library, None)
    taken = {
        check.precision
        for check in (report.checks if report else [])
        if (check.library, check.version, check.compute_capability) == (library.name, library.version, target)
        and check.stage == "built"
    }
    answer = Compatibility()
    for precision in model.record.precisions:
        outcome = offer(model, precision, library, target, seconds=seconds)
        if outcome.built:
            words = f"an engine of {precision} was built for compute capability {target}, and not run"
        else:
            words = f"{precision} {outcome.words()}"
        words = f"{library.name} {library.version}: {words}"
        if precision in taken and outcome.stage in ("parsing", "building"):
            answer.reasons.append(f"{REPORT}: says that {precision} was built, but {words}")
        else:
            answer.lines.append(words)
    return answer


def offer(model: ModelFolder, precision: str, library: Library, target: str, *, seconds: float) -> Outcome:
    """Build the engine of one ONNX file, and throw it away."""
    request = BuildRequest(
        onnx=str(model.onnx_file(precision).resolve()),
        library=library.name,
        target=target,
        shapes=profile_of(model.preprocessing).shapes(model.contract),
        memory=MEMORY,
    )
    return build_apart(request, timeout=seconds)
