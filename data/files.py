"""Files that are whole or absent: written beside their place, synced, then renamed. Digests of content."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.errors import InputError

TEMPORARY_PREFIX = ".setpoint-tmp-"
WRITTEN_BY = {  # names in a workspace, the telling ones first: whoever misses a file learns where it comes from
    "best.ckpt": "train",
    "scores.parquet": "score",
    "traffic.parquet": "traffic",
    "calibration": "calibrate",
    "signed": "sign",
    "split": "split",
    "golden": "golden",
    "model": "export",
}


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there when the block ends well, else delete it.

    A reader sees the old file or the new one. A killed process leaves at most a `.setpoint-tmp-*` file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; put it in the place of `path` when the block ends well.

    Folders that an earlier, killed process left behind are removed first.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}{path.name}-", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}{path.name}-", dir=path.parent))
            path.rename(old / path.name)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(path: Path) -> None:
    """Delete what killed writers of the folder `path` left beside it; put back one that was being replaced."""
    for leftover in path.parent.glob(f"{TEMPORARY_PREFIX}{path.name}-*"):
        replaced = leftover / path.name
        if replaced.is_dir() and not path.exists():
            replaced.rename(path)
        shutil.rmtree(leftover, ignore_errors=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys off, atomically; NaN and infinity are refused."""
    with atomic_file(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; InputError names the file when it is missing or no JSON."""
    path = existing_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from error


def existing_file(path: str | Path) -> Path:
    """Return `path` as a Path, or say that the file is missing."""
    path = Path(path)
    if not path.is_file():
        kind = "is a folder, expected a file" if path.is_dir() else f"no such file{_origin(path)}"
        raise InputError(f"{path}: {kind}")
    return path


def existing_folder(path: str | Path) -> Path:
    """Return `path` as a Path, or say that the folder is missing."""
    path = Path(path)
    if not path.is_dir():
        kind = "is a file, expected a folder" if path.is_file() else f"no such folder{_origin(path)}"
        raise InputError(f"{path}: {kind}")
    return path


def _origin(path: Path) -> str:
    verb = next((verb for name, verb in WRITTEN_BY.items() if name in path.parts[-5:]), None)
    return f"; `setpoint {verb}` writes it" if verb else ""


def sha256_of_file(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(value: Any) -> str:
    """Hex SHA-256 of a JSON value in canonical form (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
