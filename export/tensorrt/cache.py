"""Where built engines stand: a cache of the user's that may be deleted at any time, outside of models and releases.

    ENGINES/1f2e3d4c5b6a7988/tensorrt-10.13.3.9-sm89-fp16/engine.plan     of the ONNX file with this digest
                                                          engine.json     what it is, and how it was built

The digest is of the file, not of the model: sealing writes thresholds into the graph, and an engine holds them.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from data.errors import InputError
from data.files import TEMPORARY_PREFIX, atomic_folder, read_json, sha256_of_file, write_json
from data.policy import Strict
from export.model_folder import ModelFolder
from export.tensorrt.build import LONGEST, build_apart
from export.tensorrt.library import Library, LibraryName, target_label
from export.tensorrt.outcome import Outcome
from export.tensorrt.profiles import Profile
from export.tensorrt.worker import ENGINE, BuildRequest

RECORD = "engine.json"


class EngineRecord(Strict):
    """The content of engine.json.

    Attributes:
        compute_capability: of the GPUs that it is for.
        outcome: what came of the build; one that was refused has no engine.
        engine_sha256: of `engine.plan`; None where it was refused.
    """

    format: Literal["setpoint/engine/v1"] = Field(default="setpoint/engine/v1", alias="schema")
    library: LibraryName
    version: str
    compute_capability: str
    precision: str
    onnx_sha256: str
    model_digest: str
    profile: Profile
    outcome: Outcome
    engine_sha256: str | None


@dataclass(frozen=True)
class Engine:
    """An engine of the cache, or the record of its refusal.

    Attributes:
        folder: that holds them.
        record: what it is.
        kept: it was built before.
    """

    folder: Path
    record: EngineRecord
    kept: bool


def ensure_engine(
    engines: Path,
    model: ModelFolder,
    precision: str,
    *,
    library: Library,
    target: str,
    profile: Profile,
    any_sizes: bool = False,
    timeout: float = LONGEST,
) -> Engine:
    """The engine of a model's ONNX file: the one of the cache where it fits, else a new one in its place.

    It fits where it is whole and of this very file, version and target. Where the new one cannot be built the old
    one stays. Of several processes that ask for an engine at once one builds, and the others wait for it.

    Args:
        engines: the cache.
        model: a model folder or a release.
        precision: which of its ONNX files.
        library: that builds it.
        target: compute capability, as of `export.tensorrt.library.target_of`.
        profile: its sizes.
        any_sizes: take one of the cache whatever its sizes.
        timeout: seconds that a build may take.

    Raises:
        InputError: the model has no such precision, or the file is not the one that was exported.
    """
    onnx = model.onnx_file(precision)
    digest = model.record.precisions[precision].sha256
    place = engines / digest[:16] / f"{library.name}-{library.version}-{target_label(target)}-{precision}"
    timing = f"{library.name}-{library.version}-{target_label(target)}.timing"
    request = BuildRequest(
        onnx=str(onnx.resolve()),
        library=library.name,
        target=target,
        shapes=profile.shapes(model.contract),
        timing_cache=str(engines.resolve() / timing),
    )
    with _one_at_a_time(place.parent) as temporary:
        found = _find(place, digest)
        if found is not None and (any_sizes or found.profile == profile):
            return Engine(place, found, kept=True)
        outcome = build_apart(request, temporary / ENGINE, timeout=timeout)
        record = EngineRecord(
            library=library.name,
            version=library.version,
            compute_capability=target,
            precision=precision,
            onnx_sha256=digest,
            model_digest=model.record.precisions[precision].model_digest,
            profile=profile,
            outcome=outcome,
            engine_sha256=sha256_of_file(temporary / ENGINE) if outcome.built else None,
        )
        if outcome.built or found is None:  # an engine of other sizes is better than none
            with atomic_folder(place) as folder:
                if outcome.built:
                    (temporary / ENGINE).rename(folder / ENGINE)
                write_json(folder / RECORD, record.model_dump(mode="json", by_alias=True))
    return Engine(place, record, kept=False)


def _find(folder: Path, onnx_sha256: str) -> EngineRecord | None:
    """The record of the engine in this folder; None where there is none, or not a whole one of this ONNX file."""
    try:
        record = EngineRecord.model_validate(read_json(folder / RECORD))
    except (InputError, ValidationError):
        return None
    engine = folder / ENGINE
    if record.onnx_sha256 != onnx_sha256 or not record.outcome.built or not engine.is_file():
        return None
    return record if sha256_of_file(engine) == record.engine_sha256 else None


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[Path]:
    """Hold a folder for one process, and give it a place for what is not whole yet."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for leftover in folder.glob(f"{TEMPORARY_PREFIX}build-*"):  # of a killed process
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f"{TEMPORARY_PREFIX}build-", dir=folder) as temporary:
            yield Path(temporary).resolve()
    finally:
        os.close(descriptor)
