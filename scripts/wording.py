"""Errors of libraries in words for the person at the command line: what is wrong, where, what was expected."""

import difflib
import errno
import os
import re
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# What a config group of Hydra's own needs, and the extra that brings it.
EXTRAS = {"hydra/launcher/submitit": "slurm", "hydra/sweeper/optuna": "search", "hydra/sweeper/sampler": "search"}


def nearest(word: str, known: Iterable[str]) -> str:
    """What to say of a mistyped word: the nearest known one, else all that are."""
    names = sorted(known)
    found = near(word, names)
    if found is not None:
        return f"did you mean {found!r}?"
    return f"expected one of {', '.join(names)}" if names else "`--help` lists the keys"


def near(word: str, known: Iterable[str]) -> str | None:
    """The known name that a word may stand for: mistyped, shortened (`lr`) or in part (`epochs`); None without any.

    Args:
        word: as it was given.
        known: names, dotted where nested; the least nested first where several are meant.
    """
    names = sorted(known, key=lambda name: (name.count("."), name))
    given = word.rpartition(".")[2]
    lasts = [name.rpartition(".")[2] for name in names]
    parts = [last.split("_") for last in lasts]
    initials = ["".join(part[:1] for part in each) for each in parts]
    if len(given) > 1 and given in initials:
        return names[initials.index(given)]
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return close[0]
    close = difflib.get_close_matches(given, lasts, n=1)
    if close:
        return names[lasts.index(close[0])]
    return next((name for name, each in zip(names, parts, strict=True) if given in each), None)


def dotted_keys(config: Any) -> list[str]:
    """The keys of a config that the user may set, those within others dotted; none of Hydra's own."""
    from omegaconf import OmegaConf

    found: list[str] = []

    def walk(node: Any, start: str) -> None:
        for key, value in node.items() if isinstance(node, dict) else ():
            found.append(f"{start}{key}")
            walk(value, f"{start}{key}.")

    walk(OmegaConf.to_container(config), "")
    return [key for key in found if key.partition(".")[0] != "hydra"]


def composition_words(error: Exception) -> str:
    """What Hydra or OmegaConf could not compose or read."""
    text = " ".join(str(error).split()).rstrip(".")
    missing_extra = next((extra for start, extra in EXTRAS.items() if f"'{start}" in text), None)
    if missing_extra is not None and "Could not find" in text:
        return f"this needs a plugin that is not installed; run: pip install 'setpoint[{missing_extra}]'"
    option = re.search(r"Could not find '([^']+)/([^'/]+)'.*Available options in '[^']+': (.*?) Config search", text)
    if option:
        group, given, options = option.groups()
        known = options.split()
        found = near(given, known)
        hint = f"did you mean {found!r}? " if found else ""
        return f"{group}={given}: no such option; {hint}Available options in '{group}': {', '.join(known)}"
    cause = _unknown_key(error)
    if cause is not None:
        key = str(getattr(cause, "key", "")) or str(cause).split("'")[1]
        parent: Any = getattr(cause, "parent_node", None)
        name = str(getattr(cause, "full_key", "") or key)
        siblings = [str(each) for each in parent if each != "hydra"] if hasattr(parent, "keys") else []
        if near(key, siblings) is None and hasattr(parent, "_get_root"):  # it may stand elsewhere
            found = near(key, dotted_keys(parent._get_root()))
            siblings = [found] if found else siblings
        return f"{name}: unknown key; {nearest(key, siblings)}"
    return text.partition(" Config search path")[0].partition(" Set the environment variable HYDRA_FULL_ERROR")[0]


def _unknown_key(error: BaseException | None) -> BaseException | None:
    """The error in a chain of causes that speaks of a key which its node does not have."""
    while error is not None:
        if re.search(r"Key '[^']*' (is )?not in", str(error)) and hasattr(error, "parent_node"):
            return error
        error = error.__cause__
    return None


def known_keys(types: dict[str, Any], location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand where a value of a verb was refused.

    Args:
        types: of the verb's arguments.
        location: of the refused key, as pydantic gives it: `("model", "image", "sorce")`.
    """
    fields = types
    for part in location[:-1]:
        models = _models_in(fields.get(str(part)))
        fields = {name: field.annotation for model in models for name, field in model.model_fields.items()}
    return list(fields)


def _models_in(annotation: Any) -> list[Any]:
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def file_words(error: OSError) -> str:
    """Where and why a file could not be read or written, and what to do."""
    from data.files import TEMPORARY_PREFIX

    place = ""
    if error.filename:
        path = Path(os.fsdecode(error.filename))
        place = f"{path.parent if path.name.startswith(TEMPORARY_PREFIX) else path}: "
    advice = "run the command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
        advice = "name a folder that you may write to"
    return f"{place}{error.strerror or error}; nothing half-written was left, {advice}"
