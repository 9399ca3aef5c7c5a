"""JSON Lines, line by line: what is wrong in which line, and a table of all other lines.

Polars reads these files much faster and says neither which line is wrong nor how. `data.tables` comes here once it
has failed, or has found a column of another type.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from data.errors import Finding

DataType = pl.DataType | type[pl.DataType]
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class JsonLines:
    """A file as far as it can be read.

    Attributes:
        frame: a row for each line that holds an object; a value of the wrong type is null.
        wrong_values: the values of the wrong type; their rows are those of `frame`, from 1.
        wrong_lines: the lines that hold no object.
        lines: the line of each row, from 1.
    """

    frame: pl.DataFrame
    wrong_values: list[Finding]
    wrong_lines: list[Finding]
    lines: list[int]


def read_json_lines(path: Path, schema: Mapping[str, DataType]) -> JsonLines:
    """Read every line by itself.

    Args:
        path: the file.
        schema: types of columns that may stand in it: texts, lists of texts, whole numbers, numbers. Others are kept
            in the type that they have.
    """
    objects: list[dict[str, Any]] = []
    lines: list[int] = []
    wrong: list[Finding] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(BYTE_ORDER_MARK).strip()
            if not text:
                continue
            found = _object_of(text)
            if isinstance(found, str):
                wrong.append(Finding(path, found, number))
                if not objects and text.startswith(b"["):
                    break  # each line of it would be wrong for the same reason
            else:
                objects.append(found)
                lines.append(number)
    columns: list[pl.Series] = []
    wrong_values: list[Finding] = []
    for name in dict.fromkeys(key for one in objects for key in one):
        values = [one.get(name) for one in objects]
        if name in schema:
            values, problems = _typed(values, schema[name])
            wrong_values += [
                Finding(path, problem, row + 1, name, objects[row][name], item_id=_item_id(objects[row], name))
                for row, problem in problems
            ]
            columns.append(pl.Series(name, values, dtype=schema[name]))
        else:
            columns.append(_series(name, values))
    return JsonLines(pl.DataFrame(columns), wrong_values, wrong, lines)


def lines_with_content(path: Path) -> list[int]:
    """The numbers of the lines that are not blank, from 1: those that polars makes rows of."""
    with path.open("rb") as file:
        return [number for number, line in enumerate(file, start=1) if line.strip()]


def _object_of(text: bytes) -> dict[str, Any] | str:
    """The object of a line, or what is wrong with the line."""
    expected = "expected one JSON object a line"
    try:
        found = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        return f"not UTF-8 text; {expected}, in UTF-8"
    except json.JSONDecodeError as error:
        if text.startswith(b"["):
            return f"a JSON array begins here; {expected}, without brackets around or commas between them"
        return f"not JSON ({error.msg} at character {error.colno}); {expected}"
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error}); {expected}"
    if not isinstance(found, dict):
        return f"{_kind(found)}; {expected}"
    # Half of a surrogate pair is no character; polars reads it as \0.
    plain = re.sub("[\ud800-\udfff]", r"\\u0000", json.dumps(found, ensure_ascii=False)) if b"\\u" in text else ""
    return json.loads(plain) if plain else found


def _item_id(one: dict[str, Any], field: str) -> str | None:
    found = one.get("item_id")
    return str(found) if field != "item_id" and isinstance(found, str | int) else None


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"it has no {word}; leave the key out, or write null")


def _typed(values: list[Any], dtype: DataType) -> tuple[list[Any], list[tuple[int, str]]]:
    """The values in a column's type, null where they have another, and which ones have: place and problem."""
    typed: list[Any] = []
    problems: list[tuple[int, str]] = []
    for place, value in enumerate(values):
        try:
            typed.append(None if value is None else _value(value, dtype))
        except (TypeError, ValueError, OverflowError):
            typed.append(None)
            problems.append((place, f"expected {type_in_words(dtype)}, found {_kind(value)}"))
    return typed, problems


def _value(value: Any, dtype: DataType) -> Any:
    """One value in a column's type; an error of Python's where it has none. Numbers may be texts, as in polars."""
    if dtype == pl.String:
        if isinstance(value, list | dict):
            raise TypeError
        return value if isinstance(value, str) else json.dumps(value)
    if isinstance(dtype, pl.List):
        if not isinstance(value, list):
            raise TypeError
        return [None if one is None else _value(one, pl.String) for one in value]
    if isinstance(value, bool | list | dict):
        raise TypeError
    number = float(value)
    if dtype == pl.Float64:
        return number
    whole = int(value) if isinstance(value, int | str) else math.trunc(number)
    if not -(2**63) <= whole < 2**63:
        raise ValueError
    return whole


def _series(name: str, values: list[Any]) -> pl.Series:
    """A column of a type that we know nothing of; where its values have several, it is text."""
    try:
        return pl.Series(name, values)
    except (pl.exceptions.PolarsError, TypeError, OverflowError, ValueError):
        texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        return pl.Series(name, texts, dtype=pl.String)


def type_in_words(dtype: DataType) -> str:
    """What a column of this type holds, in words for who wrote the file."""
    if isinstance(dtype, pl.List):
        return "a list of texts"
    if dtype == pl.String:
        return "a text"
    return "a whole number" if dtype == pl.Int64 else "a number"


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a text"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "a number"
