"""Which parameters move, how fast, and how much they decay."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from data.policy import load_policies
from data.preprocessing import Preprocessing
from train.assemble import build_network, load_encoders
from train.network import MultimodalClassifier
from train.optim import Optimisation, parameter_groups, warmup_and_cosine
from train.settings import FusionSettings, ImageSettings, ModelSettings, TextSettings

RATES = Optimisation(learning_rate=1e-3, encoder_learning_rate=1e-4, weight_decay=0.1, warmup_fraction=0.1)
Make = Callable[..., MultimodalClassifier]


@pytest.fixture(scope="module")
def network_over(encoder_folder: Callable[[str], str], split_folder: Path, small: Preprocessing) -> Make:
    """A network over tiny encoders of the kinds given."""

    def make(image: str = "vit", text: str = "bert") -> MultimodalClassifier:
        model = ModelSettings(
            image=ImageSettings(source=encoder_folder(image), tune="full"),
            text=TextSettings(source=encoder_folder(text), tune="full"),
            fusion=FusionSettings(width=16, num_heads=2),
        )
        return build_network(model, load_encoders(model), load_policies(split_folder / "policies"), small)

    return make


def test_every_trained_parameter_is_in_one_group(network_over: Make) -> None:
    network = network_over()
    network.image_encoder.backbone.embeddings.requires_grad_(False)
    groups = parameter_groups(network, RATES)
    grouped = [id(parameter) for group in groups for parameter in group.parameters]
    assert sorted(grouped) == sorted(id(one) for one in network.parameters() if one.requires_grad)


def test_biases_norms_and_single_tokens_do_not_decay(network_over: Make) -> None:
    network = network_over()
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decay = {
        names[id(parameter)]: group.weight_decay
        for group in parameter_groups(network, RATES)
        for parameter in group.parameters
    }
    still = {name for name, value in decay.items() if value == 0}
    assert "image_encoder.backbone.embeddings.cls_token" in still
    assert all(name in still for name in decay if name.endswith("bias") or "norm" in name.lower())
    assert {"image_encoder.backbone.embeddings.position_embeddings", "fusion.layers.0.qkv.weight"} <= set(
        decay
    ) - still


def test_the_rate_rises_then_falls_to_its_floor() -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_and_cosine(optimizer, total_steps=100, warmup_fraction=0.1, min_lr_fraction=0.25)
    rates = []
    for _ in range(100):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[:11] == sorted(rates[:11])
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(2.0 * (0.25 + 0.75 * 0.5 * (1 + math.cos(math.pi * 0.5))))
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert schedule.get_last_lr()[0] == pytest.approx(0.5)


def test_a_run_without_end_keeps_the_peak_rate() -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_and_cosine(optimizer, total_steps=math.inf, warmup_fraction=0.1)
    for _ in range(5):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == [2.0]
