"""The files of a release, but for its manifest."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from calibrate.gate_file import GATE_FILE
from calibrate.report.examples.removed import without_examples
from data.errors import InputError
from data.files import atomic_file, sha256_of_file, write_json
from export.graph.decision_head import write_decision
from export.model_folder import FP32, ModelRecord, onnx_name
from export.release.approval import lacks_signatures
from export.release.bundle import bundle_predict
from export.release.decisions import ServedPolicies, reports_of, served_policies
from export.release.model_card import model_card
from export.release.replay import Sealed, write_replay
from export.release.sbom import bill_of_materials, requirements
from export.release.sealing_inputs import POINTS, SealingInputs
from export.scoring.runtimes import OnnxRuntime
from export.tensorrt.report import REPORT, read_report

Packs = Mapping[str | None, SealingInputs]


def write_content(
    folder: Path,
    packs: Packs,
    graphs: Mapping[str, onnx.ModelProto],
    *,
    replay: int,
    license: str | None,
    unsigned: str | None = None,
) -> ServedPolicies:
    """Write all files of a release but its manifest; returns the content of its policies.json.

    Args:
        folder: to write into.
        packs: inputs by name; the model is the same in all.
        graphs: the models by precision, fp32 first; each is certified in every pack.
        replay: golden items whose inputs and outputs it carries.
        license: SPDX expression, None where nobody said.
        unsigned: why operating points go without the signatures that they need.

    Raises:
        InputError: a file is missing or wrong.
    """
    inputs = next(iter(packs.values()))
    model = inputs.model
    precisions = list(graphs)
    served = _served(packs, precisions)
    if unsigned is not None and lacks_signatures(served):
        served = served.model_copy(update={"unsigned": unsigned})
    for precision, decided in served.by_precision().items():
        graph = write_decision(graphs[precision], decided.decision())
        with atomic_file(folder / onnx_name(precision)) as file:
            file.write_bytes(graph.SerializeToString(deterministic=True))
    sealed = _sealed_record(model.record, folder, precisions)
    write_json(folder / "model.json", sealed.model_dump(mode="json", by_alias=True))
    write_json(folder / "policies.json", served.content())
    parities = ["parity" if precision == FP32 else f"parity-{precision}" for precision in precisions]
    for name in ("contract.json", "preprocess.json", *(f"reports/{parity}.json" for parity in parities)):
        _copy(model.folder / name, folder / name)
    _copy(model.folder / "tokenizer" / "tokenizer.json", folder / "tokenizer" / "tokenizer.json")
    for file in sorted((model.folder / "licenses").glob("*.txt")):
        _copy(file, folder / "licenses" / file.name)
    report = read_report(model.folder)
    if report:
        digests = {name: entry.model_digest for name, entry in sealed.precisions.items()}
        write_json(folder / REPORT, report.of(digests).model_dump(mode="json", by_alias=True))
    for place, (pack_name, pack) in enumerate(packs.items()):
        further = pack_name if place else None
        for precision in precisions:
            decisions = folder / reports_of(precision, further)
            _copy(pack.certificate(precision) / POINTS, decisions / POINTS)
            page = (pack.certificate(precision) / "report" / "index.html").read_bytes()
            with atomic_file(decisions / "index.html") as file:
                file.write_bytes(without_examples(page))  # posts stay with those who decide on thresholds
        if pack.gate:
            _copy(pack.calibration / GATE_FILE, folder / reports_of(FP32, further) / GATE_FILE)
    models = {
        precision: Sealed(OnnxRuntime(folder, precision=precision), decided.decision())
        for precision, decided in served.by_precision().items()
    }
    write_replay(folder / "golden", models, inputs.golden, replay)
    gates = {name: pack.gate for name, pack in packs.items() if pack.gate}
    write_text(folder / "MODEL_CARD.md", model_card(served, inputs.policies, model, license, gates))
    write_json(folder / "sbom.cdx.json", bill_of_materials(sealed, served, license))
    write_text(folder / "predict.py", bundle_predict())
    write_text(folder / "requirements.txt", requirements())
    return served


def write_text(path: Path, text: str) -> None:
    """Write a text, atomically, in UTF-8 and with plain ends of lines."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _served(packs: Packs, precisions: Sequence[str]) -> ServedPolicies:
    record = next(iter(packs.values())).model.record
    served = {
        precision: served_policies(
            [(name, pack.certified[precision], pack.policies) for name, pack in packs.items()],
            record.precisions[precision].model_digest,
        )
        for precision in precisions
    }
    return served.pop(FP32).model_copy(update={"precisions": served})


def _sealed_record(record: ModelRecord, folder: Path, precisions: Sequence[str]) -> ModelRecord:
    """model.json of the release: the precisions that it holds, with the digests of the filled-in files."""
    held = {
        name: record.precisions[name].model_copy(
            update={"file": onnx_name(name), "sha256": sha256_of_file(folder / onnx_name(name))}
        )
        for name in precisions
    }
    return record.model_copy(update={"precisions": held})


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise InputError(f"{source}: no such file")
    with atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)
