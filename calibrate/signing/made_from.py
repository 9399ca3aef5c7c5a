"""made_from.json: the arguments that a calibration was made with, so that it can be made again.

Paths are relative to the calibration's folder, which moves with its workspace. Never part of a release.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from data.errors import InputError
from data.files import existing_folder, read_json, write_json
from data.policy import Strict, findings_of

MADE_FROM = "made_from.json"
PATH = "path"


class MadeFrom(Strict):
    """The content of made_from.json; a path stands as {"path": …}."""

    format: Literal["setpoint/made_from/v1"] = Field(default="setpoint/made_from/v1", alias="schema")
    arguments: dict[str, Any]


def write_made_from(folder: Path, arguments: Mapping[str, Any], *, out: Path) -> None:
    """Write the arguments of `calibrate`.

    Args:
        folder: to write into.
        arguments: but for `out` and `today`.
        out: where that folder will stand.
    """
    content = MadeFrom(arguments={name: _written(value, _absolute(out)) for name, value in arguments.items()})
    write_json(folder / MADE_FROM, content.model_dump(mode="json", by_alias=True))


def read_made_from(calibration: Path) -> dict[str, Any]:
    """The arguments with which a calibration was made, its paths as text.

    Raises:
        InputError: nothing is known of how it was made, or the file is not what `calibrate` writes.
    """
    folder = existing_folder(calibration)
    file = folder / MADE_FROM
    if not file.is_file():
        raise InputError(
            f"{file}: no such file, and thresholds are certified again before they are signed; give the folder that "
            "`setpoint calibrate` wrote, not one that `setpoint sign` did, and calibrate again if it is older"
        )
    try:
        found = MadeFrom.model_validate(read_json(file)).arguments
    except ValidationError as error:
        raise InputError(findings_of(file, error)) from error
    return {name: _read(value, _absolute(folder)) for name, value in found.items()}


def _written(value: Any, base: Path) -> Any:
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {name: _written(each, base) for name, each in value.items()}
    if isinstance(value, Path):
        return {PATH: Path(os.path.relpath(_absolute(value), base)).as_posix()}
    return value


def _read(value: Any, base: Path) -> Any:
    if isinstance(value, dict):
        if list(value) == [PATH] and isinstance(value[PATH], str):
            return os.path.normpath(base / value[PATH])
        return {name: _read(each, base) for name, each in value.items()}
    return value


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))  # links stay: what they point to may stand elsewhere tomorrow
