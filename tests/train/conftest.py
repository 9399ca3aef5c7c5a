"""Tiny random encoders saved to folders as save_pretrained writes them, and a small split to train on."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import polars as pl
import pytest
import torch
import yaml
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from data.preprocessing import Preprocessing
from train.settings import FusionSettings, ImageSettings, ModelSettings, OptimSettings, TextSettings

WORDS = ["fine", "bad", "cat", "dog", "sun", "rain", "tree", "sea", "you", "the"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
SIZE = 32  # pixels
POLICY = {
    "schema": "setpoint/policy/v1",
    "version": "1.0.0",
    "name": "A policy",
    "owner": "safety",
    "definition": "What must not be.",
    "violates": [{"code": "V1", "text": "It."}],
    "bands": [{"action": "auto_remove", "target_precision": 0.9, "confidence": 0.95}],
}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    # Threads that wait for each other cost more than these networks.
    torch.set_num_threads(1)


def save_tokenizer(folder: Path) -> None:
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def save_pixel_statistics(folder: Path) -> None:
    settings = {
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.2, 0.2],
        "image_processor_type": "ViTImageProcessor",
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def _vit(folder: Path) -> None:
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    # Without pooler, as checkpoints of classifiers come.
    ViTModel(ViTConfig(image_size=SIZE, patch_size=16, **sizes), add_pooling_layer=False).save_pretrained(folder)
    save_pixel_statistics(folder)


def _timm(folder: Path, architecture: str = "test_resnet") -> None:
    from transformers import TimmWrapperConfig, TimmWrapperModel

    model = TimmWrapperModel(TimmWrapperConfig(architecture=architecture))
    model.save_pretrained(folder)
    save_pixel_statistics(folder)


def _bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(SPECIAL) + len(WORDS), max_position_embeddings=16, **sizes)
    BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)


def _clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    text = {
        **sizes,
        "vocab_size": 14,
        "max_position_embeddings": 16,
        "eos_token_id": 3,
        "bos_token_id": 2,
        "pad_token_id": 0,
    }
    CLIPModel(
        CLIPConfig(text_config=text, vision_config={**sizes, "image_size": SIZE, "patch_size": 16})
    ).save_pretrained(folder)
    save_pixel_statistics(folder)
    save_tokenizer(folder)


def _siglip(folder: Path) -> None:
    from transformers import SiglipConfig, SiglipModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    text = {
        **sizes,
        "vocab_size": 14,
        "max_position_embeddings": 16,
        "eos_token_id": 3,
        "bos_token_id": 2,
        "pad_token_id": 0,
    }
    config = SiglipConfig(text_config=text, vision_config={**sizes, "image_size": SIZE, "patch_size": 16})
    SiglipModel(config).save_pretrained(folder)
    save_pixel_statistics(folder)
    save_tokenizer(folder)


def _xlmr(folder: Path) -> None:
    from transformers import XLMRobertaConfig, XLMRobertaModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = XLMRobertaConfig(vocab_size=14, max_position_embeddings=18, pad_token_id=0, **sizes)
    XLMRobertaModel(config).save_pretrained(folder)
    save_tokenizer(folder)


def _dinov3(folder: Path) -> None:
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = DINOv3ViTConfig(image_size=SIZE, patch_size=16, num_register_tokens=2, **sizes)
    DINOv3ViTModel(config).save_pretrained(folder)
    save_pixel_statistics(folder)


def _videomae(folder: Path) -> None:
    from transformers import VideoMAEConfig, VideoMAEModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    VideoMAEModel(VideoMAEConfig(image_size=SIZE, patch_size=16, num_frames=4, **sizes)).save_pretrained(folder)
    save_pixel_statistics(folder)


def _timesformer(folder: Path) -> None:
    from transformers import TimesformerConfig, TimesformerModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    TimesformerModel(TimesformerConfig(image_size=SIZE, patch_size=16, num_frames=4, **sizes)).save_pretrained(folder)
    save_pixel_statistics(folder)


def _whisper(folder: Path) -> None:
    from transformers import WhisperConfig, WhisperModel

    sizes = {f"{part}_{name}": 2 for part in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = WhisperConfig(
        vocab_size=8, d_model=16, encoder_ffn_dim=16, decoder_ffn_dim=16, num_mel_bins=20, **sizes, **tokens
    )
    config.max_source_positions, config.max_target_positions = 150, 8
    WhisperModel(config).save_pretrained(folder)


def _ast(folder: Path) -> None:
    from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    ASTModel(ASTConfig(num_mel_bins=32, max_length=256, **sizes)).save_pretrained(folder)
    ASTFeatureExtractor(num_mel_bins=32, max_length=256, mean=-4.0, std=5.0).save_pretrained(folder)


def _vjepa2(folder: Path) -> None:
    from transformers import VJEPA2Config, VJEPA2Model

    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 1.0}
    predictor = {f"pred_{name}": size for name, size in {**sizes, "num_hidden_layers": 1}.items()}
    config = VJEPA2Config(crop_size=SIZE, patch_size=16, frames_per_clip=4, **sizes, **predictor)
    VJEPA2Model(config).save_pretrained(folder)
    save_pixel_statistics(folder)
    (folder / "preprocessor_config.json").rename(folder / "video_preprocessor_config.json")


MAKERS: dict[str, Callable[[Path], None]] = {
    "vit": _vit,
    "timm": _timm,
    "efficientnet": partial(_timm, architecture="test_efficientnet"),
    "bert": _bert,
    "clip": _clip,
    "siglip": _siglip,
    "xlmr": _xlmr,
    "e5": _xlmr,  # multilingual E5 is an XLM-R
    "dinov3": _dinov3,
    "videomae": _videomae,
    "timesformer": _timesformer,
    "vjepa2": _vjepa2,
    "whisper": _whisper,
    "ast": _ast,
}


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Makes and remembers the folder of a tiny random encoder, by a name in MAKERS."""
    made: dict[str, str] = {}

    def folder_of(kind: str) -> str:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            state = torch.get_rng_state()
            torch.manual_seed(len(kind))
            MAKERS[kind](folder)
            torch.set_rng_state(state)
            made[kind] = str(folder)
        return made[kind]

    return folder_of


