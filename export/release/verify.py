"""The verb `verify`: a release is what was sealed, down to the byte, and decides what its certificates say.

A release may come from anywhere: whatever stands in it, the answer is a list of reasons, never a traceback.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import onnx
from pydantic import Field

from calibrate.looks import described_looks
from calibrate.operating_points_file import OperatingPointsFile, load_operating_points
from data.errors import InputError
from data.files import existing_folder, read_json, sha256_of_file
from data.summary import Summary
from export.graph.contract import mismatches, read_contract
from export.graph.decision_head import DECISION_NAMES, model_digest, read_decision
from export.graph.parity import Parity
from export.model_folder import read_model_folder, read_preprocessing, read_tokenizer
from export.release.bundle import bundle_predict
from export.release.chain import chain_problems, chain_words
from export.release.decisions import ServedPack, ServedPolicies, in_float32, read_served_policies
from export.release.manifest import ID_LENGTH, differences, digests_of, read_manifest
from export.release.replay import disagreements, read_exchange, read_replay
from export.release.sealing_inputs import POINTS, PRECISION
from export.scoring.runtimes import OnnxRuntime
from export.tensorrt.compatibility import Compatibility, check_compatibility
from export.tensorrt.report import REPORT, read_report
from export.trust.confined import confined
from export.trust.graph import graph_problems
from export.trust.signature import coverage_problems, read_signature
from export.trust.trust_root import TrustRoot, read_trust_root, trust_problems

ONNX_FILE = f"onnx/{PRECISION}/model.onnx"
SHOWN_REASONS = 200

Check = Callable[[Path], Iterator[str]]


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
    reasons = list(_guarded("manifest", _check_bytes, folder))
    if reasons:
        reasons.append("the content was not checked, because the bytes are not those that were sealed")
    else:
        reasons += _guarded("signature", lambda folder: _check_signature(folder, root), folder)
        if reasons:
            reasons.append("the content was not checked, because the signature is not what it has to be")
    if not reasons:
        reasons, ending = confined(lambda: _content_reasons(folder), seconds=seconds)
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
            *chain_words(folder, manifest),
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
    """Who signed a release that was checked, and whether that was asked."""
    signature = read_signature(folder)
    if signature is None:
        return "not signed"
    return f"signed by {signature}, " + (f"named in {root.path}" if root else "not checked against a trust root")


def _cautions(folder: Path) -> Iterator[str]:
    if (folder / "predict.py").read_text(encoding="utf-8") != bundle_predict():
        yield "caution: predict.py is not the one that this version of Setpoint writes; nobody here vouches for it"


def _content_reasons(folder: Path) -> Iterator[str]:
    for name, check in CHECKS.items():
        reasons = list(_guarded(name, check, folder))
        yield from reasons
        if reasons and name == "ONNX":  # nothing that follows would be told from this
            return


def _guarded(name: str, check: Check, folder: Path) -> Iterator[str]:
    try:
        yield from check(folder)
    except InputError as error:
        yield str(error)
    except Exception as error:  # hostile content fails in every library's own way
        first_line = (str(error).splitlines() or [""])[0][:300]
        yield f"{name}: cannot be checked ({type(error).__name__}: {first_line})"


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


def _check_chain(folder: Path) -> Iterator[str]:
    yield from chain_problems(folder, read_manifest(folder))


def _check_signature(folder: Path, root: TrustRoot | None) -> Iterator[str]:
    """A signature covers this release, and nothing else; where a trust root is given, it is of somebody there."""
    signature = read_signature(folder)
    if signature is not None:
        yield from coverage_problems(signature, digests_of(folder, read_manifest(folder)))
    if root is not None:
        yield from trust_problems(folder, signature, root)


def _check_records(folder: Path) -> Iterator[str]:
    """Every JSON file has its schema; contract, preprocessing and tokenizer can be read."""
    model = read_model_folder(folder)
    read_preprocessing(folder / "preprocess.json")
    read_tokenizer(folder)
    Parity.model_validate(read_json(folder / "reports" / "parity.json"))
    served = read_served_policies(folder / "policies.json")
    files = {name: entry.file for name, entry in model.record.precisions.items()}
    if files != {PRECISION: ONNX_FILE}:
        yield f"model.json: names the models {files}, expected {ONNX_FILE}"
    found = {path.relative_to(folder).as_posix() for path in folder.glob("onnx/*/*")}
    yield from (f"{path}: not in model.json" for path in sorted(found - set(files.values())))
    expected = [(policy.policy_id, policy.version) for policy in model.record.policies]
    if any([(each.policy_id, each.version) for each in pack.policies] != expected for pack in served.all_packs()):
        yield "policies.json: its policies, or their order, are not those of model.json"
    for problem in _against_certificates(folder, served):
        yield f"policies.json: {problem}"
    report = read_report(folder)
    digests = {name: entry.model_digest for name, entry in model.record.precisions.items()}
    if report and any(digests.get(check.precision) != check.model_digest for check in report.checks):
        yield f"{REPORT}: speaks of other models than model.json"
    bom = read_json(folder / "sbom.cdx.json")
    hashes = bom["metadata"]["component"]["hashes"]
    if bom["bomFormat"] != "CycloneDX" or hashes[0]["content"] != sha256_of_file(folder / ONNX_FILE):
        yield "sbom.cdx.json: not a CycloneDX file of this model"


def _against_certificates(folder: Path, served: ServedPolicies) -> Iterator[str]:
    first, *further = served.all_packs()
    decisions = folder / "reports" / "decisions"
    yield from _against_points(load_operating_points(decisions / POINTS), first, served.model_digest)
    for pack in further:
        points = load_operating_points(decisions / str(pack.name) / POINTS)
        yield from (f"pack {pack.name}: {each}" for each in _against_points(points, pack, served.model_digest))
    places = (decisions, *(decisions / str(pack.name) for pack in further))
    expected = {place / name for place in places for name in (POINTS, "index.html")}
    found = {path for path in decisions.rglob("*") if path.is_file()}
    for path in sorted(found ^ expected):
        said = "is of no pack of its own" if path in found else "is missing"
        yield f"{path.relative_to(folder).as_posix()} {said}"


def _against_points(points: OperatingPointsFile, pack: ServedPack, digest: str) -> Iterator[str]:
    if pack.scores != points.scores or pack.golden_set != points.golden_set:
        yield "scores or golden set are not those of the operating points"
    if points.scores.model_digest != digest:
        yield "the operating points are for another model"
    mine = [
        (policy.policy_id, policy.version, [band.model_dump(exclude={"index"}) for band in policy.bands])
        for policy in pack.policies
    ]
    theirs = [
        (policy.policy_id, policy.policy_version, [band.model_dump() for band in policy.bands])
        for policy in points.policies
    ]
    if mine != theirs:
        yield "policies, bands or thresholds are not those of the operating points"
    elif [policy.calibrator for policy in pack.policies] != [in_float32(each.calibrator) for each in points.policies]:
        yield "its calibrators are not those of the operating points"


def _check_onnx(folder: Path) -> Iterator[str]:
    """The graph is whole, holds its weights, has the contract's tensors, and decides as policies.json says."""
    graph = onnx.load(folder / ONNX_FILE, load_external_data=False)
    problems = list(graph_problems(graph))
    if problems:
        yield from (f"{ONNX_FILE}: {problem}" for problem in problems)
        return
    onnx.checker.check_model(graph, full_check=True)
    contract = read_contract(folder / "contract.json")
    yield from (f"{ONNX_FILE}, against contract.json: {each}" for each in mismatches(contract, graph))
    served = read_served_policies(folder / "policies.json")
    if model_digest(graph) != served.model_digest:
        yield f"{ONNX_FILE}: its model digest is not that of policies.json"
    found, expected = read_decision(graph), served.decision()
    for name, attribute in zip(
        DECISION_NAMES, ("platt_scale", "platt_offset", "thresholds", "band_policy"), strict=True
    ):
        if getattr(found, attribute).tobytes() != getattr(expected, attribute).tobytes():
            yield f"{ONNX_FILE}: {name} is not what policies.json says"


def _check_replay(folder: Path) -> Iterator[str]:
    """The golden inputs give the expected answers in ONNX Runtime."""
    runtime = OnnxRuntime(folder)
    replay = read_replay(folder / "golden")
    served = read_served_policies(folder / "policies.json")
    if replay.golden_digest != served.golden_set.digest:
        yield "golden/replay.json: from another golden set than the operating points"
    names = sorted(path.name for path in (folder / "golden").iterdir())
    if names != sorted([*(f"{place:04d}.safetensors" for place in range(len(replay.item_ids))), "replay.json"]):
        yield "golden/: its files are not those that replay.json lists"
        return
    decision = served.decision()
    for place, item_id in enumerate(replay.item_ids):
        batch, expected = read_exchange(folder / "golden", place)
        problems = disagreements(expected, runtime.run(batch), replay)
        if (decision.apply(expected.logits)[1] != expected.flags).any():
            problems.append("the expected flags do not follow from the thresholds in policies.json")
        yield from (f"golden/{place:04d}.safetensors, item {item_id!r}: {problem}" for problem in problems)


CHECKS: dict[str, Check] = {
    "records": _check_records,
    "ONNX": _check_onnx,
    "golden replay": _check_replay,
    "parents": _check_chain,
}
