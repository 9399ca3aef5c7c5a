"""The verb `verify`: a release is what was sealed, down to the byte, and decides what its certificates say.

A release may come from anywhere: whatever stands in it, the answer is a list of reasons, never a traceback.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from calibrate.looks import described_looks
from data.files import existing_folder
from data.summary import Summary
from export.release.approval import approval_lines
from export.release.bundle import bundle_predict
from export.release.chain import chain_words
from export.release.content import content_reasons, guarded
from export.release.decisions import read_served_policies
from export.release.manifest import ID_LENGTH, differences, digests_of, read_manifest
from export.release.replay import read_replay
from export.tensorrt.compatibility import Compatibility, check_compatibility
from export.trust.confined import confined
from export.trust.signature import coverage_problems, read_signature, signature_line
from export.trust.trust_root import TrustRoot, read_trust_root, trust_problems

SHOWN_REASONS = 200


def verify(
    *,
    release: Path,
    trust: Path | None = None,
    seconds: Annotated[float, Field(gt=0)] = 300.0,
    tensorrt: bool = True,
) -> Summary:
    """Check a release: its bytes, who signed it, its records, its graph, and its answers to the golden inputs.

    Bytes come first, then the signature; where either is wrong nothing in the folder is opened any further. What
    is opened is opened in a process of its own, with limits of time and memory.

    Args:
        release: folder of the release.
        trust: public key, or folder of keys, that must have signed it; None takes unsigned releases too.
        seconds: longest that reading its content and replaying its golden inputs may take, and a TensorRT engine.
        tensorrt: offer its ONNX files to TensorRT-RTX too, where that is installed; see
            `export.tensorrt.compatibility`.

    Returns:
        A summary with every reason; `ok` is False when there is any.

    Raises:
        InputError: there is no such folder, or no such trust root.
    """
    folder = existing_folder(release)
    root = None if trust is None else read_trust_root(trust)
    reasons = list(guarded("manifest", _check_bytes, folder))
    if reasons:
        reasons.append("the content was not checked, because the bytes are not those that were sealed")
    else:
        reasons += guarded("signature", lambda folder: _check_signature(folder, root), folder)
        if reasons:
            reasons.append("the content was not checked, because the signature is not what it has to be")
    if not reasons:
        reasons, ending = confined(lambda: content_reasons(folder), seconds=seconds)
        if ending:
            reasons.append(f"the content was not checked to its end: the check {ending}")
    offered = check_compatibility(folder, seconds=seconds) if tensorrt and not reasons else Compatibility()
    reasons += offered.reasons
    if reasons:
        shown = [_printable(reason) for reason in reasons[:SHOWN_REASONS]]
        if len(reasons) > len(shown):
            shown.append(f"… and {len(reasons) - len(shown):,} more")
        return Summary(f"verify: FAILED, {folder.name} is not a release to serve", [], shown, ok=False)
    manifest = read_manifest(folder)
    served = read_served_policies(folder / "policies.json")
    looks = {
        " of pack ".join([policy.policy_id, *([pack.name] if pack.name else [])]): band.look.number
        for pack, policy, band in served.all_bands()
        if band.look
    }
    today = datetime.now(UTC).date().isoformat()
    expired = {pack.golden_set.expires_at for pack in served.all_packs()} - {None}
    return Summary(
        f"verify: passed, release {manifest.release_id}",
        [],
        [
            f"{len(manifest.files)} files as sealed; graph, policies.json and operating points agree",
            f"{len(read_replay(folder / 'golden').item_ids)} golden items give the same flags",
            signed_by(folder, root),
            *(_printable(line) for line in approval_lines(served)),
            *chain_words(folder, manifest),
            *([f"precisions {', '.join(served.by_precision())}"] if served.precisions else []),
            *([f"certified at {described_looks(looks)} at the golden set's labels"] if looks else []),
            *([] if root else _cautions(folder)),
            *(_printable(line) for line in offered.lines),
            *(
                f"caution: the golden set expired on {date}; calibrate on a new one"
                for date in sorted(str(each) for each in expired)
                if date < today
            ),
        ],
    )


def signed_by(folder: Path, root: TrustRoot | None = None) -> str:
    """Who signed the files of a release that was checked, and whether that was asked."""
    signature = read_signature(folder)
    if signature is None:
        return signature_line(None)
    known = f"named in {root.path}" if root else "not checked against a trust root"
    return f"{signature_line(signature)}, {known}"


def _cautions(folder: Path) -> Iterator[str]:
    if (folder / "predict.py").read_text(encoding="utf-8") != bundle_predict():
        yield "caution: predict.py is not the one that this version of Setpoint writes; nobody here vouches for it"


def _printable(reason: str) -> str:
    """Names in a foreign folder may hold what a terminal would obey."""
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in reason)


def _check_bytes(folder: Path) -> Iterator[str]:
    manifest = read_manifest(folder)
    name = folder.resolve().name
    looks_like_id = len(name) == ID_LENGTH and set(name) <= set("0123456789abcdef")
    if looks_like_id and name != manifest.release_id:
        yield f"{folder}: the folder is named {name}, the release is {manifest.release_id}"
    yield from differences(folder, manifest)


def _check_signature(folder: Path, root: TrustRoot | None) -> Iterator[str]:
    """A signature covers this release, and nothing else; where a trust root is given, it is of somebody there."""
    signature = read_signature(folder)
    if signature is not None:
        yield from coverage_problems(signature, digests_of(folder, read_manifest(folder)))
    if root is not None:
        yield from trust_problems(folder, signature, root)
