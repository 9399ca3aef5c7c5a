"""The verb `export`: a checkpoint in, a model folder out, proven to compute what the checkpoint does."""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal, get_args

import onnx
from pydantic import Field

from data.errors import InputError
from data.files import atomic_file, atomic_folder, sha256_of_file, write_json
from data.items import read_items
from data.progress import tracked
from data.summary import Summary
from export.graph.contract import Contract, contract_of
from export.graph.decision_head import model_digest
from export.graph.onnx_export import export_onnx, save_onnx
from export.graph.parity import (
    Parity,
    Samples,
    batches_of_items,
    batches_of_many_shapes,
    measure_parity,
    num_batches_of_items,
    read_samples,
)
from export.model_folder import (
    EncoderSource,
    ModelRecord,
    PolicyOutput,
    PrecisionFile,
    preprocess_content,
    read_model_folder,
    write_tokenizer,
)
from export.precision.emulation import HOW, EmulatedBf16
from export.precision.half import Half, halved
from export.precision.int8 import Int8
from export.precision.sensitivity import quantised_within
from export.scoring.runtimes import OnnxRuntime, TorchRuntime
from export.trust.licences import Licence, licence_of
from train.job.checkpoint import TrainedModel

ONNX_FILE = "onnx/fp32/model.onnx"
Precision = Literal["fp32", "fp16", "bf16", "int8", "int8_symmetric"]


def export(
    *,
    checkpoint: Path,
    split: Path,
    out: Path,
    parity_items: Annotated[int, Field(ge=1)] = 32,
    tolerance: Annotated[float, Field(gt=0)] = 1e-3,
    opset: Annotated[int, Field(ge=18, le=22)] = 20,
    precisions: list[Precision] | None = None,
    range_items: Annotated[int, Field(ge=1)] = 128,
    int8_change: Annotated[float, Field(gt=0)] = 0.05,
    threads: Annotated[int, Field(ge=0)] = 0,
) -> Summary:
    """Write the model folder of a checkpoint: contract, preprocessing, ONNX fp32, tokenizer, parity report.

    The folder appears when the ONNX has given the checkpoint's logits on real validation items at many shapes,
    and not before. The same checkpoint gives the same bytes.

    Args:
        checkpoint: a .ckpt file that `train` wrote.
        split: folder that `split` wrote; its validation items are the parity sample.
        out: folder to write, replaced as a whole.
        parity_items: validation items in the parity sample.
        tolerance: largest difference of a logit between checkpoint and ONNX.
        opset: ONNX opset.
        precisions: what to write; fp32 is always among them, and None is fp32 alone.
        range_items: training items on which int8 measures the ranges of activations.
        int8_change: largest mean change of a logit, on the parity items, that int8 may make; the layers that move
            them most stay in fp32 until it is kept.
        threads: threads of one operator while parity is measured; 0 leaves the choice to the runtimes.

    Raises:
        InputError: a file is missing or wrong, the network cannot be exported, or it computes something else.
    """
    lower = _lower_precisions(precisions)
    items_file = split / "validation" / "items.parquet"
    items = read_items(items_file)
    reference = TorchRuntime(checkpoint, threads=threads)
    trained = reference.trained
    samples = read_samples(reference, items, parity_items)
    log_mel = trained.preprocessing.log_mel
    contract = contract_of(
        height=trained.preprocessing.height,
        width=trained.preprocessing.width,
        vocabulary_size=max(1, reference.tokenizer.get_vocab_size()),
        pad_token_id=reference.pad_token_id,
        policy_count=len(trained.policies),
        num_mels=0 if log_mel is None else log_mel.num_mels,
    )
    graph = export_onnx(trained.network, contract, opset=opset)
    with atomic_folder(out) as folder:
        _write_model(folder, trained, contract, graph)
        parity = measure_parity(
            reference,
            OnnxRuntime(folder, threads=threads),
            batches_of_many_shapes(reference, samples),
            items=len(samples.clips),
            tolerance=tolerance,
        )
        write_json(folder / "reports" / "parity.json", parity.model_dump(mode="json", by_alias=True))
        lines = _lines(parity)
        if lower:
            training = split / "train" / "items.parquet"
            for precision in lower:
                if precision == "fp16" or precision == "bf16":  # noqa: PLR1714 (mypy narrows by it)
                    _add_precision(folder, precision, halved(graph, precision))
                else:
                    ranges = read_samples(reference, read_items(training), range_items)
                    lines.append(_add_int8(folder, graph, precision, ranges, samples, int8_change))
                lines.append(_measure_precision(folder, precision, samples, threads))
        size = (folder / ONNX_FILE).stat().st_size
    return Summary(f"export: model {model_digest(graph)[:12]}, {size / 1e6:.0f} MB", [out], lines)


def _lower_precisions(precisions: list[Precision] | None) -> list[Half | Int8]:
    asked = precisions or ["fp32"]
    if "fp32" not in asked or len(set(asked)) < len(asked):
        raise InputError(f"precisions: expected fp32 and others, each once, found {', '.join(asked)}")
    return [each for each in get_args(Precision) if each in asked and each != "fp32"]


