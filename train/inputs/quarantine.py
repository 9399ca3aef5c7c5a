"""Items that training leaves out because their media cannot be read: counted, listed, limited."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import read_json, write_json
from train.features.encode import Encoded

SHOWN = 5


def quarantine(
    encoded: dict[str, Encoded], *, num_items: int, max_fraction: float, began_with: Path | None = None
) -> list[dict[str, Any]]:
    """List the unreadable items of all parts.

    Args:
        encoded: each part by name.
        num_items: of all parts.
        max_fraction: of them that may be unreadable.
        began_with: what the run wrote when it began, if it goes on; it may be missing.

    Raises:
        InputError: there are more, or others than the run began with.
    """
    found = [{"part": name, **asdict(one)} for name, part in encoded.items() for one in part.quarantined]
    if len(found) > max_fraction * num_items:
        shown = "\n".join(f"  {one['item_id']}: {one['reason']}" for one in found[:SHOWN])
        raise InputError(
            f"{len(found)} of {num_items} items cannot be read, more than max_unreadable_fraction={max_fraction}:\n"
            f"{shown}\n`setpoint validate` lists them all"
        )
    if began_with is not None and began_with.exists():
        _check_unchanged(began_with, found)
    return found


def write_quarantine(path: Path, found: list[dict[str, Any]]) -> None:
    """Write the list; an empty one too, which says that all items were read."""
    write_json(path, {"schema": "setpoint/quarantine/v1", "items": found})


def _check_unchanged(path: Path, found: list[dict[str, Any]]) -> None:
    before = {one["item_id"]: one["reason"] for one in read_json(path)["items"]}
    now = {one["item_id"]: one["reason"] for one in found}
    for item_id in sorted(before.keys() ^ now.keys()):
        if item_id in now:
            change = f"item {item_id!r} cannot be read any more ({now[item_id]})"
        else:
            change = f"item {item_id!r} could not be read then ({before[item_id]}) and can be now"
        raise InputError(
            f"{path}: the run began with other items: {change}. Put the file back as it was to go on, or start "
            "again with overwrite=true"
        )
