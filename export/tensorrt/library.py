"""Which TensorRT is installed: TensorRT itself, for data-centre GPUs, or TensorRT-RTX, which builds on any CPU."""

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any, Literal

from data.errors import InputError

LibraryName = Literal["tensorrt", "tensorrt-rtx"]
MODULES: dict[LibraryName, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
INSTALL: dict[LibraryName, str] = {
    "tensorrt": "pip install tensorrt-cu13, from NVIDIA's package index",
    "tensorrt-rtx": "pip install 'setpoint[tensorrt-rtx]'",
}
PORTABLE = "8.0 and up"
"""The compute capability of a TensorRT-RTX engine that names none: every GPU that it knows, from Ampere on."""


@dataclass(frozen=True)
class Library:
    """An installed TensorRT.

    Attributes:
        name: of its package.
        version: engines of one version do not load in another.
        module: its Python module; both have the same classes.
    """

    name: LibraryName
    version: str
    module: Any


def is_installed(name: LibraryName) -> bool:
    """Whether the package is there; it may still fail to load."""
    return importlib.util.find_spec(MODULES[name]) is not None


def open_library(name: Literal["auto"] | LibraryName = "auto") -> Library:
    """Load a TensorRT; "auto" is TensorRT where it is installed, else TensorRT-RTX.

    Raises:
        InputError: it is not installed, or cannot be loaded.
    """
    best: LibraryName = "tensorrt" if is_installed("tensorrt") else "tensorrt-rtx"
    chosen = best if name == "auto" else name
    if not is_installed(chosen):
        others = f"neither TensorRT ({INSTALL['tensorrt']}) nor " if name == "auto" else ""
        raise InputError(f"{others}{chosen} is {'' if others else 'not '}installed; run: {INSTALL[chosen]}")
    try:
        module = importlib.import_module(MODULES[chosen])
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{chosen} is installed but cannot be loaded ({reason}); run: {INSTALL[chosen]}") from error
    return Library(chosen, module.__version__, module)


def gpu_capability() -> str | None:
    """Compute capability of this machine's GPU, such as "8.9"; None where there is none that CUDA can use."""
    import torch  # noqa: PLC0415 (seconds to import, and builds on the CPU need none of it)

    return "{}.{}".format(*torch.cuda.get_device_capability()) if torch.cuda.is_available() else None


def target_of(library: Library, asked: str | None) -> str:
    """The compute capability that an engine is built for.

    Args:
        library: TensorRT builds for this machine's GPU alone; TensorRT-RTX for any that it knows.
        asked: such as "8.9"; None: this machine's GPU with TensorRT, `PORTABLE` with TensorRT-RTX.

    Raises:
        InputError: this library does not build for it, or needs a GPU.
    """
    if library.name == "tensorrt-rtx":
        known = rtx_capabilities(library)
        if asked is None:
            return PORTABLE
        if asked not in known:
            raise InputError(
                f"compute_capability = {asked!r}: tensorrt-rtx {library.version} builds for {', '.join(known)}; "
                f"or leave it out, for {PORTABLE} in one engine"
            )
        return asked
    found = gpu_capability()
    if found is None:
        raise InputError(
            "tensorrt builds on the GPU that will serve, and there is none here; library=tensorrt-rtx builds without"
        )
    if asked not in (None, found):
        raise InputError(
            f"compute_capability = {asked!r}: tensorrt builds for this machine's GPU alone, which has {found}"
        )
    return found


def rtx_capabilities(library: Library) -> dict[str, Any]:
    """The compute capabilities that TensorRT-RTX builds for, e.g. {"8.9": ComputeCapability.SM89}, ascending."""
    members = library.module.ComputeCapability.__members__
    numbers = {name.removeprefix("SM"): value for name, value in members.items() if name.startswith("SM")}
    return {f"{number[:-1]}.{number[-1]}": numbers[number] for number in sorted(numbers, key=int)}


def target_label(target: str) -> str:
    """A target as part of a folder's name.

    >>> target_label("8.9"), target_label("12.0"), target_label(PORTABLE)
    ('sm89', 'sm120', 'sm80up')
    """
    return "sm" + target.replace(" and ", "").replace(".", "")
