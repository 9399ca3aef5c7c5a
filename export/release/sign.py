"""The verb `sign_release`: put one's name under a release that was sealed elsewhere, and holds."""

from pathlib import Path

from data.files import existing_folder
from data.summary import Summary
from export.release.verify import verify
from export.trust.signature import read_signature, sign_folder


def sign_release(*, release: Path, sign_key: str) -> Summary:
    """Sign a release that `verify` passes; its id and its files stay as they are.

    Args:
        release: folder of the release; a signature that it has is replaced.
        sign_key: what to sign with, as `export.trust.signature.sign_folder` takes it.

    Returns:
        What was signed; or why `verify` fails, with `ok` False and nothing signed.

    Raises:
        InputError: no such folder, or no such key.
    """
    folder = existing_folder(release)
    checked = verify(release=folder)
    if not checked.ok:
        title = f"sign_release: {folder.name} is not signed, because it does not verify"
        return Summary(title, [], checked.lines, ok=False)
    before = read_signature(folder)
    signature = sign_folder(folder, sign_key)
    lines = [f"in the place of the signature by {before}"] if before else []
    return Summary(f"sign_release: {folder.name} is signed by {signature}", [folder / "model.sig"], lines)
