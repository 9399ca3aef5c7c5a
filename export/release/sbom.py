"""sbom.cdx.json: what a release is made of, as CycloneDX 1.6; and the requirements of its predict.py."""

import platform
from importlib.metadata import version
from typing import Any

from export.model_folder import ModelRecord, decoder_versions

SERVING_PACKAGES = ("av", "numpy", "onnxruntime", "pillow", "tokenizers")
SEALING_PACKAGES = ("onnx", "safetensors")


def toolchain() -> dict[str, str]:
    """Versions of what seals a release."""
    versions = {name: version(name) for name in (*SERVING_PACKAGES, *SEALING_PACKAGES)}
    versions["libavcodec"] = decoder_versions()["libavcodec"]
    versions["python"] = platform.python_version()
    return dict(sorted(versions.items()))


def requirements() -> str:
    """requirements.txt of predict.py: other versions may decode other pixels."""
    return "".join(f"{name}=={version(name)}\n" for name in SERVING_PACKAGES)


def bill_of_materials(record: ModelRecord, onnx_sha256: str) -> dict[str, Any]:
    """CycloneDX 1.6: the model, the encoders it was made from, and the packages that serve it.

    Args:
        record: model.json of the release.
        onnx_sha256: digest of the sealed ONNX file.
    """
    model = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": "setpoint-release",
        "version": record.model_digest[:16],
        "hashes": [{"alg": "SHA-256", "content": onnx_sha256}],
    }
    encoders: list[dict[str, Any]] = [
        {
            "type": "machine-learning-model",
            "bom-ref": f"encoder:{name}",
            "name": encoder.source,
            "description": f"{name} encoder",
            "hashes": [{"alg": "SHA-256", "content": encoder.digest}],
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
    components = [*encoders, *packages]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": model},
        "components": components,
        "dependencies": [{"ref": "model", "dependsOn": [component["bom-ref"] for component in components]}],
    }