@pytest.fixture(scope="session")
def write_clip() -> Callable[..., None]:
    """Writes a small clip; see `_write_clip`."""
    return _write_clip


def _write_clip(path: Path, levels: list[int], sound: np.ndarray | None = None) -> None:
    """A clip of 40 x 40 pixels: a frame of one brightness a level, five a second; and sound, [N] at 16 kHz."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width = stream.height = 40
        stream.pix_fmt = "yuv420p"
        if sound is not None:
            audio = container.add_stream("aac", rate=16_000, layout="mono")
        for level in levels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((40, 40, 3), level, np.uint8))))
        container.mux(stream.encode())
        if sound is not None:
            heard = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            heard.sample_rate = 16_000
            container.mux(audio.encode(heard))
            container.mux(audio.encode())


@pytest.fixture(scope="session")
def small() -> Preprocessing:
    """Preprocessing that suits the tiny encoders."""
    return Preprocessing(height=SIZE, width=SIZE, num_frames=3, max_tokens=8)


@pytest.fixture(scope="session")
def split_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of 48 photos: `red` is violated by red pictures, `rude` by the word bad, `both` by the two together."""
    root = tmp_path_factory.mktemp("split")
    (root / "policies").mkdir()
    for policy_id, evidence in (("both", ["visual", "text"]), ("red", ["visual"]), ("rude", ["text"])):
        content = {**POLICY, "policy_id": policy_id, "evidence": evidence}
        (root / "policies" / f"{policy_id}.yaml").write_text(yaml.safe_dump(content))
    generator = np.random.default_rng(0)
    for part, count in (("train", 32), ("validation", 16)):
        items, annotations = [], []
        (root / part / "media").mkdir(parents=True)
        for index in range(count):
            item_id = f"{part}{index:02d}"
            is_red, is_rude = index % 2 == 0, index % 4 < 2
            pixels = generator.integers(0, 120, (20, 24, 3), dtype=np.uint8)
            pixels[..., 0 if is_red else 2] += 120
            Image.fromarray(pixels).save(root / part / "media" / f"{index}.png")
            words = [str(word) for word in generator.choice(WORDS[2:], 3)]
            caption = None if index == 5 else " ".join([*words, "bad" if is_rude else "fine"])
            items.append(
                {"item_id": item_id, "media": [f"media/{index}.png"], "media_type": "photo", "caption": caption}
                | {"creator_id": f"{part} {index // 2}", "cluster_id": f"{part} {index}"}
            )
            truth = {"red": is_red, "rude": is_rude, "both": is_red and is_rude}
            annotations += [
                {"item_id": item_id, "policy_id": policy_id, "policy_version": "1.0.0", "annotator_id": "a"}
                | {"source": "human", "round": "blind", "value": "violating" if violates else "not_violating"}
                for policy_id, violates in truth.items()
                if index % 8 != 7
            ]
        pl.DataFrame(items).write_parquet(root / part / "items.parquet")
        pl.DataFrame(annotations).write_parquet(root / part / "annotations.parquet")
    return root


@pytest.fixture
def arguments(
    encoder_folder: Callable[[str], str], split_folder: Path, small: Preprocessing, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Arguments of `train` for a run of a second; keyword arguments replace them, those of `trainer` flag by flag."""

    def make(tune: str = "frozen", **changes: Any) -> dict[str, Any]:
        model = ModelSettings(
            image=ImageSettings(source=encoder_folder("timm"), tune=tune),
            text=TextSettings(source=encoder_folder("bert"), tune=tune, layers=(-1, -2)),
            fusion=FusionSettings(width=16, num_heads=2),
        )
        trainer = {"_target_": "lightning.Trainer", "accelerator": "cpu", "devices": 1, "max_epochs": 3}
        return {
            "split": split_folder,
            "policies": split_folder / "policies",
            "out": tmp_path / "run",
            "preprocessing": small,
            "model": model,
            "optim": OptimSettings(batch_size=8, learning_rate=1e-3),
            "cache_dir": tmp_path / "cache",
            **changes,
            "trainer": trainer | {"num_sanity_val_steps": 0} | changes.get("trainer", {}),
        }

    return make
