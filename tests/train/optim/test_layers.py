"""Depths of parameters, for each family of encoders as it names its layers."""

from collections.abc import Callable
from typing import Any

import pytest
import transformers
from torch import nn

from data.errors import InputError
from train.optim.layers import layer_depths

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
PIXELS = {"image_size": 32, "patch_size": 16}


def backbone_of(kind: str) -> Any:
    t: Any = transformers
    made: dict[str, Callable[[], Any]] = {
        "vit": lambda: t.ViTModel(t.ViTConfig(**SIZES, **PIXELS)),
        "clip": lambda: t.CLIPVisionModel(t.CLIPVisionConfig(**SIZES, **PIXELS)),
        "siglip": lambda: t.SiglipVisionModel(t.SiglipVisionConfig(**SIZES, **PIXELS)),
        "dinov3": lambda: t.DINOv3ViTModel(t.DINOv3ViTConfig(**SIZES, **PIXELS)),
        "videomae": lambda: t.VideoMAEModel(t.VideoMAEConfig(**SIZES, **PIXELS, num_frames=4)),
        "timesformer": lambda: t.TimesformerModel(t.TimesformerConfig(**SIZES, **PIXELS, num_frames=4)),
        "bert": lambda: t.BertModel(t.BertConfig(**SIZES, vocab_size=9)),
        "xlm_roberta": lambda: t.XLMRobertaModel(t.XLMRobertaConfig(**SIZES, vocab_size=9)),
        "ast": lambda: t.ASTModel(t.ASTConfig(**SIZES, max_length=32, num_mel_bins=16)),
    }
    return made[kind]()


@pytest.mark.parametrize(
    "kind", ["vit", "clip", "siglip", "dinov3", "videomae", "timesformer", "bert", "xlm_roberta", "ast"]
)
def test_embeddings_are_lowest_and_what_follows_the_layers_is_highest(kind: str) -> None:
    backbone = backbone_of(kind)
    depths = layer_depths(backbone)
    assert set(depths) == {name for name, _ in backbone.named_parameters()}
    for name, depth in depths.items():
        if "embeddings" in name or "pre_layrnorm" in name:
            assert depth == 0, name
        elif ".0." in name:
            assert depth == 1, name
        else:
            assert depth == 2, name


def test_timm_orders_its_own_layers() -> None:
    architecture: Any = transformers.TimmWrapperModel
    backbone = architecture(transformers.TimmWrapperConfig(architecture="test_efficientnet"))
    depths = layer_depths(backbone)
    assert set(depths) == {name for name, _ in backbone.named_parameters()}
    assert depths["timm_model.conv_stem.weight"] == 0
    assert depths["timm_model.blocks.0.0.conv.weight"] == 1
    assert depths["timm_model.blocks.4.0.conv_pw.weight"] == max(depths.values()) == 5


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(InputError, match=r"layer_decay: 1\.0"):
        layer_depths(nn.Sequential(nn.Linear(2, 2)))
