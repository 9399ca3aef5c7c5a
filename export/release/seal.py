"""The verb `seal`: model, thresholds and evidence in one folder that nobody needs this code to serve."""

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from data.errors import InputError
from data.files import TEMPORARY_PREFIX, atomic_file, atomic_folder, sha256_of_file, write_json
from data.summary import Summary
from export.graph.decision_head import write_decision
from export.model_folder import ModelRecord
from export.release.bundle import bundle_predict
from export.release.decisions import ServedPolicies, served_policies
from export.release.manifest import MANIFEST, Manifest, differences, make_manifest, read_manifest
from export.release.model_card import model_card
from export.release.replay import write_replay
from export.release.sbom import bill_of_materials, requirements, toolchain
from export.release.sealing_inputs import POINTS, PRECISION, SealingInputs, read_sealing_inputs
from export.scoring.parts import only_writer
from export.scoring.runtimes import OnnxRuntime
from export.tensorrt.report import REPORT, read_report
from export.trust.signature import is_by, read_signature, sign_folder

ONNX_FILE = f"onnx/{PRECISION}/model.onnx"


def seal(
    *,
    model: Path,
    calibration: Path,
    golden: Path,
    policies: Path,
    releases: Path,
    replay: Annotated[int, Field(ge=1, le=1000)] = 16,
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
        sign_key: what to sign with, as `export.trust.signature.sign_folder` takes it; None leaves it unsigned.

    Raises:
        InputError: a file is missing or wrong, or they do not belong together.
    """
    inputs = read_sealing_inputs(model=model, calibration=calibration, golden=golden, policies=policies)
    with only_writer(releases):
        temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}release-", dir=releases))
        try:
            staging = temporary / "content"
            staging.mkdir()
            served = _write_content(staging, inputs, replay)
            manifest = make_manifest(
                staging,
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                toolchain=toolchain(),
                engines=[f"onnx/{PRECISION}"],
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
    return Summary(f"seal: release {manifest.release_id}", [folder], _lines(folder, served, manifest))


def _write_content(folder: Path, inputs: SealingInputs, replay: int) -> ServedPolicies:
    """All files of a release but its manifest."""
    record = inputs.model.record
    digest = record.precisions[PRECISION].model_digest
    served = served_policies(inputs.points, inputs.policies, digest)
    decision = served.decision()
    with atomic_file(folder / ONNX_FILE) as file:
        file.write_bytes(write_decision(inputs.graph, decision).SerializeToString(deterministic=True))
    onnx_sha256 = sha256_of_file(folder / ONNX_FILE)
    sealed = _sealed_record(record, onnx_sha256)
    write_json(folder / "model.json", sealed.model_dump(mode="json", by_alias=True))
    write_json(folder / "policies.json", served.model_dump(mode="json", by_alias=True))
    for name in ("contract.json", "preprocess.json", "reports/parity.json"):
        _copy(inputs.model.folder / name, folder / name)
    _copy(inputs.model.folder / "tokenizer" / "tokenizer.json", folder / "tokenizer" / "tokenizer.json")
    report = read_report(inputs.model.folder)
    if report:
        of_this = report.of({PRECISION: digest}).model_dump(mode="json", by_alias=True)
        write_json(folder / REPORT, of_this)
    _copy(inputs.calibration / POINTS, folder / "reports" / "decisions" / POINTS)
    _copy(inputs.calibration / "report" / "index.html", folder / "reports" / "decisions" / "index.html")
    write_replay(folder / "golden", OnnxRuntime(folder), decision, inputs.golden, replay)
    _write_text(folder / "MODEL_CARD.md", model_card(served, inputs.policies, inputs.model))
    write_json(folder / "sbom.cdx.json", bill_of_materials(sealed, onnx_sha256))
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
    bands = [(policy.policy_id, band) for policy in served.policies for band in policy.bands]
    certified = sum(band.status == "certified" for _, band in bands)
    size = sum(entry.size for entry in manifest.files)
    return [
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
