"""What stands in a release, checked after its bytes: records, certificates, graphs, and answers to golden inputs.

Opened in a process of its own by `export.release.verify`: a release may come from anywhere.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import onnx

from calibrate.gate_file import GATE_FILE, read_gate
from calibrate.operating_points_file import OperatingPointsFile, load_operating_points
from data.errors import InputError
from data.files import read_json, sha256_of_file
from export.graph.contract import mismatches, read_contract
from export.graph.decision_head import DECISION_NAMES, model_digest, read_decision
from export.graph.parity import Parity
from export.model_folder import FP32, onnx_name, read_model_folder, read_preprocessing, read_tokenizer
from export.release.chain import chain_problems
from export.release.decisions import ServedPack, ServedPolicies, in_float32, read_served_policies, reports_of
from export.release.manifest import read_manifest
from export.release.replay import answer_name, disagreements, read_exchange, read_replay
from export.release.sbom import reference_of
from export.release.sealing_inputs import POINTS
from export.scoring.runtimes import OnnxRuntime
from export.tensorrt.report import REPORT, read_report
from export.trust.graph import graph_problems

Check = Callable[[Path], Iterator[str]]


def content_reasons(folder: Path) -> Iterator[str]:
    """What speaks against the content of a release whose bytes are those of its manifest."""
    for name, check in CHECKS.items():
        reasons = list(guarded(name, check, folder))
        yield from reasons
        if reasons and name == "ONNX":  # nothing that follows would be told from this
            return


def guarded(name: str, check: Check, folder: Path) -> Iterator[str]:
    """The reasons of a check; where it ends in an exception, that is one."""
    try:
        yield from check(folder)
    except InputError as error:
        yield str(error)
    except Exception as error:  # hostile content fails in every library's own way
        first_line = (str(error).splitlines() or [""])[0][:300]
        yield f"{name}: cannot be checked ({type(error).__name__}: {first_line})"


def _check_records(folder: Path) -> Iterator[str]:
    """Every JSON file has its schema; contract, preprocessing and tokenizer can be read."""
    model = read_model_folder(folder)
    read_preprocessing(folder / "preprocess.json")
    read_tokenizer(folder)
    served = read_served_policies(folder / "policies.json")
    held = served.by_precision()
    for precision in held:
        name = "parity.json" if precision == FP32 else f"parity-{precision}.json"
        Parity.model_validate(read_json(folder / "reports" / name))
    files = {name: entry.file for name, entry in model.record.precisions.items()}
    if files != {name: onnx_name(name) for name in held}:
        yield f"model.json: names the models {files}, expected {', '.join(map(onnx_name, held))}"
    found = {path.relative_to(folder).as_posix() for path in folder.glob("onnx/*/*")}
    yield from (f"{path}: not in model.json" for path in sorted(found - set(files.values())))
    expected = [(policy.policy_id, policy.version) for policy in model.record.policies]
    for decided in held.values():
        if any(
            [(each.policy_id, each.version) for each in pack.policies] != expected for pack in decided.all_packs()
        ):
            yield "policies.json: its policies, or their order, are not those of model.json"
    for problem in _against_certificates(folder, served):
        yield f"policies.json: {problem}"
    report = read_report(folder)
    digests = {name: entry.model_digest for name, entry in model.record.precisions.items()}
    if report and any(digests.get(check.precision) != check.model_digest for check in report.checks):
        yield f"{REPORT}: speaks of other models than model.json"
    bom = read_json(folder / "sbom.cdx.json")
    components = [bom["metadata"]["component"], *bom["components"]]
    hashes = {component["bom-ref"]: component.get("hashes") for component in components}
    told = all(
        hashes[reference_of(name)][0]["content"] == sha256_of_file(folder / file) for name, file in files.items()
    )
    if bom["bomFormat"] != "CycloneDX" or not told:
        yield "sbom.cdx.json: not a CycloneDX file of this model"


def _against_certificates(folder: Path, served: ServedPolicies) -> Iterator[str]:
    """Every precision and pack decides by a certificate of its own, and by nothing else."""
    first, *further = served.all_packs()
    expected, optional = set(), set()
    for place, pack in enumerate((first, *further)):
        name = str(pack.name) if place else None
        told = "" if name is None else f"pack {name}: "
        for precision, decided in served.by_precision().items():
            reports = folder / reports_of(precision, name)
            expected |= {reports / POINTS, reports / "index.html"}
            points, mine = load_operating_points(reports / POINTS), decided.all_packs()[place]
            of = "" if precision == FP32 else f"{precision}: "
            yield from (f"{told}{of}{each}" for each in _against_points(points, mine, decided.model_digest))
        optional.add(folder / reports_of(FP32, name) / GATE_FILE)
        yield from (f"{told}{each}" for each in _against_gate(folder / reports_of(FP32, name), served, place))
    found = {path for room in ("decisions", "precisions") for path in (folder / "reports" / room).rglob("*")}
    found = {path for path in found if path.is_file()} - optional
    for path in sorted(found ^ expected):
        said = "is of no pack or precision here" if path in found else "is missing"
        yield f"{path.relative_to(folder).as_posix()} {said}"


def _against_gate(reports: Path, served: ServedPolicies, place: int) -> Iterator[str]:
    """Each precision passed the gate with the scores that it was certified on."""
    gate = read_gate(reports)
    if gate and gate.reference != served.all_packs()[place].scores:
        yield f"{GATE_FILE} compares with other scores of {FP32}"
    for precision, decided in served.precisions.items():
        record = gate.of(precision) if gate else None
        if record is None or not record.passed or record.scores != decided.all_packs()[place].scores:
            yield f"{precision} did not pass the gate, as {GATE_FILE} has it"


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
    """Each graph is whole, holds its weights, has the contract's tensors, and decides as policies.json says."""
    for precision, decided in read_served_policies(folder / "policies.json").by_precision().items():
        yield from (f"{onnx_name(precision)}{problem}" for problem in _graph_reasons(folder, precision, decided))


