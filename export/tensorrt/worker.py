"""The process that builds: `python -m export.tensorrt.worker FOLDER` reads request.json there, writes outcome.json.

TensorRT is native code that a graph can make crash, hang or fill memory: a process of its own keeps that from the
caller, and gives back the GPU's memory when it ends.
"""

import resource
import sys
import time
from pathlib import Path
from typing import Any

from data.files import read_json, write_json
from data.policy import Strict
from export.tensorrt.library import PORTABLE, Library, LibraryName, open_library, rtx_capabilities
from export.tensorrt.outcome import Outcome

REQUEST, OUTCOME, ENGINE = "request.json", "outcome.json", "engine.plan"


class BuildRequest(Strict):
    """What to build.

    Attributes:
        onnx: the file.
        library: which TensorRT.
        target: compute capability, as of `export.tensorrt.library.target_of`.
        shapes: of each input the smallest, the typical and the largest shape.
        timing_cache: file of what TensorRT measured in earlier builds, read and written where TensorRT has one.
        memory: bytes that the process may take; None: any, as on a GPU, whose memory counts here.
        keep_engine: write the engine, `ENGINE`, into the folder.
    """

    onnx: str
    library: LibraryName
    target: str
    shapes: dict[str, list[list[int]]]
    timing_cache: str | None = None
    memory: int | None = None
    keep_engine: bool = False


def main(folder: Path) -> None:
    """Build what request.json asks for."""
    request = BuildRequest.model_validate(read_json(folder / REQUEST))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if request.memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (request.memory, request.memory))
    outcome = build(request, folder)
    write_json(folder / OUTCOME, outcome.model_dump(mode="json"))


def build(request: BuildRequest, folder: Path) -> Outcome:
    """Parse the ONNX into a strongly typed network and build an engine of it."""
    library = open_library(request.library)
    trt, content = library.module, Path(request.onnx).read_bytes()
    log = _log(trt)
    started = time.perf_counter()
    builder = trt.Builder(log)
    network = builder.create_network(_strongly_typed(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(content):
        from export.tensorrt.refusals import parser_refusals  # noqa: PLC0415 (onnx takes longer than most builds)

        refusals = parser_refusals(parser, _model(content))
        return Outcome(stage="parsing", refusals=refusals, seconds=time.perf_counter() - started)
    config = _config(library, builder, request)
    serialised = builder.build_serialized_network(network, config)
    seconds = time.perf_counter() - started
    if serialised is None:
        from export.tensorrt.refusals import build_refusals  # noqa: PLC0415

        refusals = build_refusals(log.errors, _model(content))
        return Outcome(stage="building", refusals=refusals, num_layers=network.num_layers, seconds=seconds)
    if request.keep_engine:
        (folder / ENGINE).write_bytes(serialised)
    if request.timing_cache and library.name == "tensorrt":
        _write_timing_cache(Path(request.timing_cache), config.get_timing_cache())
    return Outcome(stage="built", num_layers=network.num_layers, seconds=seconds)


def _config(library: Library, builder: Any, request: BuildRequest) -> Any:
    trt = library.module
    config = builder.create_builder_config()
    # fp32 is fp32: with TF32, the default, products have ten bits of mantissa.
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for name, (smallest, typical, largest) in request.shapes.items():
        profile.set_shape(name, smallest, typical, largest)
    config.add_optimization_profile(profile)
    if library.name == "tensorrt-rtx":
        if request.target != PORTABLE:
            config.num_compute_capabilities = 1
            config.set_compute_capability(rtx_capabilities(library)[request.target], 0)
    elif request.timing_cache:
        file = Path(request.timing_cache)
        held = file.read_bytes() if file.is_file() else b""
        config.set_timing_cache(config.create_timing_cache(held), ignore_mismatch=False)
    return config


def _strongly_typed(trt: Any) -> int:
    """The flag that takes precision from the ONNX alone; a TensorRT without the flag knows no other way."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _log(trt: Any) -> Any:
    class Log(trt.ILogger):
        """Keeps errors; TensorRT would print them."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()


def _model(content: bytes) -> Any:
    import onnx  # noqa: PLC0415
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        return onnx.load_from_string(content)
    except DecodeError:
        return onnx.ModelProto()  # no model, and so no nodes to name


def _write_timing_cache(file: Path, cache: Any) -> None:
    from data.files import atomic_file  # noqa: PLC0415

    with atomic_file(file) as temporary:
        temporary.write_bytes(cache.serialize())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
