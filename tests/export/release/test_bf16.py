"""bf16 where ONNX Runtime cannot run it: one sentence from score, serve, seal and predict.py, which says what can."""

import re
import shutil

import onnxruntime
import pytest
from bf16_model import write_bf16
from changed_releases import change_json
from two_precisions import Project

from data.errors import InputError
from data.files import read_json
from export.release.predict import main
from export.release.predictor import ReleaseError, load
from export.scoring.run import score
from export.scoring.runtimes import OnnxRuntime
from export.serving.model import load_model
from export.tensorrt.library import gpu_capability

VERSION = re.escape(onnxruntime.__version__)
REFUSAL = (
    rf"onnx/bf16/model\.onnx: ONNX Runtime {VERSION} cannot compute in bf16 with CPUExecutionProvider; "
    r"score it with runtime=tensorrt on a CUDA GPU, or take another precision of this model: fp32, int8$"
)


@pytest.fixture
def with_bf16(project: Project) -> Project:
    """The project, its model in bf16 too."""
    write_bf16(project.root / "model")
    return project


def test_score_and_serve_say_what_runs_it(with_bf16: Project) -> None:
    root = with_bf16.root
    items = root / "posts" / "items.parquet"
    with pytest.raises(InputError, match=REFUSAL):
        score(model=root / "model", items=items, out=root / "scores_bf16", precision="bf16")
    assert not (root / "scores_bf16" / "scores.parquet").exists()
    with pytest.raises(InputError, match=REFUSAL):
        load_model(root / "model", precision="bf16")
    OnnxRuntime(root / "model")
    if gpu_capability() is None:
        with pytest.raises(InputError, match=r"torch finds none here; use runtime=onnx and another precision"):
            score(model=root / "model", items=items, out=root / "scores_bf16", precision="bf16", runtime="tensorrt")


def test_other_faults_are_named_as_such(with_bf16: Project) -> None:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(InputError, match="provider 'cuda' is not in this ONNX Runtime"):
            OnnxRuntime(with_bf16.root / "model", precision="bf16", provider="cuda")
    (with_bf16.root / "model" / "onnx/bf16/model.onnx").write_bytes(b"half a file")
    with pytest.raises(InputError, match="the file was changed, export it again"):
        OnnxRuntime(with_bf16.root / "model", precision="bf16")


def test_a_release_goes_without_it_and_says_why(with_bf16: Project) -> None:
    summary = with_bf16.seal()
    [line] = [line for line in summary.lines if line.startswith("without bf16: ")]
    assert "golden answers of ONNX Runtime on the CPU, which has no bf16" in line
    release = summary.written[0]
    assert sorted(path.name for path in (release / "onnx").iterdir()) == ["fp32", "int8"]
    with pytest.raises(InputError, match=r"bf16 cannot be sealed: a release carries golden answers of ONNX Runtime"):
        with_bf16.seal(precisions=["fp32", "bf16"])
    with pytest.raises(InputError, match=r"has no precision 'bf16'; found fp32, int8"):
        load_model(release, precision="bf16")
    with pytest.raises(ReleaseError, match=r"it has no precision 'bf16'; found fp32, int8"):
        load(release, precision="bf16")


def test_predict_ends_in_one_sentence(with_bf16: Project, capsys: pytest.CaptureFixture[str]) -> None:
    release = with_bf16.seal().written[0]
    shutil.copytree(with_bf16.root / "model" / "onnx" / "bf16", release / "onnx" / "bf16")
    decided = read_json(release / "policies.json")["precisions"]["int8"]
    change_json(release, "policies.json", "precisions", "bf16", value=decided)
    picture = str(with_bf16.root / "posts" / "0-0.png")
    assert main(["--release", str(release), "--precision", "bf16", picture]) == 2
    assert capsys.readouterr().err == (
        f"{release}/onnx/bf16/model.onnx: ONNX Runtime {onnxruntime.__version__} cannot compute in bf16 on a CPU; "
        "take another --precision, such as fp32\n"
    )
    assert main(["--release", str(release), picture]) == 0
