"""The ONNX export: free axes, equal outputs at every shape, equal bytes, and no trace of the machine."""

import getpass
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from data.errors import InputError
from export.graph import onnx_export
from export.graph.contract import Contract, contract_of, mismatches
from export.graph.onnx_export import export_onnx

P = 3


class TinyNetwork(nn.Module):
    """A stand-in with the forward of MultimodalClassifier: masked means of pixels and words, and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.words = nn.Embedding(50, 8)
        self.qkv = nn.Linear(8, 24)
        self.head = nn.Linear(8, P)

    def forward(
        self, frames: Tensor, frame_mask: Tensor, frame_times: Tensor, token_ids: Tensor, token_mask: Tensor
    ) -> Tensor:
        B, T = frames.shape[:2]
        pixels = frames.to(torch.float32).flatten(0, 1) / 127.5 - 1
        seen = self.patches(pixels).mean((2, 3)).unflatten(0, (B, T)) + frame_times[..., None]
        q, k, v = self.qkv(self.words(token_ids)).chunk(3, -1)
        weights = (q @ k.transpose(-1, -2)).masked_fill(~token_mask[:, None, :], -1e4).softmax(-1)
        return self.head(masked_mean(seen, frame_mask) + masked_mean(weights @ v, token_mask))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    weights = mask[..., None].float()
    return (values * weights).sum(1) / weights.sum(1).clamp(min=1)


class FixedBatch(TinyNetwork):
    """Works for the batch size of the example alone."""

    def forward(
        self, frames: Tensor, frame_mask: Tensor, frame_times: Tensor, token_ids: Tensor, token_mask: Tensor
    ) -> Tensor:
        return super().forward(frames, frame_mask, frame_times, token_ids, token_mask) + torch.zeros(3, P)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return contract_of(height=16, width=16, vocabulary_size=50, pad_token_id=0, policy_count=P)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(1)
    return TinyNetwork().eval()


@pytest.fixture(scope="module")
def exported(network: nn.Module, contract: Contract) -> onnx.ModelProto:
    return export_onnx(network, contract)


def inputs(B: int, T: int, L: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(B * 100 + T * 10 + L)
    return {
        "frames": random.integers(0, 256, (B, T, 3, 16, 16), dtype=np.uint8),
        "frame_mask": random.random((B, T)) < 0.6,
        "frame_times": random.random((B, T)).astype(np.float32),
        "token_ids": random.integers(0, 50, (B, L)),
        "token_mask": random.random((B, L)) < 0.6,
    }


@pytest.mark.parametrize(("B", "T", "L"), [(1, 1, 1), (2, 1, 7), (3, 5, 1), (7, 2, 9), (1, 8, 3), (3, 2, 5)])
def test_outputs_equal_the_network_at_every_shape(exported, network, B: int, T: int, L: int) -> None:
    session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = inputs(B, T, L)
    logits, probabilities, flags = session.run(["logits", "probabilities", "flags"], feed)
    with torch.inference_mode():
        expected = network(*map(torch.from_numpy, feed.values())).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-expected)), atol=1e-5)
    assert flags.shape == (B, 0)


def test_axes_and_types_are_those_of_the_contract(exported: onnx.ModelProto, contract: Contract) -> None:
    assert mismatches(contract, exported) == []
    first_axis = [value.type.tensor_type.shape.dim[0].dim_param for value in exported.graph.output]
    assert first_axis == ["batch"] * 3
    assert [entry.version for entry in exported.opset_import if entry.domain == ""] == [20]
    assert "Resize" not in {node.op_type for node in exported.graph.node}


def test_the_file_tells_nothing_of_the_machine(exported: onnx.ModelProto) -> None:
    content = exported.SerializeToString()
    words = [Path.cwd().as_posix(), "site-packages", ".py", "File ", "TinyNetwork", "test_onnx", "torch", "forward"]
    assert [word for word in words if word.encode() in content] == []
    assert not re.search(rb"\b" + re.escape(getpass.getuser().encode()) + rb"\b", content)
    assert not exported.graph.value_info
    assert not any(node.metadata_props or node.doc_string for node in exported.graph.node)


def test_a_fixed_batch_is_refused(contract: Contract) -> None:
    with pytest.raises(InputError, match=r"free batch.*static shape of 3 for dimension inputs"):
        export_onnx(FixedBatch().eval(), contract)


def test_networks_beyond_one_file_are_refused_before_the_long_work(network, contract, monkeypatch) -> None:
    monkeypatch.setattr(onnx_export, "LARGEST_FILE", 100)
    with pytest.raises(InputError, match="GB of weights"):
        export_onnx(network, contract)


def test_another_height_is_a_mismatch(exported: onnx.ModelProto) -> None:
    other = contract_of(height=32, width=16, vocabulary_size=50, pad_token_id=0, policy_count=4)
    wrong = mismatches(other, exported)
    assert any("input frames: expected shape" in line and "32" in line for line in wrong)
    assert any("output logits" in line for line in wrong)
    renamed = onnx.ModelProto()
    renamed.CopyFrom(exported)
    renamed.graph.input[0].name = "images"
    assert "images" in mismatches(other, renamed)[0]