def _add_int8(
    folder: Path, graph: onnx.ModelProto, precision: Int8, training: Samples, samples: Samples, most_change: float
) -> str:
    """Add int8 of a kind, and its report; ranges come from training items."""
    runtime = OnnxRuntime(folder)
    measured, validation = batches_of_items(runtime, training), list(batches_of_items(runtime, samples))
    model, report = quantised_within(graph, measured, validation, precision, most_change)
    write_json(folder / "reports" / f"{precision}.json", report.model_dump(mode="json", by_alias=True))
    _add_precision(folder, precision, model)
    if not report.layers:
        return f"{precision}: a logit moves by {report.logit_change:.2g} on average, all layers quantised"
    n_quantised = len(report.layers) - len(report.kept)
    return (
        f"{precision}: {n_quantised} of {len(report.layers)} layers quantised, which reports/{precision}.json lists; "
        f"a logit moves by {report.logit_change:.2g} on average"
    )


def _add_precision(folder: Path, precision: Precision, model: onnx.ModelProto) -> None:
    """Write the ONNX file of a precision and name it in model.json."""
    file = f"onnx/{precision}/model.onnx"
    save_onnx(model, folder / file)
    entry = PrecisionFile(file=file, sha256=sha256_of_file(folder / file), model_digest=model_digest(model))
    record = read_model_folder(folder).record
    record = record.model_copy(update={"precisions": {**record.precisions, precision: entry}})
    write_json(folder / "model.json", record.model_dump(mode="json", by_alias=True))


def _measure_precision(folder: Path, precision: Precision, samples: Samples, threads: int) -> str:
    """Record how far a precision is from fp32 on validation items: measured, and not yet a question of decisions."""
    fp32, is_emulated = OnnxRuntime(folder, threads=threads), precision == "bf16"
    lower = (
        EmulatedBf16(read_model_folder(folder), threads=threads)
        if is_emulated
        else OnnxRuntime(folder, precision=precision, threads=threads)
    )
    batches = tracked(
        batches_of_items(fp32, samples), f"{precision}: batches, against fp32", num_batches_of_items(samples)
    )
    parity = measure_parity(fp32, lower, batches, items=len(samples.clips), tolerance=None)
    parity = parity.model_copy(update={"emulated": HOW if is_emulated else None})
    write_json(folder / "reports" / f"parity-{precision}.json", parity.model_dump(mode="json", by_alias=True))
    then = (
        "emulated, as ONNX Runtime has no bf16 on CPUs; TensorRT scores it on a GPU, and no release holds it yet"
        if is_emulated
        else "a release holds it once `calibrate precisions=` has passed it on its own scores"
    )
    return (
        f"{precision}, largest difference to fp32: {parity.max_logit_difference:.2g} in a logit, "
        f"{parity.max_probability_difference:.2g} in a probability; {then}"
    )


def _write_model(folder: Path, trained: TrainedModel, contract: Contract, graph: onnx.ModelProto) -> None:
    save_onnx(graph, folder / ONNX_FILE)
    write_json(folder / "contract.json", contract.model_dump(mode="json", by_alias=True))
    write_json(folder / "preprocess.json", preprocess_content(trained.preprocessing))
    write_tokenizer(folder, trained.tokenizer)
    sources = trained.record.model.encoders
    licences = {name: licence_of(settings.source) for name, settings in sources.items()}
    for name, licence in licences.items():
        if licence.text:
            with atomic_file(folder / "licenses" / f"{name}.txt") as file:
                file.write_text(licence.text, encoding="utf-8", newline="\n")
    record = _record(trained, graph, sha256_of_file(folder / ONNX_FILE), licences)
    write_json(folder / "model.json", record.model_dump(mode="json", by_alias=True))


def _record(trained: TrainedModel, graph: onnx.ModelProto, sha256: str, licences: dict[str, Licence]) -> ModelRecord:
    digest = model_digest(graph)
    return ModelRecord(
        schema="setpoint/model/v1",
        model_digest=digest,
        opset=next(entry.version for entry in graph.opset_import if entry.domain == ""),
        policies=[
            PolicyOutput(policy_id=policy.policy_id, version=policy.version, evidence=policy.evidence)
            for policy in trained.policies
        ],
        precisions={"fp32": PrecisionFile(file=ONNX_FILE, sha256=sha256, model_digest=digest)},
        checkpoint_digest=trained.digest,
        data_digests=trained.record.data,
        encoders={
            name: EncoderSource(
                source=public_source(settings.source),
                digest=trained.record.encoders[name]["digest"],
                license=licences[name].name,
                license_stated_in=licences[name].stated_in,
            )
            for name, settings in trained.record.model.encoders.items()
        },
        toolchain={name: version(name) for name in ("torch", "transformers", "timm", "onnx", "onnxscript")},
    )


def public_source(source: str) -> str:
    """An encoder's source without the place of a local folder.

    >>> public_source("/home/ann/encoders/vit-b"), public_source("google/vit-base"), public_source("package:lite0")
    ('folder:vit-b', 'google/vit-base', 'package:lite0')
    """
    is_name = source.startswith("package:") or re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", source)
    return source if is_name and not Path(source).is_dir() else f"folder:{Path(source).name}"


def _lines(parity: Parity) -> list[str]:
    return [
        f"largest difference to the checkpoint on {parity.items} validation items at {len(parity.shapes)} shapes: "
        f"{parity.max_logit_difference:.2g} in a logit, {parity.max_probability_difference:.2g} in a probability, "
        f"cosine at least {parity.min_cosine:.6f}"
    ]
