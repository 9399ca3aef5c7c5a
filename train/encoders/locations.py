"""Where encoder weights come from: a Hugging Face name, a local folder, or a pip package that carries them.

`package:NAME` is for machines without a model hub. Nothing is downloaded for it, and nothing is unpickled.
"""

import importlib.util
from functools import cache
from pathlib import Path

from data.errors import InputError

PACKAGE_PREFIX = "package:"
LONGEST_WAIT = 5.0  # seconds for the model hub to answer at all
EXPECTED = (
    "a Hugging Face name that is in the local cache or can be downloaded, a folder that save_pretrained wrote, or "
    "package:NAME"
)


def location_of(source: str) -> str:
    """What `from_pretrained` takes; for a name, where no hub answers, the folder in its local cache.

    Raises:
        InputError: there is nothing of that name here, and nothing can be loaded.
    """
    if not source.startswith(PACKAGE_PREFIX):
        return source if Path(source).is_dir() else _hub_location(source)
    folder = package_folder(source.removeprefix(PACKAGE_PREFIX))
    found = sorted(path.parent for path in folder.rglob("config.json") if _holds_weights(path.parent))
    if len(found) != 1:
        raise InputError(
            f"encoder source {source!r}: expected one Transformers model folder in the package, found {len(found)}"
        )
    return str(found[0])


def _hub_location(name: str) -> str:
    from huggingface_hub import constants, snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415
    from huggingface_hub.utils import validate_repo_id  # noqa: PLC0415

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        kind = "is a file, expected a folder" if Path(name).is_file() else "no such folder"
        raise InputError(f"encoder source {name!r}: {kind}; expected {EXPECTED}") from error
    if not constants.is_offline_mode() and _answers(constants.ENDPOINT):
        return name
    try:
        return str(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError as error:
        why = "HF_HUB_OFFLINE is set" if constants.is_offline_mode() else f"{constants.ENDPOINT} does not answer"
        raise InputError(
            f"encoder source {name!r}: no such folder here, not in the cache of the model hub, and cannot be loaded "
            f"from there, as {why}; expected {EXPECTED}"
        ) from error


@cache
def _answers(endpoint: str) -> bool:
    """Whether a model hub answers at all, asked once; the hub's library would try six times for each file."""
    from huggingface_hub.utils import get_session  # noqa: PLC0415

    try:
        get_session().head(endpoint, timeout=LONGEST_WAIT)
    except Exception:  # of whichever HTTP library the hub's uses
        return False
    return True


def _holds_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def package_folder(package: str) -> Path:
    """Where an installed package lies; InputError if it is not installed."""
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise InputError(
            f"encoder source 'package:{package}': no such package is installed; "
            f"run: pip install {package.replace('_', '-')}"
        )
    return Path(next(iter(found.submodule_search_locations)))
