"""What TensorRT-RTX says of a release, asked on a CPU: part of verification where it is installed."""

from dataclasses import dataclass, field
from pathlib import Path

from data.errors import InputError
from export.model_folder import ModelFolder, read_model_folder
from export.tensorrt.build import build_apart
from export.tensorrt.library import INSTALL, Library, is_installed, open_library, target_of
from export.tensorrt.outcome import Outcome, described
from export.tensorrt.profiles import profile_of
from export.tensorrt.report import read_report
from export.tensorrt.worker import BuildRequest

LONGEST = 900.0
"""Seconds that one engine may take."""


@dataclass(frozen=True)
class Compatibility:
    """The answer.

    Attributes:
        reasons: what contradicts reports/tensorrt.json.
        lines: what TensorRT-RTX takes and refuses, or why it was not asked.
    """

    reasons: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def check_compatibility(folder: Path) -> Compatibility:
    """Offer every ONNX file of a model folder or release to TensorRT-RTX, and throw the engines away.

    A refusal is a line, since a release need not be served by TensorRT; it is a reason where the report says that
    this very version took the file.
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
        outcome = offer(model, precision, library, target)
        if outcome.built:
            words = f"{library.name} {library.version} builds an engine of {precision}"
            answer.lines.append(f"{words} for compute capability {target}; none was run")
            continue
        refused = "; ".join(described(outcome.refusals))
        words = f"{library.name} {library.version} refuses {precision} while {outcome.stage}: {refused}"
        if precision in taken:
            answer.reasons.append(f"reports/tensorrt.json: says that {precision} was built, but {words}")
        else:
            answer.lines.append(words)
    return answer


def offer(model: ModelFolder, precision: str, library: Library, target: str) -> Outcome:
    """Build the engine of one ONNX file, and throw it away."""
    request = BuildRequest(
        onnx=str(model.onnx_file(precision).resolve()),
        library=library.name,
        target=target,
        shapes=profile_of(model.preprocessing).shapes(model.contract),
    )
    return build_apart(request, timeout=LONGEST)
