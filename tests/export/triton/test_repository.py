"""The repository as Triton reads it: configs by its own protobuf, model.py run on real files. No Triton here."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from data.errors import InputError
from data.items import read_items
from export.graph.contract import read_contract
from export.release.replay import read_exchange, read_replay
from export.triton.run import triton

TEXTS = ("CAPTION", "OCR_TEXT", "ASR_TEXT")


class Tensor:
    """Of Triton's Python backend: a name and an array."""

    def __init__(self, name, array) -> None:
        self.name, self.array = name, array

    def as_numpy(self):
        return self.array


class Response:
    def __init__(self, output_tensors=(), error=None) -> None:
        self.tensors, self.error = {tensor.name: tensor.array for tensor in output_tensors}, error


@pytest.fixture(scope="module")
def repository(untouched_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("triton") / "repository"
    triton(release=untouched_release, out=out)
    return out


@pytest.fixture
def preprocess(repository: Path, monkeypatch: pytest.MonkeyPatch):
    """The class in model.py, initialised as Triton would; the stand-in holds what Triton's own module would."""
    backend = types.ModuleType("triton_python_backend_utils")
    backend.Tensor, backend.InferenceResponse, backend.TritonError = Tensor, Response, str
    backend.get_input_tensor_by_name = lambda request, name: request.get(name)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
    monkeypatch.setitem(sys.modules, "predict", None)
    folder = repository / "setpoint_preprocess"
    spec = importlib.util.spec_from_file_location("model", folder / "1" / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    model.initialize({"model_repository": str(folder), "model_version": "1"})
    return model


def request(media: list[bytes], media_type: str | None, caption: str | None = None):
    values = {"MEDIA": media, "MEDIA_TYPE": [media_type.encode()] if media_type else []}
    values["CAPTION"] = [caption.encode()] if caption else []
    return {
        name: Tensor(name, np.array([held], dtype=object)) for name, held in values.items() if held
    }  # an optional input that is not given is absent


def config(repository: Path, name: str) -> model_config_pb2.ModelConfig:
    text = (repository / name / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("engine", ["onnx", "plan"])
def test_the_model_has_the_tensors_of_the_contract(engine: str, untouched_release: Path, tmp_path: Path) -> None:
    plan = tmp_path / "engine.plan"
    plan.write_bytes(b"an engine")
    out = tmp_path / "repository"
    triton(release=untouched_release, out=out, plan=plan if engine == "plan" else None, max_batch=16)
    found, contract = config(out, "setpoint_model"), read_contract(untouched_release / "contract.json")
    assert found.name == "setpoint_model"
    assert found.platform == {"onnx": "onnxruntime_onnx", "plan": "tensorrt_plan"}[engine]
    assert found.max_batch_size == 16
    assert found.dynamic_batching.max_queue_delay_microseconds == 2000
    assert list(found.version_policy.specific.versions) == [1]
    for kind, tensors in ((found.input, contract.inputs), (found.output, contract.outputs)):
        names = [(each.name, model_config_pb2.DataType.Name(each.data_type)) for each in kind]
        assert names == [(tensor.name, f"TYPE_{tensor.datatype}") for tensor in tensors]
        for each, tensor in zip(kind, tensors, strict=True):
            assert list(each.dims) == ([3] if tensor.name == "flags" else tensor.shape[1:])
    file = out / "setpoint_model" / "1" / f"model.{engine}"
    sealed = plan if engine == "plan" else untouched_release / "onnx/fp32/model.onnx"
    assert file.read_bytes() == sealed.read_bytes()


def test_labels_name_policies_and_bands(repository: Path) -> None:
    model = repository / "setpoint_model"
    for output in config(repository, "setpoint_model").output:
        assert (model / output.label_filename).is_file()
    assert (model / "policies.txt").read_text().split() == ["fire", "scam"]
    assert (model / "bands.txt").read_text().split() == ["fire/auto_remove", "fire/review", "scam/restrict"]


def test_warm_up_runs_golden_inputs(repository: Path, untouched_release: Path) -> None:
    session = onnxruntime.InferenceSession(repository / "setpoint_model" / "1" / "model.onnx")
    samples = config(repository, "setpoint_model").model_warmup
    assert samples
    dtypes = {"TYPE_UINT8": np.uint8, "TYPE_BOOL": np.bool_, "TYPE_INT64": np.int64, "TYPE_FP32": np.float32}
    for sample in samples:
        feeds = {}
        for name, tensor in sample.inputs.items():
            data = (repository / "setpoint_model" / "warmup" / tensor.input_data_file).read_bytes()
            dtype = dtypes[model_config_pb2.DataType.Name(tensor.data_type)]
            feeds[name] = np.frombuffer(data, dtype).reshape([sample.batch_size, *tensor.dims])
        _, expected = read_exchange(untouched_release / "golden", int(sample.name))
        np.testing.assert_array_equal(session.run(["flags"], feeds)[0], expected.flags)


def test_the_ensemble_joins_what_the_two_models_have(repository: Path) -> None:
    ensemble = config(repository, "setpoint")
    assert (repository / "setpoint" / "1").is_dir()
    first, second = ensemble.ensemble_scheduling.step
    known = {each.name: each for each in ensemble.input}
    for step in (first, second):
        model = config(repository, step.model_name)
        assert set(step.input_map) == {each.name for each in model.input}
        assert set(step.output_map) == {each.name for each in model.output}
        assert ensemble.max_batch_size <= model.max_batch_size
        assert set(step.input_map.values()) <= set(known)
        for each in model.input:
            held = known[step.input_map[each.name]]
            assert (held.data_type, list(held.dims)) == (each.data_type, list(each.dims))
        known |= {step.output_map[each.name]: each for each in model.output}
    assert {each.name for each in ensemble.output} == {"logits", "probabilities", "flags"}
    assert {each.name for each in ensemble.output} <= set(known)


def test_encoded_media_get_the_flags_of_the_release(
    preprocess, repository: Path, untouched_release: Path, untouched_parts: Path
) -> None:
    """model.py on the files of the golden items, then the repository's own ONNX, as the ensemble joins them."""
    session = onnxruntime.InferenceSession(repository / "setpoint_model" / "1" / "model.onnx")
    items = read_items(untouched_parts / "items.parquet")
    item_ids = read_replay(untouched_release / "golden").item_ids
    kinds = set()
    for place, item_id in enumerate(item_ids):
        row = items.row(by_predicate=pl.col("item_id") == item_id, named=True)
        kinds.add(row["media_type"])
        media = [Path(file).read_bytes() for file in row["media"]]
        [response] = preprocess.execute([request(media, row["media_type"], row["caption"])])
        assert response.error is None
        batch, expected = read_exchange(untouched_release / "golden", place)
        for name, array in batch.arrays().items():
            np.testing.assert_array_equal(response.tensors[name], array, err_msg=f"{item_id} {name}")
        logits, flags = session.run(["logits", "flags"], response.tensors)
        np.testing.assert_array_equal(flags, expected.flags)
        np.testing.assert_allclose(logits, expected.logits, atol=1e-5)
    assert kinds == {"photo", "video"}


def test_an_item_that_cannot_be_read_is_an_error_of_its_own(preprocess, untouched_parts: Path) -> None:
    good = (untouched_parts / "media" / "0-0.png").read_bytes()
    answers = preprocess.execute(
        [
            request([b"no photo"], "photo"),
            request([good], "photo"),
            request([good], None),
            request([], None),
            request([], None, "fire sale"),
        ]
    )
    assert "not a photo of a known format" in answers[0].error
    assert "expected photo or video" in answers[2].error
    assert "nothing to look at" in answers[3].error
    assert [answer.error for answer in (answers[1], answers[4])] == [None, None]
    assert not answers[4].tensors["frame_mask"].any()


def test_a_changed_release_is_not_written(release: Path, tmp_path: Path) -> None:
    (release / "preprocess.json").write_text("{}")
    with pytest.raises(InputError, match="is not a release to serve"):
        triton(release=release, out=tmp_path / "repository")
    assert not (tmp_path / "repository").exists()
