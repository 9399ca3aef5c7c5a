"""What lies in a folder, on a disk or behind an fsspec URL, and plain words where it cannot be read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.preprocessing import reason_of
from data.shards.index import INDEX, ITEMS
from data.shards.reading import ENDINGS


@dataclass(frozen=True)
class Listed:
    """A shard as its folder lists it.

    Attributes:
        name: of the file.
        bytes: None where the file system does not say (web servers).
        version: changes when the file does.
    """

    name: str
    bytes: int | None
    version: str


@dataclass(frozen=True)
class Folder:
    """Shards in one folder.

    Attributes:
        url: of the folder; an absolute path where it is on this machine.
        shards: sorted by name.
        has_index: whether an index.json lies beside them.
        is_whole: False where a pattern chose some of its shards.
    """

    url: str
    shards: list[Listed]
    has_index: bool
    is_whole: bool

    @property
    def is_local(self) -> bool:
        """Whether shards are read where they are."""
        return "://" not in self.url


def list_folder(given: str) -> Folder:
    """List a folder's shards, or those that a pattern names.

    Args:
        given: a path or URL of a folder, or of files with * in their name.

    Raises:
        InputError: it cannot be read, or holds no shards.
    """
    whole = given.rstrip("/")
    parent, _, pattern = whole.rpartition("/")
    folder = (parent or ".") if "*" in pattern else whole
    if "*" in folder:
        raise InputError(f"shards={given}: expected one folder, with * in the names of its files at most")
    try:
        files, paths = file_system(folder)
        listed = {str(one["name"]).rstrip("/").rsplit("/", 1)[-1]: one for one in files.ls(paths, detail=True)}
        matching = listed
        if "*" in pattern:
            found = files.glob(f"{paths.rstrip('/')}/{pattern}")
            matching = {name: listed[name] for name in (path.rsplit("/", 1)[-1] for path in found)}
        shards = [
            Listed(name, one.get("size"), str(files.ukey(one["name"])))
            for name, one in sorted(matching.items())
            if Path(name).suffix in ENDINGS and name != ITEMS
        ]
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"shards={given}: no such folder") from error
    except Exception as error:  # every fsspec file system has its own
        raise InputError(f"shards={given}: cannot be listed ({reason_of(error)})") from error
    if not shards:
        raise InputError(
            f"shards={given}: no .tar or .parquet file there; found {', '.join(sorted(matching)[:5]) or 'nothing'}"
        )
    url = str(Path(paths).resolve()) if is_local(files) else folder
    return Folder(url, shards, has_index=INDEX in listed, is_whole="*" not in pattern)


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it.

    Raises:
        InputError: there is none, or its package is not installed.
    """
    import fsspec  # noqa: PLC0415 (not needed where media are files)

    try:
        files, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        scheme = url.partition("://")[0]
        raise InputError(f"{url}: {scheme}:// needs a package that is not here ({reason_of(error)})") from error
    except ValueError as error:
        raise InputError(f"{url}: {reason_of(error)}") from error
    return files, str(path)


def is_local(files: Any) -> bool:
    """Whether a file system is this machine's."""
    return "file" in ([files.protocol] if isinstance(files.protocol, str) else files.protocol)
