"""Under which licence an encoder's weights came: what its package or folder says, in its own words, or "unknown"."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import yaml

from export.trust.limits import KNOWN
from train.encoders.locations import PACKAGE_PREFIX

UNKNOWN = "unknown"
TEXTS = ("LICENSE", "LICENCE", "COPYING", "NOTICE")
LARGEST_TEXT = KNOWN["licenses/*.txt"]


@dataclass(frozen=True)
class Licence:
    """What is known of a licence.

    Attributes:
        name: as the source states it, such as `mit` or `Apache-2.0`; "unknown" where it states none.
        stated_in: where that name was found; None where it was not.
        text: the licence texts that lie beside the weights; None without.
    """

    name: str = UNKNOWN
    stated_in: str | None = None
    text: str | None = None


def licence_of(source: str) -> Licence:
    """The licence of an encoder's source: `package:NAME`, a local folder, or a name in the local cache of the hub.

    Nothing is fetched and nothing is guessed: a text without a name stays a text of unknown name.
    """
    if source.startswith(PACKAGE_PREFIX):
        return _of_package(source.removeprefix(PACKAGE_PREFIX))
    if Path(source).is_dir():
        return _of_files(sorted(path for path in Path(source).iterdir() if path.is_file()))
    return _of_files(list(_cached(source)))


def _of_package(package: str) -> Licence:
    names = metadata.packages_distributions().get(package, [])
    if not names:
        return Licence()
    distribution = metadata.distribution(names[0])
    paths = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
    beside = _of_files([path for path in paths if path.is_file()])
    for key in ("License-Expression", "License"):
        stated = " ".join((distribution.metadata[key] or "").split()) if key in distribution.metadata else ""
        if stated and stated.lower() != UNKNOWN and len(stated) <= 100:  # some put the whole text here
            place = f"{key} of the package {names[0]} {distribution.version}"
            if beside.stated_in is None:
                return Licence(stated, place, beside.text)
            # What lies with the weights speaks of them; the package may speak of its own few lines of code.
            return Licence(beside.name, f"{beside.stated_in}; {place} says {stated}", beside.text)
    return beside


def _of_files(files: list[Path]) -> Licence:
    texts = [
        read
        for path in files
        if path.stem.upper().startswith(TEXTS) and path.suffix.lower() in ("", ".txt", ".md", ".rst")
        if (read := _read(path)) is not None
    ]
    text = "\n\n".join(dict.fromkeys(texts)) or None
    for path in files:
        if path.name.lower() == "readme.md":
            stated = _front_matter(_read(path) or "").get("license")
            if isinstance(stated, str) and stated.strip():
                return Licence(stated.strip(), "front matter of its README.md", text)
    return Licence(text=text)


def _cached(name: str) -> Iterator[Path]:
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

    for file in ("README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE"):
        try:
            found = try_to_load_from_cache(name, file)
        except ValueError:  # no name of the hub
            return
        if isinstance(found, str):
            yield Path(found)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.stat().st_size <= LARGEST_TEXT else None
    except (OSError, UnicodeDecodeError):
        return None


def _front_matter(text: str) -> dict[str, object]:
    parts = text.split("---", maxsplit=2)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:
        found = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}
