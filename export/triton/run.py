"""The verb `triton`: a verified release as a model repository that Triton loads as it is."""

import shutil
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from data.errors import InputError
from data.files import atomic_folder, existing_file
from data.summary import Summary
from export.model_folder import TOKENIZER_FILE, read_model_folder
from export.release.decisions import read_served_policies
from export.release.replay import read_exchange, read_replay
from export.release.verify import verify
from export.triton.config import WarmUp, ensemble_config, model_config, preprocess_config

PYTHON_MODEL = Path(__file__).with_name("python_model.py")


def triton(
    *,
    release: Path,
    out: Path,
    trust: Path | None = None,
    precision: str = "fp32",
    plan: Path | None = None,
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "setpoint",
    version: Annotated[int, Field(ge=1)] = 1,
    max_batch: Annotated[int, Field(ge=1)] = 32,
    max_delay_ms: Annotated[float, Field(ge=0)] = 2.0,
) -> Summary:
    """Write a model repository: the model, its preprocessing in Python, and both in a row as an ensemble.

    Args:
        release: folder of the release; one that `verify` fails is not written.
        out: folder of the repository, replaced as a whole.
        trust: public key, or folder of keys, that must have signed it; None takes unsigned releases too.
        precision: which of its ONNX files.
        plan: a TensorRT engine built from that file for the GPU that serves; served in place of the ONNX.
        name: of the ensemble; the others are NAME_preprocess and NAME_model.
        version: number of the version folders.
        max_batch: items that run together at most.
        max_delay_ms: that a request waits for others at most.

    Raises:
        InputError: the release is not one to serve, or has no such precision; there is no such engine.
    """
    verified = verify(release=release, trust=trust)
    if not verified.ok:
        raise InputError("\n".join([verified.title, *verified.lines]))
    folder = read_model_folder(release)
    served = read_served_policies(release / "policies.json")
    bands = [
        "/".join([*([pack.name] if pack.name else []), policy.policy_id, band.action])
        for pack, policy, band in served.all_bands()
    ]
    engine = folder.onnx_file(precision) if plan is None else existing_file(plan)
    steps = (f"{name}_preprocess", f"{name}_model")
    with atomic_folder(out) as repository:
        preprocess, model, ensemble = (repository / each for each in (*steps, name))
        for each in (preprocess, model, ensemble):
            (each / str(version)).mkdir(parents=True)
        shutil.copyfile(engine, model / str(version) / ("model.onnx" if plan is None else "model.plan"))
        (model / "policies.txt").write_text("".join(f"{each}\n" for each in folder.record.policy_ids))
        (model / "bands.txt").write_text("".join(f"{band}\n" for band in bands))
        _write_config(
            model,
            model_config(
                model.name,
                folder.contract,
                platform="onnxruntime_onnx" if plan is None else "tensorrt_plan",
                version=version,
                num_bands=len(bands),
                max_batch=max_batch,
                max_delay_ms=max_delay_ms,
                warm_ups=_write_warm_ups(release, model / "warmup"),
            ),
        )
        _write_config(preprocess, preprocess_config(preprocess.name, folder.contract, version=version))
        _write_preprocessing(release, preprocess / str(version))
        _write_config(
            ensemble,
            ensemble_config(name, folder.contract, version=version, num_bands=len(bands), steps=steps),
        )
    lines = [f"the Python backend needs the packages of {steps[0]}/{version}/requirements.txt"]
    return Summary(f"triton: repository of {name}, {steps[0]}, {steps[1]}", [out], lines)


def _write_config(folder: Path, text: str) -> None:
    (folder / "config.pbtxt").write_text(text, encoding="utf-8")


def _write_preprocessing(release: Path, folder: Path) -> None:
    """model.py, and the files of the release that it runs on."""
    shutil.copyfile(PYTHON_MODEL, folder / "model.py")
    (folder / TOKENIZER_FILE).parent.mkdir()
    for file in ("predict.py", "preprocess.json", "requirements.txt", TOKENIZER_FILE):
        shutil.copyfile(release / file, folder / file)


def _write_warm_ups(release: Path, folder: Path) -> list[WarmUp]:
    """Raw files of one golden input of each shape."""
    folder.mkdir()
    seen: dict[tuple[tuple[int, ...], ...], WarmUp] = {}
    for place in range(len(read_replay(release / "golden").item_ids)):
        batch, _ = read_exchange(release / "golden", place)
        arrays = batch.arrays()
        shapes = {name: array.shape[1:] for name, array in arrays.items()}
        if tuple(shapes.values()) in seen:
            continue
        warm_up = WarmUp(f"{place:04d}", shapes)
        seen[tuple(shapes.values())] = warm_up
        for name, array in arrays.items():
            (folder / f"{warm_up.name}.{name}").write_bytes(np.ascontiguousarray(array).tobytes())
    return list(seen.values())
