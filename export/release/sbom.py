"""sbom.cdx.json: what a release is made of, as CycloneDX 1.6 with a model card; requirements of its predict.py."""

import platform
import re
from importlib.metadata import version
from typing import Any

from calibrate.operating_points_file import BandRecord
from export.model_folder import FP32, ModelRecord, decoder_versions
from export.release.decisions import ServedPolicies, ServedPolicy
from export.release.model_card import ETHICS, INTENDED_USE, LIMITS, USERS
from export.trust.licences import UNKNOWN

SERVING_PACKAGES = ("av", "numpy", "onnxruntime", "pillow", "tokenizers")
SEALING_PACKAGES = ("onnx", "safetensors")
SHA256 = re.compile(r"[0-9a-f]{64}")


def toolchain() -> dict[str, str]:
    """Versions of what seals a release."""
    versions = {name: version(name) for name in (*SERVING_PACKAGES, *SEALING_PACKAGES)}
    versions["libavcodec"] = decoder_versions()["libavcodec"]
    versions["python"] = platform.python_version()
    return dict(sorted(versions.items()))


def requirements() -> str:
    """requirements.txt of predict.py: other versions may decode other pixels."""
    return "".join(f"{name}=={version(name)}\n" for name in SERVING_PACKAGES)


def bill_of_materials(record: ModelRecord, served: ServedPolicies, license: str | None) -> dict[str, Any]:
    """CycloneDX 1.6: the model with its card, the encoders and data it was made from, the packages that serve it.

    Args:
        record: model.json of the release.
        served: policies.json of the release.
        license: of the release; None where nobody said.
    """
    data = _datasets(record, served)
    model, *lower = (
        {
            "type": "machine-learning-model",
            "bom-ref": reference_of(precision),
            "name": "setpoint-release",
            "version": decided.model_digest[:16],
            "licenses": _licences(license or UNKNOWN),
            "hashes": [_hash(record.precisions[precision].sha256)],
            "modelCard": _model_card(decided, [component["bom-ref"] for component in data]),
        }
        for precision, decided in served.by_precision().items()
    )
    encoders: list[dict[str, Any]] = [
        {
            "type": "machine-learning-model",
            "bom-ref": f"encoder:{name}",
            "name": encoder.source,
            "description": f"{name} encoder",
            "licenses": _licences(encoder.license),
            "hashes": [_hash(encoder.digest)],
        }
        for name, encoder in sorted(record.encoders.items())
    ]
    packages: list[dict[str, Any]] = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{version(name)}",
            "name": name,
            "version": version(name),
            "purl": f"pkg:pypi/{name}@{version(name)}",
            "scope": "required",
        }
        for name in SERVING_PACKAGES
    ]
    components = [*lower, *encoders, *data, *packages]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": model},
        "components": components,
        "dependencies": [{"ref": "model", "dependsOn": [component["bom-ref"] for component in components]}],
    }


def reference_of(precision: str) -> str:
    """The bom-ref of the model in a precision."""
    return "model" if precision == FP32 else f"model:{precision}"


def _datasets(record: ModelRecord, served: ServedPolicies) -> list[dict[str, Any]]:
    digests = {name: digest for name, digest in record.data_digests.items() if SHA256.fullmatch(str(digest))}
    for pack in served.all_packs():
        golden, of_pack = pack.golden_set, f", pack {pack.name}" if pack.name else ""
        digests[f"golden set {golden.name} {golden.version}{of_pack}"] = golden.digest
    return [
        {
            "type": "data",
            "bom-ref": f"data:{name}",
            "name": name,
            "hashes": [_hash(str(digest))],
            "data": [{"type": "dataset", "name": name}],
        }
        for name, digest in sorted(digests.items())
    ]


def _model_card(served: ServedPolicies, data: list[str]) -> dict[str, Any]:
    metrics = [
        {**metric, "slice": ", ".join([metric["slice"], *([f"pack {pack.name}"] if pack.name else [])])}
        for pack, policy, band in served.all_bands()
        for metric in _metrics(policy, band)
    ]
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "multi-label classification of photos, clips and texts",
            "datasets": [{"ref": reference} for reference in data],
            "inputs": [{"format": "image"}, {"format": "video"}, {"format": "text"}],
            "outputs": [{"format": "logit, probability and flags a policy"}],
        },
        **({"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {}),
        "considerations": {
            "users": list(USERS),
            "useCases": [INTENDED_USE],
            "technicalLimitations": list(LIMITS),
            "ethicalConsiderations": [{"name": risk, "mitigationStrategy": remedy} for risk, remedy in ETHICS],
        },
    }


def _metrics(policy: ServedPolicy, band: BandRecord) -> list[dict[str, Any]]:
    """What was measured on the golden set at the band's threshold, of all posts and of each slice."""
    where = f"{policy.policy_id} {policy.version}, {band.action}"
    metrics: list[dict[str, Any]] = []
    if band.precision is not None:
        bound = band.precision_lower_bound
        interval = {} if bound is None else {"confidenceInterval": {"lowerBound": str(bound), "upperBound": "1"}}
        metrics.append({"type": "precision", "value": str(band.precision), "slice": where, **interval})
    if band.recall is not None:
        interval = {}
        if band.recall_interval is not None:
            low, high = band.recall_interval
            interval = {"confidenceInterval": {"lowerBound": str(low), "upperBound": str(high)}}
        metrics.append({"type": "recall", "value": str(band.recall), "slice": where, **interval})
    metrics += [
        {"type": "precision", "value": str(part.precision), "slice": f"{where}, {part.by}={part.value}"}
        for part in band.slices
        if part.precision is not None
    ]
    return metrics


def _licences(name: str) -> list[dict[str, Any]]:
    """By name, as it was stated: an SPDX id would be a claim that nobody made. None stated, none listed."""
    return [] if name == UNKNOWN else [{"license": {"name": name}}]


def _hash(sha256: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": sha256}
