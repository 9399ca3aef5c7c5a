"""Releases that follow one another over one network: each names its parent, and the one to go back to."""

from collections.abc import Iterator
from pathlib import Path

from data.errors import InputError
from data.summary import Summary
from export.model_folder import read_model_folder
from export.release.manifest import Manifest, differences, read_manifest

MOST_PARENTS = 100


def chain_problems(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What is wrong with the parents of a release, as far as they lie beside it; nothing if nothing is.

    A parent is what its name says, down to the byte, and holds the same network.

    Args:
        folder: of the release.
        manifest: of the release.
    """
    network = read_model_folder(folder).record.model_digest
    seen = {manifest.release_id}
    while manifest.parent is not None:
        beside = folder.resolve().parent / manifest.parent
        if manifest.parent in seen or len(seen) > MOST_PARENTS:
            yield f"manifest.json: the chain of parents does not end, at {manifest.parent}"
            return
        if not beside.exists() and not beside.is_symlink():
            return
        try:
            parent = read_manifest(beside)
            changed = differences(beside, parent)
            if parent.release_id != manifest.parent:
                changed = [f"it is the release {parent.release_id}"]
            elif not changed and read_model_folder(beside).record.model_digest != network:
                changed = ["it holds another model"]
        except InputError as error:
            changed = [str(error)]
        if changed:
            yield f"parent {manifest.parent}, which lies beside it: {changed[0]}"
            return
        seen.add(parent.release_id)
        manifest = parent


def chain_words(folder: Path, manifest: Manifest) -> list[str]:
    """A line on a release's parent for those who read that it was checked; none for a first release."""
    if manifest.parent is None:
        return []
    beside = (folder.resolve().parent / manifest.parent).is_dir()
    where = "which lies beside it, with the same model" if beside else "which does not lie beside it"
    return [f"follows release {manifest.parent}, {where}; go back to {manifest.rollback_to}"]


def refuse_unverified(parent: Path, checked: Summary) -> None:
    """Stop where a parent does not verify: what follows it would rest on it.

    Raises:
        InputError: with the first reasons.
    """
    if not checked.ok:
        reasons = "; ".join(checked.lines[:3])
        raise InputError(f"{parent}: this parent does not verify, and nothing can follow it: {reasons}")
