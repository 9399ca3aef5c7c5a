"""manifest.json: every file of a release with its digest, and the id that follows from them."""

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from data.errors import InputError
from data.files import sha256_of_file, sha256_of_json
from data.policy import Strict, findings_of
from export.trust.limits import DEEPEST, LARGEST_IN_ALL, LARGEST_MANIFEST, MOST_FILES, out_of_place
from export.trust.signature import SIGNATURE

MANIFEST = "manifest.json"
ID_LENGTH = 16


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path != str(PurePosixPath(path)) or path.startswith("/") or ".." in parts or "\\" in path:
        raise ValueError("expected a relative path inside the release, with forward slashes")
    if not path.isprintable():
        raise ValueError("expected a path of printable characters")
    if path in (MANIFEST, SIGNATURE):
        raise ValueError(f"expected none of {MANIFEST} and {SIGNATURE}, which stand beside the files of a manifest")
    return path


class FileEntry(Strict):
    """One file of a release."""

    path: Annotated[str, AfterValidator(_inside)]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class Manifest(Strict):
    """The content of manifest.json.

    Attributes:
        release_id: first 16 hex digits of the SHA-256 over the content but for id, time and digest.
        parent: id of the release that this one follows; None for a first one.
        rollback_to: id of the release to serve again should this one have to go; None for a first one.
        created_at: when it was sealed, UTC; the one time of day in a release.
        toolchain: versions of what sealed it.
        engines: which models it holds.
        files: all files but manifest.json and model.sig, sorted by path.
        digest: SHA-256 over all of the rest, id and time included.
    """

    format: Literal["setpoint/release/v1"] = Field(alias="schema")
    release_id: str = Field(alias="id", pattern=r"^[0-9a-f]{16}$")
    parent: str | None = Field(pattern=r"^[0-9a-f]{16}$")
    rollback_to: str | None = Field(default=None, pattern=r"^[0-9a-f]{16}$")
    created_at: str
    toolchain: dict[str, str]
    engines: list[str]
    files: list[FileEntry]
    digest: str

    def text(self) -> str:
        """The file's content; no other text is a valid manifest."""
        content = self.model_dump(mode="json", by_alias=True)
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def make_manifest(
    folder: Path, *, created_at: str, toolchain: dict[str, str], engines: list[str], parent: str | None = None
) -> Manifest:
    """Describe the files that stand in `folder` now, but for a manifest and a signature."""
    paths = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    files = [
        {"path": path, "sha256": sha256_of_file(folder / path), "size": (folder / path).stat().st_size}
        for path in sorted(paths - {MANIFEST, SIGNATURE})
    ]
    content: dict[str, Any] = {
        "schema": "setpoint/release/v1",
        "id": "",
        "parent": parent,
        "rollback_to": parent,
        "created_at": created_at,
        "toolchain": toolchain,
        "engines": engines,
        "files": files,
        "digest": "",
    }
    content["id"] = id_of(content)
    content["digest"] = digest_of(content)
    return Manifest.model_validate(content)


def id_of(content: dict[str, Any]) -> str:
    """The id that follows from a manifest's content."""
    left_out = ("id", "created_at", "digest")
    return sha256_of_json({key: value for key, value in content.items() if key not in left_out})[:ID_LENGTH]


def digest_of(content: dict[str, Any]) -> str:
    """The digest that follows from a manifest's content."""
    return sha256_of_json({key: value for key, value in content.items() if key != "digest"})


def read_manifest(folder: Path) -> Manifest:
    """Read manifest.json of a release and check it against itself.

    Raises:
        InputError: it is missing, not one, or was changed in any byte.
    """
    file = folder / MANIFEST
    if file.is_symlink() or not file.is_file():
        raise InputError(f"{file}: no such file; expected a release that `setpoint seal` wrote")
    if file.stat().st_size > LARGEST_MANIFEST:
        raise InputError(f"{file}: {file.stat().st_size:,} bytes, at most {LARGEST_MANIFEST:,} can be right")
    data = file.read_bytes()
    try:
        content = json.loads(data)
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise InputError(findings_of(file, error)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not a JSON file ({type(error).__name__})") from error
    if data != manifest.text().encode("utf-8", errors="replace"):
        raise InputError(
            f"{file}: not written the way that this version's `setpoint seal` writes it; it was changed, or another "
            "version of Setpoint sealed it"
        )
    if manifest.digest != digest_of(content):
        raise InputError(f"{file}: its digest does not match its content; it was changed")
    if manifest.release_id != id_of(content):
        raise InputError(f"{file}: the id {manifest.release_id} does not follow from its content; it was changed")
    return manifest


def differences(folder: Path, manifest: Manifest) -> list[str]:
    """What stands in `folder` otherwise than the manifest says, a sentence each; [] if nothing does."""
    found = dict(islice(_walk(folder), MOST_FILES + 1))
    if len(found) > MOST_FILES:
        return [f"{folder}: more than {MOST_FILES:,} files; a release has fewer"]
    odd = {path: kind for path, kind in found.items() if kind != "file"}
    problems = [f"{path}: a {kind}; a release holds plain files only" for path, kind in odd.items()]
    entries = {entry.path: entry for entry in manifest.files}
    if len(entries) != len(manifest.files):
        problems.append(f"{MANIFEST}: lists a file twice")
    if sum(entry.size for entry in manifest.files) > LARGEST_IN_ALL:
        return [*problems, f"{MANIFEST}: lists more than {LARGEST_IN_ALL:,} bytes; a release has fewer"]
    new = found.keys() - entries.keys() - {MANIFEST, SIGNATURE}
    problems += [f"{path}: not in the manifest" for path in sorted(new)]
    problems += [f"{path}: missing" for path in sorted(entries.keys() - found)]
    for path in sorted(found.keys() & entries.keys()):
        if found[path] == "file":
            problems += _changes(folder / path, entries[path])
    return problems


def digests_of(folder: Path, manifest: Manifest) -> dict[str, str]:
    """SHA-256 of all that a signature has to cover, by path: the manifest, and the files as it lists them."""
    return {entry.path: entry.sha256 for entry in manifest.files} | {MANIFEST: sha256_of_file(folder / MANIFEST)}


def _changes(file: Path, entry: FileEntry) -> Iterator[str]:
    size = file.stat().st_size
    wrong = out_of_place(entry.path, size)
    if wrong:
        yield f"{entry.path}: {wrong}"
    elif size != entry.size:
        yield f"{entry.path}: {size:,} bytes, the manifest says {entry.size:,}"
    elif sha256_of_file(file) != entry.sha256:
        yield f"{entry.path}: its digest does not match the manifest; it was changed"


def _walk(folder: Path) -> Iterator[tuple[str, str]]:
    """All that is not a plain folder, as (path, kind); links are not followed."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        with os.scandir(current) as entries:
            inside = sorted(islice(entries, MOST_FILES + 1), key=lambda entry: entry.name)
            if not inside and current != folder:
                yield current.relative_to(folder).as_posix(), "folder without a file"
            for entry in inside:
                place = Path(entry.path).relative_to(folder)
                path = place.as_posix()
                if entry.is_symlink():
                    yield path, "link"
                elif entry.is_dir(follow_symlinks=False):
                    if len(place.parts) > DEEPEST:
                        yield path, "folder too deep"
                    else:
                        waiting.append(Path(entry.path))
                else:
                    yield path, "file" if entry.is_file(follow_symlinks=False) else "special file"
