"""Adapters: where they go, what trains, that merging changes nothing, and that checkpoints hold them alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from data.errors import InputError
from train.encoders.describing import state_digest
from train.encoders.image import load_image_encoder
from train.encoders.text import load_text_encoder
from train.optim.lora import ADAPTER, adapter_targets, add_adapters, merge_adapters

Folder = Callable[[str], str]


def encoder_of(kind: str, folder: Folder) -> Any:
    return load_text_encoder(folder(kind)) if kind == "bert" else load_image_encoder(folder(kind))


def shake(backbone: nn.Module) -> None:
    """Adapters as after some training: they start at zero."""
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if ADAPTER in name:
                parameter.copy_(torch.randn_like(parameter) * 0.3)


@pytest.mark.parametrize("kind", ["vit", "clip", "siglip", "bert"])
def test_auto_finds_queries_and_values_and_merging_changes_nothing(kind: str, encoder_folder: Folder) -> None:
    encoder = encoder_of(kind, encoder_folder)
    before = state_digest(encoder)
    targets = adapter_targets(encoder.backbone, "auto")
    num_layers = 3 if kind == "bert" else 2
    assert len(targets) == 2 * num_layers
    add_adapters(encoder.backbone, targets=targets, rank=2, alpha=4, dropout=0.1)
    trained = {name for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert trained == {name for name, _ in encoder.named_parameters() if ADAPTER in name}
    inputs = (
        (torch.tensor([[2, 5, 7, 3]]), torch.ones(1, 4, dtype=torch.bool))
        if kind == "bert"
        else (torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8),)
    )
    encoder.eval()
    untouched = encoder(*inputs)
    shake(encoder.backbone)
    apart = encoder(*inputs)
    assert not torch.allclose(apart, untouched, atol=1e-3)
    merge_adapters(encoder.backbone)
    torch.testing.assert_close(encoder(*inputs), apart, atol=1e-5, rtol=1e-5)
    assert not any("lora" in name or "base_layer" in name for name, _ in encoder.named_modules())
    assert all(weight.dtype == torch.float32 for weight in encoder.parameters())
    assert set(encoder.state_dict()) == set(encoder_of(kind, encoder_folder).state_dict())
    assert state_digest(encoder) != before


def test_pointwise_convolutions_take_adapters(encoder_folder: Folder) -> None:
    encoder = encoder_of("efficientnet", encoder_folder)
    targets = adapter_targets(encoder.backbone, ("conv_pw", "conv_pwl"))
    assert targets
    add_adapters(encoder.backbone, targets=targets, rank=2, alpha=4, dropout=0.0)
    shake(encoder.backbone)
    encoder.eval()
    frames = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    apart = encoder(frames)
    merge_adapters(encoder.backbone)
    torch.testing.assert_close(encoder(frames), apart, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "wanted", "words"),
    [
        ("efficientnet", "auto", "has no attention projections; name its layers, candidates: .*conv_pw"),
        ("efficientnet", ("conv_dw",), "no linear layer or pointwise convolution called 'conv_dw'"),
        ("vit", ("q_proj", "nonsense"), "called 'nonsense'; candidates: .*q_proj"),
    ],
)
def test_targets_that_match_nothing_name_the_candidates(
    kind: str, wanted: Any, words: str, encoder_folder: Folder
) -> None:
    with pytest.raises(InputError, match=words):
        adapter_targets(encoder_of(kind, encoder_folder).backbone, wanted)


def test_a_projection_that_is_read_and_never_called_is_no_target() -> None:
    backbone = nn.ModuleDict({"attention": nn.MultiheadAttention(4, 2), "dense": nn.Linear(4, 4)})
    assert adapter_targets(backbone, ("dense",)) == ["dense"]
    with pytest.raises(InputError, match="'out_proj'; candidates: dense"):
        adapter_targets(backbone, ("out_proj",))
