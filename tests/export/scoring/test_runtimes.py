"""Runtimes: what they refuse to open, and what they say of themselves."""

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from data.errors import InputError
from data.files import read_json, sha256_of_file, write_json
from export.graph.decision_head import Decision, load_onnx, write_decision
from export.graph.onnx_export import save_onnx
from export.model_folder import read_model_folder
from export.scoring import runtimes
from export.scoring.batch import Batch
from export.scoring.runtimes import OnnxRuntime, open_runtime

BATCH = Batch(
    frames=np.full((2, 1, 3, 8, 8), 100, np.uint8),
    frame_mask=np.array([[True], [False]]),
    frame_times=np.zeros((2, 1), np.float32),
    token_ids=np.array([[2, 3], [4, 0]]),
    token_mask=np.array([[True, True], [False, False]]),
)


@pytest.fixture
def model(hand_made_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(hand_made_model, tmp_path / "model")


def test_outputs_and_names(model: Path) -> None:
    runtime = OnnxRuntime(model, threads=1)
    outputs = runtime.run(BATCH)
    np.testing.assert_allclose(outputs.logits, [[1 + 2.5, -2 + 1.25], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(outputs.probabilities, 1 / (1 + np.exp(-outputs.logits)), atol=1e-6)
    assert outputs.flags.shape == (2, 0)
    assert runtime.name == f"onnxruntime-{onnxruntime.__version__}-cpu-fp32"
    assert runtime.policy_versions == {"fire": "1.0.0", "scam": "2.1.0"}
    assert runtime.session.get_providers() == ["CPUExecutionProvider"]


def test_a_sealed_model_keeps_its_digest_and_flags(model: Path) -> None:
    before = OnnxRuntime(model)
    file = model / "onnx/fp32/model.onnx"
    sealed = write_decision(load_onnx(file), Decision([2, 2], [1, 1], [3.5, 0, 9], [0, 1, 0]))
    save_onnx(sealed, file)
    with pytest.raises(InputError, match=r"does not match model\.json; the file was changed"):
        OnnxRuntime(model)
    record = read_json(model / "model.json")
    record["precisions"]["fp32"]["sha256"] = sha256_of_file(file)
    write_json(model / "model.json", record)
    after = OnnxRuntime(model)
    assert after.model_digest == before.model_digest
    outputs = after.run(BATCH)
    np.testing.assert_array_equal(outputs.logits, before.run(BATCH).logits)
    assert outputs.flags.tolist() == [[True, False, False], [False, True, False]]


def test_a_changed_graph_is_refused_even_with_a_new_file_digest(model: Path) -> None:
    file = model / "onnx/fp32/model.onnx"
    graph = load_onnx(file)
    graph.graph.initializer[0].float_data[0] = 0.5
    save_onnx(graph, file)
    record = read_json(model / "model.json")
    record["precisions"]["fp32"]["sha256"] = sha256_of_file(file)
    write_json(model / "model.json", record)
    with pytest.raises(InputError, match="model digest does not match"):
        OnnxRuntime(model)


def test_a_contract_that_says_something_else_is_refused(model: Path) -> None:
    contract = read_json(model / "contract.json")
    contract["inputs"][0]["shape"][3] = 16
    write_json(model / "contract.json", contract)
    with pytest.raises(InputError, match=r"input frames: expected shape .*16"):
        OnnxRuntime(model)
    contract["inputs"][0]["dtype"] = "UINT8"
    write_json(model / "contract.json", contract)
    with pytest.raises(InputError, match=r"contract\.json, inputs\.0\.dtype = .UINT8.: unknown key"):
        OnnxRuntime(model)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.json", "{", "model.json: not a JSON file"),
        ("model.json", '{"schema": "setpoint/model/v1"}', "policies: this key is missing"),
        ("preprocess.json", '{"height": 8}', "preprocess.json: preprocessing.width is missing"),
        ("tokenizer/tokenizer.json", "{", "tokenizer.json"),
        ("onnx/fp32/model.onnx", None, "no such file"),
        ("model.json", None, "expected a folder that `setpoint export` wrote"),
        ("contract.json", None, "contract.json: no such file"),
    ],
)
def test_broken_folders_are_named(model: Path, file: str, content: str | None, message: str) -> None:
    if content is None:
        (model / file).unlink()
    else:
        (model / file).write_text(content)
    with pytest.raises(InputError, match=message):
        OnnxRuntime(model)


def test_a_precision_that_is_not_there(model: Path) -> None:
    with pytest.raises(InputError, match="no precision 'int8'; found fp32"):
        read_model_folder(model).onnx_file("int8")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_providers_that_are_missing_or_fall_back_are_errors(model: Path, monkeypatch) -> None:
    with pytest.raises(InputError, match="provider 'cuda' is not in this ONNX Runtime"):
        OnnxRuntime(model, provider="cuda")
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(runtimes.onnxruntime, "get_available_providers", lambda: available)
    with pytest.raises(InputError, match="CUDAExecutionProvider"):
        OnnxRuntime(model, provider="cuda")


def test_kinds_and_paths_that_do_not_fit(model: Path, tmp_path: Path) -> None:
    assert isinstance(open_runtime(model), OnnxRuntime)
    with pytest.raises(InputError, match=r"runtime=torch needs the \.ckpt file"):
        open_runtime(model, kind="torch")
    with pytest.raises(InputError, match="runtime=onnx needs a folder"):
        open_runtime(tmp_path / "best.ckpt", kind="onnx")
    for name in ("best.ckpt", "model/onnx/fp32/model.onnx"):
        with pytest.raises(InputError, match=r"expected a \.ckpt file, or a folder"):
            open_runtime(tmp_path / name)
    (tmp_path / "best.ckpt").touch()
    with pytest.raises(InputError, match="runs in fp32"):
        open_runtime(tmp_path / "best.ckpt", precision="int8")
