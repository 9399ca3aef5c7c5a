"""Which parameters move, how fast, and how much they decay."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from data.policy import load_policies
from data.preprocessing import Preprocessing
from train.network.assemble import build_network, load_encoders
from train.network.classifier import MultimodalClassifier
from train.optim.optimiser import Optimisation, parameter_groups, warmup_and_cosine
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


@pytest.mark.parametrize("image", ["vit", "clip", "siglip", "efficientnet"])
def test_lower_layers_move_more_slowly(network_over: Make, image: str) -> None:
    network = network_over(image)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    settings = replace(RATES, layer_decay={"image": 0.5, "text": 0.1})
    groups = parameter_groups(network, settings)
    rates = {names[id(one)]: group.learning_rate for group in groups for one in group.parameters}
    assert set(rates) == set(names.values())
    assert {rate for name, rate in rates.items() if "_encoder." not in name} == {1e-3}
    num_layers = 5 if image == "efficientnet" else 2
    expected = [1e-4 * 0.5**place for place in range(num_layers, -1, -1)]
    assert sorted({rates[name] for name in rates if name.startswith("image_")}) == pytest.approx(expected)
    words = "text_encoder.backbone.embeddings.word_embeddings.weight"
    assert rates[words] == pytest.approx(1e-4 * 0.1**3)
    assert rates["text_encoder.backbone.encoder.layer.2.output.dense.weight"] == pytest.approx(1e-4)
    assert len({group.name for group in groups}) == len(groups)


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
