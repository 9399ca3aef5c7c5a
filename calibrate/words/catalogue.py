"""Reads a catalogue of words, and holds a translation against the English one before anything is said in it."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

from data.errors import Finding, InputError
from data.files import existing_file

ENGLISH = Path(__file__).parent / "words.en.json"
CHOSEN = "SETPOINT_WORDS"  # environment variable: the file of a translation
WRITTEN = "written"
PLURALS = frozenset({"zero", "one", "two", "few", "many", "other"})  # categories of the CLDR; `other` is always there
SETTINGS = (  # no sentences, but what a browser is told, and the signs in numbers
    ("language", "a language tag (BCP 47) such as de or pt-BR", re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")),
    ("direction", "ltr or rtl", re.compile("ltr|rtl")),
    ("number.group", "one sign or none", re.compile(r"\D?")),
    ("number.decimal", "one sign", re.compile(r"\D")),
)


class Placeholder(NamedTuple):
    """{name} or {name:how} in a text."""

    name: str
    how: str


@dataclass(frozen=True)
class Catalogue:
    """Every text, by key.

    Attributes:
        page: what the page itself says, with `language`, `direction` and the signs in numbers; plural forms as
            {category: text}.
        written: what Python writes into certificates, which the page repeats.
    """

    page: dict[str, Any]
    written: dict[str, str]


def chosen_catalogue() -> Catalogue:
    """The translation that SETPOINT_WORDS names, or the English catalogue where it names none.

    Raises:
        InputError: the file is missing or is no translation of every text; with each finding.
    """
    chosen = os.environ.get(CHOSEN)
    return read_translation(Path(chosen)) if chosen else _parted(_read(ENGLISH))


def read_translation(path: Path) -> Catalogue:
    """Read a catalogue that says the same as the English one: the same keys, with the same placeholders.

    Raises:
        InputError: the file is missing or is no translation of every text; with each finding.
    """
    found, english = _read(existing_file(path)), _parted(_read(ENGLISH))
    written = found.get(WRITTEN)
    if not isinstance(written, dict):
        raise InputError([Finding(path, "this part is missing: the texts of certificates", field=WRITTEN)])
    page = {key: value for key, value in found.items() if key != WRITTEN}
    problems = [
        *_problems(path, "", page, english.page),
        *_problems(path, f"{WRITTEN}.", written, english.written),
    ]
    for key, expected, fits in SETTINGS:
        if isinstance(page.get(key), str) and not fits.fullmatch(page[key]):
            problems.append(Finding(path, f"expected {expected}", field=key, value=page[key]))
    if problems:
        raise InputError(problems)
    return Catalogue(page, written)


def placeholders_of(text: str) -> frozenset[Placeholder]:
    """The placeholders of a text.

    Raises:
        ValueError: a brace stands alone.

    Examples:
        >>> sorted(placeholders_of("{wrong:,} of {all}"))
        [Placeholder(name='all', how=''), Placeholder(name='wrong', how=',')]
    """
    return frozenset(Placeholder(name, how or "") for _, name, how, _ in Formatter().parse(text) if name is not None)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not a JSON file in UTF-8 ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object like {ENGLISH.name}")
    return found


def _parted(found: dict[str, Any]) -> Catalogue:
    return Catalogue({key: value for key, value in found.items() if key != WRITTEN}, found[WRITTEN])


def _problems(path: Path, at: str, found: dict[str, Any], english: dict[str, Any]) -> list[Finding]:
    """What a part of a translation lacks, has too much, or says with other placeholders."""
    problems = [Finding(path, "this text is missing", field=f"{at}{key}") for key in english if key not in found]
    for key, value in found.items():
        if key not in english:
            problems.append(Finding(path, f"no such text in {ENGLISH.name}; take it out", field=f"{at}{key}"))
            continue
        problem = _problem(value, english[key])
        if problem:
            problems.append(Finding(path, problem, field=f"{at}{key}", value=value))
    return problems


def _problem(value: object, english: str | dict[str, str]) -> str | None:
    """What is wrong with one text or its plural forms; None if nothing is."""
    if isinstance(english, str):
        value, english = {"other": value}, {"other": english}
    if not isinstance(value, dict) or "other" not in value or not value.keys() <= PLURALS:
        return f"expected {{category: text}} with other, and any of {', '.join(sorted(PLURALS - {'other'}))}"
    if not all(isinstance(form, str) for form in value.values()):
        return "expected a text"
    try:
        used = {category: placeholders_of(form) for category, form in value.items()}
    except ValueError as error:
        return f"expected no brace but those around placeholders ({error})"
    expected = placeholders_of(english["other"])
    if used["other"] != expected or not all(each <= expected for each in used.values()):
        return f"expected the placeholders {_shown(expected)}, and no other"
    return None


def _shown(placeholders: frozenset[Placeholder]) -> str:
    names = sorted(f"{{{name}:{how}}}" if how else f"{{{name}}}" for name, how in placeholders)
    return ", ".join(names) or "none"
