"""The verb `seal`: model, thresholds and evidence in one folder that nobody needs this code to serve."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from calibrate.signing.needed import LONGEST_TEXT, checked_text
from data.errors import InputError
from data.files import TEMPORARY_PREFIX, atomic_folder
from data.policy import Identifier, Strict
from data.summary import Summary
from export.model_folder import FP32, read_model_folder
from export.release.approval import approval_lines
from export.release.chain import chain_words, refuse_unverified
from export.release.decisions import ServedPolicies, read_served_policies
from export.release.manifest import MANIFEST, Manifest, differences, make_manifest, read_manifest
from export.release.sbom import toolchain
from export.release.sealing_inputs import SealingInputs, read_sealing_inputs, served_graph
from export.release.verify import verify
from export.release.writing import write_content, write_text
from export.scoring.parts import only_writer
from export.trust.signature import is_by, read_signature, sign_folder, signature_line


class Pack(Strict):
    """One of several calibrations of a release.

    Attributes:
        calibration: folder that `calibrate` wrote.
        golden: the golden set that it was certified on; None for the one of all packs.
        policies: folder of the policy files, whose bands may differ from pack to pack; None likewise.
    """

    calibration: Path
    golden: Path | None = None
    policies: Path | None = None


def seal(
    *,
    model: Path,
    calibration: Path,
    golden: Path,
    policies: Path,
    releases: Path,
    replay: Annotated[int, Field(ge=1, le=1000)] = 16,
    packs: Annotated[dict[Identifier, Pack | Path], Field(min_length=1)] | None = None,
    parent: Path | None = None,
    trust: Path | None = None,
    license: str | None = None,
    sign_key: str | None = None,
    precisions: list[str] | None = None,
    unsigned: str | None = None,
    signatures: Path | None = None,
) -> Summary:
    """Put model, thresholds and evidence into `releases/ID/`, whole or not at all.

    The ID follows from the content: sealing the same files again changes nothing, and says so.

    Args:
        model: folder that `export` wrote.
        calibration: folder that `sign` wrote, of a calibration on scores of that model in ONNX Runtime.
        golden: the golden set that it was certified on.
        policies: folder of the policy files that it was certified for.
        releases: folder to put the release into.
        replay: golden items whose inputs and outputs the release carries.
        packs: several calibrations over one network, by name, each a folder or a `Pack`; `calibration` is not read
            then. The first gives the graph's probabilities. None for one alone.
        parent: release that this one follows: its network is taken, and `model` is not read. Thresholds and
            calibrators move; the model digest stays.
        trust: public key, or folder of keys, that must have signed the parent; None takes an unsigned one.
        license: SPDX expression of the licence that the release is handed over under; None says unknown.
        sign_key: what to sign with, as `export.trust.signature.sign_folder` takes it; None leaves it unsigned.
        precisions: fp32, and others of the model that passed the gate of `calibrate precisions=`; None for all that
            did.
        unsigned: why operating points go without the signatures that they need, in words, which the release repeats;
            then calibrations as `calibrate` wrote them are taken, too. None refuses them.
        signatures: record in which each signature must stand, of these thresholds; None takes them as the folder
            says.

    Raises:
        InputError: a file is missing or wrong, or they do not belong together.
    """
    if unsigned is not None:
        unsigned = checked_text("unsigned", unsigned, longest=LONGEST_TEXT)
    if parent is not None:
        refuse_unverified(parent, verify(release=parent, trust=trust, tensorrt=False))
        model = parent
    named_packs = dict(packs) if packs else {None: calibration}
    folder_of_model = read_model_folder(model)
    graphs = {FP32: served_graph(folder_of_model, FP32)}
    inputs = {
        name: read_sealing_inputs(
            model=folder_of_model,
            **_folders(pack, golden=golden, policies=policies),
            unsigned=unsigned is not None,
            signatures=signatures,
        )
        for name, pack in named_packs.items()
    }
    held = _held(inputs, precisions)
    graphs |= {precision: served_graph(folder_of_model, precision) for precision in held if precision != FP32}
    with only_writer(releases):
        temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}release-", dir=releases))
        try:
            staging = temporary / "content"
            staging.mkdir()
            served = write_content(staging, inputs, graphs, replay=replay, license=license, unsigned=unsigned)
            manifest = make_manifest(
                staging,
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                toolchain=toolchain(),
                engines=[f"onnx/{precision}" for precision in held],
                parent=None if parent is None else read_manifest(parent).release_id,
            )
            folder = releases / manifest.release_id
            if folder.exists():
                return _already_there(folder, served, sign_key)
            write_text(staging / MANIFEST, manifest.text())
            named = staging.rename(temporary / manifest.release_id)
            if sign_key is not None:
                sign_folder(named, sign_key)
            with atomic_folder(folder) as whole:
                for entry in sorted(named.iterdir()):
                    entry.rename(whole / entry.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    lines = [
        *_lines(folder, served, manifest),
        *([] if parent is None else _left_out(parent, served)),
        *(f"without {precision}: {reason}" for precision, reason in _refused(inputs) if precision not in held),
    ]
    return Summary(f"seal: release {manifest.release_id}", [folder], lines)


def _held(packs: dict[str | None, SealingInputs], asked: list[str] | None) -> list[str]:
    """The precisions of the release: those that were asked for, or all that every pack certifies; fp32 first."""
    if asked is None:
        first, *others = packs.values()
        return [name for name in first.certified if all(name in other.certified for other in others)]
    if FP32 not in asked or len(set(asked)) < len(asked):
        raise InputError(f"precisions: expected fp32 and others, each once, found {', '.join(asked)}")
    for precision, reason in _refused(packs):
        if precision in asked:
            raise InputError(f"precisions: {precision} cannot be sealed: {reason}")
    known = next(iter(packs.values())).model
    for precision in asked:
        known.onnx_file(precision)
    return [FP32, *(precision for precision in asked if precision != FP32)]


def _refused(packs: dict[str | None, SealingInputs]) -> Iterator[tuple[str, str]]:
    """Precisions of the model, or of a gate, that cannot be sealed, each with the first reason."""
    model = next(iter(packs.values())).model
    compared = [each.name for pack in packs.values() if pack.gate for each in pack.gate.precisions]
    for precision in dict.fromkeys([*model.record.precisions, *compared]):
        for name, pack in packs.items():
            reason = pack.refusal(precision)
            if reason:
                yield precision, reason if name is None else f"pack {name}: {reason}"
                break


def _left_out(parent: Path, served: ServedPolicies) -> list[str]:
    """A line on packs that a parent has and its child has not: who serves one of them has to know."""
    before = [pack.name for pack in read_served_policies(parent / "policies.json").all_packs()]
    now = {pack.name for pack in served.all_packs()}
    gone = [name for name in before if name is not None and name not in now]
    return [f"without the packs {', '.join(gone)} of its parent"] if gone else []


def _folders(pack: Pack | Path, *, golden: Path, policies: Path) -> dict[str, Path]:
    if isinstance(pack, Path):
        return {"calibration": pack, "golden": golden, "policies": policies}
    return {"calibration": pack.calibration, "golden": pack.golden or golden, "policies": pack.policies or policies}


def _already_there(folder: Path, served: ServedPolicies, sign_key: str | None) -> Summary:
    try:
        manifest = read_manifest(folder)
        changed = differences(folder, manifest)
        signature = read_signature(folder)
    except InputError as error:
        changed = [str(error)]
    if changed:
        raise InputError(
            f"{folder}: this release was sealed before and changed since ({changed[0]}); remove the folder, then "
            "seal again"
        )
    written = "nothing was written"
    if sign_key is not None and signature is None:
        sign_folder(folder, sign_key)
        written = "it is signed now"
    elif sign_key is not None and signature is not None and not is_by(signature, sign_key):
        raise InputError(
            f"{folder}: this release was sealed before and is signed by {signature}; `setpoint sign_release` puts "
            "another signature in its place"
        )
    return Summary(
        f"seal: release {manifest.release_id} was sealed before, with the same content; {written}",
        [folder],
        _lines(folder, served, manifest),
    )


def _lines(folder: Path, served: ServedPolicies, manifest: Manifest) -> list[str]:
    bands = [band for _, _, band in served.all_bands()]
    promised = [band for band in bands if band.kind != "capacity"]
    certified = sum(band.status == "certified" for band in promised)
    by_capacity = f", {len(bands) - len(promised)} set by capacity" if len(bands) > len(promised) else ""
    size = sum(entry.size for entry in manifest.files)
    return [
        *chain_words(folder, manifest),
        *([f"packs {', '.join(str(pack.name) for pack in served.all_packs())}"] if served.pack else []),
        f"{len(served.policies)} policies, {certified} of {len(promised)} bands certified{by_capacity}; "
        "a band without a threshold never flags",
        *approval_lines(served),
        *([f"precisions {', '.join(served.by_precision())}"] if served.precisions else []),
        f"{len(manifest.files)} files, {size / 1e6:.1f} MB, model {served.model_digest[:12]}",
        signature_line(read_signature(folder)),
    ]
