"""The verb `engine`: TensorRT engines of a model's ONNX files, and a list of what TensorRT does not take."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from data.summary import Summary
from export.model_folder import ModelFolder, read_model_folder
from export.release.manifest import MANIFEST
from export.tensorrt.cache import Engine, EngineRecord, ensure_engine
from export.tensorrt.library import LibraryName, open_library, target_of
from export.tensorrt.profiles import Profile, Range, profile_of
from export.tensorrt.report import Check, add_checks, read_report
from export.tensorrt.worker import ENGINE


def engine(
    *,
    model: Path,
    engines: Path,
    precision: str = "all",
    library: Literal["auto"] | LibraryName = "auto",
    compute_capability: str | None = None,
    batch: Range = (1, 8, 32),
    frames: Range | None = None,
    tokens: Range | None = None,
    sound: Range | None = None,
    timeout: Annotated[float, Field(gt=0)] = 3600,
) -> Summary:
    """Build TensorRT engines of a model folder's or a release's ONNX files, precision as it stands in them.

    An engine that was built before, of the same file by the same version for the same GPUs and sizes, is kept. What
    was built and what was refused is written to the model folder's reports/tensorrt.json; a release is sealed, and
    stays as it is.

    Args:
        model: folder that `export` or `seal` wrote.
        engines: folder of engines, see `export.tensorrt.cache`.
        precision: which ONNX file; "all" for all.
        library: "auto" is TensorRT where it is installed, else TensorRT-RTX.
        compute_capability: of the GPUs; see `export.tensorrt.library.target_of`.
        batch: fewest, typical and most items of a request.
        frames: of an item, likewise; None: all that preprocess.json can give.
        tokens: likewise.
        sound: places in time of a spectrogram, a hundred a second, likewise.
        timeout: seconds that one build may take.

    Returns:
        A summary; `ok` is False where the precision that was named is refused, or all are.

    Raises:
        InputError: a file is missing or wrong, TensorRT is not installed, or does not build for such a GPU.
    """
    folder = read_model_folder(model)
    names = list(folder.record.precisions) if precision == "all" else [precision]
    for name in names:
        folder.onnx_file(name)
    read_report(folder.folder)  # what is wrong there is said before anything is built
    chosen = open_library(library)
    target = target_of(chosen, compute_capability)
    profile = profile_of(folder.preprocessing, batch=batch, frames=frames, tokens=tokens, sound=sound)
    built = [
        ensure_engine(engines, folder, name, library=chosen, target=target, profile=profile, timeout=timeout)
        for name in names
    ]
    lines = [line for each in built for line in _lines(each)]
    written = [each.folder for each in built if each.record.outcome.built]
    if not (folder.folder / MANIFEST).is_file():
        written.append(add_checks(folder.folder, (check_of(each.record) for each in built)))
    count = sum(each.record.outcome.built for each in built)
    by = f"{chosen.name} {chosen.version} for compute capability {target}"
    lines.append(f"sizes (fewest/typical/most): {_sizes(profile, folder)}; nothing was run")
    return Summary(f"engine: {count} of {len(built)} built by {by}", written, lines, ok=count > 0)


def check_of(record: EngineRecord) -> Check:
    """What a build says of an ONNX file."""
    return Check(
        precision=record.precision,
        model_digest=record.model_digest,
        library=record.library,
        version=record.version,
        compute_capability=record.compute_capability,
        stage=record.outcome.stage,
        refusals=record.outcome.refusals,
    )


def _lines(engine: Engine) -> list[str]:
    record = engine.record
    if not record.outcome.built:
        return [f"{record.precision}: {record.outcome.words()}"]
    size = (engine.folder / ENGINE).stat().st_size / 1e6
    when = "built before" if engine.kept else f"built in {record.outcome.seconds:.1f} s"
    return [f"{record.precision}: {when}, {size:.0f} MB"]


def _sizes(profile: Profile, folder: ModelFolder) -> str:
    reads_sound = any("time" in tensor.axes for tensor in folder.contract.inputs)
    names = ["batch", "frames", "tokens", *(["sound"] if reads_sound else [])]
    return ", ".join(f"{name} {'/'.join(str(size) for size in getattr(profile, name))}" for name in names)
