"""The verb `seal`: model, thresholds and evidence in one folder that nobody needs this code to serve."""

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from data.errors import InputError
from data.files import TEMPORARY_PREFIX, atomic_file, atomic_folder, sha256_of_file, write_json
from data.policy import Identifier, Strict
from data.summary import Summary
from export.graph.decision_head import write_decision
from export.model_folder import ModelRecord
from export.release.bundle import bundle_predict
from export.release.chain import chain_words, refuse_unverified
from export.release.decisions import ServedPolicies, read_served_policies, served_policies
from export.release.manifest import MANIFEST, Manifest, differences, make_manifest, read_manifest
from export.release.model_card import model_card
from export.release.replay import write_replay
from export.release.sbom import bill_of_materials, requirements, toolchain
from export.release.sealing_inputs import POINTS, PRECISION, SealingInputs, read_sealing_inputs
from export.release.verify import verify
from export.scoring.parts import only_writer
from export.scoring.runtimes import OnnxRuntime
from export.tensorrt.report import REPORT, read_report
from export.trust.signature import is_by, read_signature, sign_folder

ONNX_FILE = f"onnx/{PRECISION}/model.onnx"


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
) -> Summary:
    """Put model, thresholds and evidence into `releases/ID/`, whole or not at all.

    The ID follows from the content: sealing the same files again changes nothing, and says so.

    Args:
        model: folder that `export` wrote.
        calibration: folder that `calibrate` wrote, on scores of that model in ONNX Runtime.
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

    Raises:
        InputError: a file is missing or wrong, or they do not belong together.
    """
    if parent is not None:
        refuse_unverified(parent, verify(release=parent, trust=trust, tensorrt=False))
        model = parent
    named_packs = dict(packs) if packs else {None: calibration}
    inputs = {
        name: read_sealing_inputs(model=model, **_folders(pack, golden=golden, policies=policies))
        for name, pack in named_packs.items()
    }
    with only_writer(releases):
        temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}release-", dir=releases))
        try:
            staging = temporary / "content"
            staging.mkdir()
            served = _write_content(staging, inputs, replay, license)
            manifest = make_manifest(
                staging,
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                toolchain=toolchain(),
                engines=[f"onnx/{PRECISION}"],
                parent=None if parent is None else read_manifest(parent).release_id,
            )
            folder = releases / manifest.release_id
            if folder.exists():
                return _already_there(folder, served, sign_key)
            _write_text(staging / MANIFEST, manifest.text())
            named = staging.rename(temporary / manifest.release_id)
            if sign_key is not None:
                sign_folder(named, sign_key)
            with atomic_folder(folder) as whole:
                for entry in sorted(named.iterdir()):
                    entry.rename(whole / entry.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    lines = [*_lines(folder, served, manifest), *([] if parent is None else _left_out(parent, served))]
    return Summary(f"seal: release {manifest.release_id}", [folder], lines)


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


def _write_content(
    folder: Path, packs: dict[str | None, SealingInputs], replay: int, license: str | None
) -> ServedPolicies:
    """All files of a release but its manifest."""
    inputs = next(iter(packs.values()))  # of the first pack; the model is the same in all
    record = inputs.model.record
    digest = record.precisions[PRECISION].model_digest
    served = served_policies([(name, pack.points, pack.policies) for name, pack in packs.items()], digest)
    decision = served.decision()
    with atomic_file(folder / ONNX_FILE) as file:
        file.write_bytes(write_decision(inputs.graph, decision).SerializeToString(deterministic=True))
    onnx_sha256 = sha256_of_file(folder / ONNX_FILE)
    sealed = _sealed_record(record, onnx_sha256)
    write_json(folder / "model.json", sealed.model_dump(mode="json", by_alias=True))
    write_json(folder / "policies.json", served.content())
    for name in ("contract.json", "preprocess.json", "reports/parity.json"):
        _copy(inputs.model.folder / name, folder / name)
    _copy(inputs.model.folder / "tokenizer" / "tokenizer.json", folder / "tokenizer" / "tokenizer.json")
    for file in sorted((inputs.model.folder / "licenses").glob("*.txt")):
        _copy(file, folder / "licenses" / file.name)
    report = read_report(inputs.model.folder)
    if report:
        of_this = report.of({PRECISION: digest}).model_dump(mode="json", by_alias=True)
        write_json(folder / REPORT, of_this)
    for place, (pack_name, pack) in enumerate(packs.items()):
        decisions = folder / "reports" / "decisions" / (str(pack_name) if place else "")
        _copy(pack.calibration / POINTS, decisions / POINTS)
        _copy(pack.calibration / "report" / "index.html", decisions / "index.html")
    write_replay(folder / "golden", OnnxRuntime(folder), decision, inputs.golden, replay)
    _write_text(folder / "MODEL_CARD.md", model_card(served, inputs.policies, inputs.model, license))
    write_json(folder / "sbom.cdx.json", bill_of_materials(sealed, served, onnx_sha256, license))
    _write_text(folder / "predict.py", bundle_predict())
    _write_text(folder / "requirements.txt", requirements())
    return served


def _sealed_record(record: ModelRecord, onnx_sha256: str) -> ModelRecord:
    """model.json of the release: the one precision that it holds, with the digest of the filled-in file."""
    entry = record.precisions[PRECISION].model_copy(update={"file": ONNX_FILE, "sha256": onnx_sha256})
    return record.model_copy(update={"precisions": {PRECISION: entry}})


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
    certified = sum(band.status == "certified" for band in bands)
    size = sum(entry.size for entry in manifest.files)
    return [
        *chain_words(folder, manifest),
        *([f"packs {', '.join(str(pack.name) for pack in served.all_packs())}"] if served.pack else []),
        f"{len(served.policies)} policies, {certified} of {len(bands)} bands certified; the others never flag",
        f"{len(manifest.files)} files, {size / 1e6:.1f} MB, model {served.model_digest[:12]}",
        f"signed by {signature}" if (signature := read_signature(folder)) else "not signed",
    ]


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise InputError(f"{source}: no such file")
    with atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
