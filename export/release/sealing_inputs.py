"""What goes into a release, read and checked against each other: no threshold is sealed with files of another."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import onnx

from calibrate.gate_file import GATE_FILE, PRECISIONS, GateFile, read_gate
from calibrate.operating_points_file import OperatingPointsFile, load_operating_points
from calibrate.signing.needed import lacking
from calibrate.signing.record import read_lines
from calibrate.signing.recorded import unrecorded
from data.errors import Finding, InputError
from data.files import existing_file, existing_folder
from data.golden import GoldenSet, load_golden
from data.policy import Band, Policy, load_policies
from export.graph.contract import mismatches
from export.graph.decision_head import load_onnx, model_digest
from export.model_folder import FP32, ModelFolder

POINTS = "operating_points.json"
UNREPLAYED = "bf16"
"""The precision of no release: golden answers are those of ONNX Runtime on the CPU, which cannot run it."""


@dataclass(frozen=True, eq=False)
class SealingInputs:
    """The parts of a release that belong together.

    Attributes:
        model: what `export` wrote.
        calibration: folder that `calibrate` wrote.
        certified: its operating points by precision: fp32, and those that passed the gate and that the model has.
        gate: which precisions were compared, and what came of it; None where none was.
        golden: the golden set that they were certified on.
        policies: sorted by policy_id, the order of the model's outputs.
    """

    model: ModelFolder
    calibration: Path
    certified: dict[str, OperatingPointsFile]
    gate: GateFile | None
    golden: GoldenSet
    policies: list[Policy]

    def certificate(self, precision: str) -> Path:
        """Folder of the calibration with the operating points of a precision, and the page."""
        return self.calibration if precision == FP32 else self.calibration / PRECISIONS / precision

    def refusal(self, precision: str) -> str | None:
        """Why a precision cannot be sealed, None if it can."""
        if precision in self.certified:
            return None
        if precision == UNREPLAYED:
            return "a release carries golden answers of ONNX Runtime on the CPU, which has no bf16"
        record = self.gate.of(precision) if self.gate else None
        if record is None:
            return f"it was not compared with fp32; calibrate with precisions={{{precision}: SCORES}}"
        return "; ".join(record.reasons) or f"{self.model.folder} has no model in this precision"


def served_graph(model: ModelFolder, precision: str) -> onnx.ModelProto:
    """The ONNX model of a precision.

    Raises:
        InputError: there is none, or it is not what model.json and contract.json say.
    """
    onnx_file = model.onnx_file(precision)
    graph = load_onnx(onnx_file)
    if model_digest(graph) != model.record.precisions[precision].model_digest:
        raise InputError(f"{onnx_file}: its model digest does not match model.json; export the model again")
    wrong = mismatches(model.contract, graph)
    if wrong:
        raise InputError(f"{onnx_file}: not what contract.json says: {'; '.join(wrong)}")
    return graph


def read_sealing_inputs(
    *,
    model: ModelFolder,
    calibration: Path,
    golden: Path,
    policies: Path,
    unsigned: bool = False,
    signatures: Path | None = None,
) -> SealingInputs:
    """Read calibration, golden set and policies, and hold them against the model.

    Args:
        model: what `export` wrote.
        calibration: that `calibrate` or `sign` wrote.
        golden: the golden set.
        policies: folder of them.
        unsigned: take operating points that lack signatures.
        signatures: the record, in which those that they have must stand; None takes them as they are.

    Raises:
        InputError: a file is missing or wrong, or they do not belong together: with all reasons.
    """
    calibration = existing_folder(calibration)
    gate = read_gate(calibration)
    passed = [each.name for each in gate.precisions if each.passed] if gate else []
    inputs = SealingInputs(
        model=model,
        calibration=calibration,
        certified={
            FP32: load_operating_points(calibration),
            **{
                name: load_operating_points(calibration / PRECISIONS / name)
                for name in passed
                if name in model.record.precisions and name != UNREPLAYED
            },
        },
        gate=gate,
        golden=load_golden(golden),
        policies=load_policies(policies),
    )
    existing_file(model.folder / "reports" / "parity.json")
    findings = [*_other_gate(inputs)]
    for precision in inputs.certified:
        existing_file(inputs.certificate(precision) / "report" / "index.html")
        findings += [
            *_other_model(inputs, precision),
            *_other_golden_set(inputs, precision),
            *_other_policies(inputs, precision, policies),
            *([] if unsigned else _unsigned(inputs, precision)),
            *([] if signatures is None else _unrecorded(inputs, precision, signatures)),
        ]
    if findings:
        raise InputError(findings)
    return inputs


def _other_gate(inputs: SealingInputs) -> Iterator[Finding]:
    """The gate compared what is sealed."""
    if inputs.gate is None:
        return
    file = inputs.calibration / GATE_FILE
    for precision, points in inputs.certified.items():
        record = inputs.gate.of(precision)
        compared = inputs.gate.reference if precision == FP32 else record and record.scores
        if compared != points.scores:
            problem = f"compared other scores of {precision} than were certified; calibrate again"
            yield Finding(file, problem, None, precision, compared.digest if compared else "none")


def _other_model(inputs: SealingInputs, precision: str) -> Iterator[Finding]:
    file, scores = inputs.certificate(precision) / POINTS, inputs.certified[precision].scores
    digest = inputs.model.record.precisions[precision].model_digest
    if scores.model_digest != digest:
        problem = f"certified for another model, this one is {digest[:12]}…; score and calibrate again with it"
        yield Finding(file, problem, None, "scores.model_digest", scores.model_digest or "none")
    if scores.scale != "logit":
        yield Finding(file, "thresholds must be on logits, as the graph compares", None, "scores.scale", scores.scale)
    runtime = scores.runtime or "none"
    if not (runtime.startswith("onnxruntime-") and runtime.endswith(f"-{precision}")):
        problem = f"the release serves ONNX Runtime in {precision}; certify on scores of that engine"
        yield Finding(file, problem, None, "scores.runtime", runtime)


def _other_golden_set(inputs: SealingInputs, precision: str) -> Iterator[Finding]:
    points = inputs.certified[precision]
    file, record = inputs.certificate(precision) / POINTS, points.golden_set
    if record.digest != inputs.golden.digest:
        problem = (
            f"certified on another golden set, the one given is {inputs.golden.name} ({inputs.golden.digest[:12]}…); "
            "give that one, or calibrate again"
        )
        yield Finding(file, problem, None, "golden_set.digest", record.digest)
    today = datetime.now(UTC).date()
    expires_at = inputs.golden.record.expires_at
    if expires_at is not None and expires_at < today:
        problem = "the golden set has expired; label a new one and calibrate again"
        yield Finding(inputs.golden.folder / "golden.yaml", problem, None, "expires_at", expires_at.isoformat())
    for place, policy in enumerate(points.policies):
        for number, band in enumerate(policy.bands):
            if band.status == "expired":
                field = f"policies.{place}.bands.{number}.status"
                yield Finding(file, "this operating point has expired; calibrate again", None, field, band.status)


def _unsigned(inputs: SealingInputs, precision: str) -> Iterator[Finding]:
    """Somebody answers for every threshold; two do where posts are taken away."""
    file = inputs.certificate(precision) / POINTS
    for policy_id, band, missing in lacking(inputs.certified[precision]):
        names = " and ".join(each.by for each in band.signatures)
        problem = (
            f"{band.action} of {policy_id} {'is signed by ' + names + ' alone' if names else 'is not signed'}: "
            f"{missing} more, by `setpoint sign`, whose folder `seal` takes as calibration=; or say why it goes "
            'unsigned, which the release repeats: unsigned="…"'
        )
        yield Finding(file, problem, None, f"policies.{policy_id}")


def _unrecorded(inputs: SealingInputs, precision: str, record: Path) -> Iterator[Finding]:
    """What the folder says of signatures is what people signed."""
    lines = {digest: line for line, digest in read_lines(record)}
    file, points = inputs.certificate(precision) / POINTS, inputs.certified[precision]
    for band, problem in unrecorded(points, lines, None if precision == FP32 else precision):
        remedy = "sign again, or name the record that they were signed in as signatures="
        yield Finding(file, f"{record}: {problem}; {remedy}", None, band)


def _other_policies(inputs: SealingInputs, precision: str, folder: Path) -> Iterator[Finding]:
    file, points = inputs.certificate(precision) / POINTS, inputs.certified[precision]
    given = {policy.policy_id: policy.version for policy in inputs.policies}
    certified = {policy.policy_id: policy.policy_version for policy in points.policies}
    places = (
        (file, "policies", certified, "calibrate again"),
        (inputs.model.folder / "model.json", "policies", inputs.model.record.policy_versions, "train for it"),
        (
            inputs.golden.folder / "golden.yaml",
            "policy_versions",
            inputs.golden.record.policy_versions,
            "label for it",
        ),
    )
    for where, field, found, remedy in places if precision == FP32 else places[:1]:
        if found == given and list(found) != list(given) and where != inputs.golden.folder / "golden.yaml":
            yield Finding(where, f"policies stand in another order than {', '.join(given)}", None, field, list(found))
        for policy_id in sorted(given.keys() | found.keys()):
            if policy_id not in given:
                if where.name != "golden.yaml":
                    yield Finding(where, f"{folder} has no policy {policy_id}", None, field, policy_id)
            elif found.get(policy_id) != given[policy_id]:
                problem = f"{policy_id} is at version {given[policy_id]} in {folder}; {remedy}"
                yield Finding(where, problem, None, field, found.get(policy_id, "missing"))
    for policy in inputs.policies:
        record = next((each for each in points.policies if each.policy_id == policy.policy_id), None)
        if record is None:
            continue
        asked = [_claim(band) for band in policy.bands]
        answered = [(band.action, band.queue, band.kind, band.target, band.confidence) for band in record.bands]
        if asked != answered:
            problem = (
                f"the bands of {policy.policy_id} in {folder} are not those that were certified; calibrate again"
            )
            yield Finding(file, problem, None, f"policies.{policy.policy_id}")


def _claim(band: Band) -> tuple[str, str | None, str, float, float | None]:
    target = {
        "precision": band.target_precision,
        "recall": band.target_recall,
        "capacity": band.capacity_per_day,
    }[band.kind]
    assert target is not None
    return band.action, band.queue, band.kind, float(target), band.confidence