def _graph_reasons(folder: Path, precision: str, served: ServedPolicies) -> Iterator[str]:
    graph = onnx.load(folder / onnx_name(precision), load_external_data=False)
    problems = list(graph_problems(graph))
    if problems:
        yield from (f": {problem}" for problem in problems)
        return
    onnx.checker.check_model(graph, full_check=True)
    contract = read_contract(folder / "contract.json")
    yield from (f", against contract.json: {each}" for each in mismatches(contract, graph))
    if model_digest(graph) != served.model_digest:
        yield ": its model digest is not that of policies.json"
    found, expected = read_decision(graph), served.decision()
    for name, attribute in zip(
        DECISION_NAMES, ("platt_scale", "platt_offset", "thresholds", "band_policy"), strict=True
    ):
        if getattr(found, attribute).tobytes() != getattr(expected, attribute).tobytes():
            yield f": {name} is not what policies.json says"


def _check_replay(folder: Path) -> Iterator[str]:
    """The golden inputs give the expected answers in ONNX Runtime, in every precision."""
    golden = folder / "golden"
    replay = read_replay(golden)
    served = read_served_policies(folder / "policies.json")
    if replay.golden_digest != served.golden_set.digest:
        yield "golden/replay.json: from another golden set than the operating points"
    held = served.by_precision()
    listed = {answer_name(precision, place) for precision in held for place in range(len(replay.item_ids))}
    names = {path.relative_to(golden).as_posix() for path in golden.rglob("*") if path.is_file()}
    if names != {*listed, "replay.json"}:
        yield "golden/: its files are not those that replay.json lists"
        return
    for precision, decided in held.items():
        runtime, decision = OnnxRuntime(folder, precision=precision), decided.decision()
        for place, item_id in enumerate(replay.item_ids):
            batch, expected = read_exchange(golden, place, precision)
            problems = disagreements(expected, runtime.run(batch), replay, precision)
            if (decision.apply(expected.logits)[1] != expected.flags).any():
                problems.append("the expected flags do not follow from the thresholds in policies.json")
            yield from (f"golden/{answer_name(precision, place)}, item {item_id!r}: {each}" for each in problems)


def _check_chain(folder: Path) -> Iterator[str]:
    yield from chain_problems(folder, read_manifest(folder))


CHECKS: dict[str, Check] = {
    "records": _check_records,
    "ONNX": _check_onnx,
    "golden replay": _check_replay,
    "parents": _check_chain,
}
