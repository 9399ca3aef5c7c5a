"""Putting a network together from settings: encoders by their source, or from what a checkpoint says of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from data.errors import InputError
from data.policy import Policy
from data.preprocessing import Preprocessing
from train.encoders.audio import AudioEncoder, load_audio_encoder
from train.encoders.clip import ClipEncoder, load_clip_encoder
from train.encoders.describing import Encoder, MediaEncoder, build_encoder, describe, feature_dim
from train.encoders.image import ImageEncoder, load_image_encoder
from train.encoders.text import TextEncoder, load_text_encoder
from train.features.memory import keep_freed_memory
from train.network.classifier import MultimodalClassifier
from train.network.evidence import ENCODERS, MODALITY_OF
from train.settings import EncoderSettings, ModelSettings

LOADERS: dict[str, Callable[..., Encoder]] = {
    "image": load_image_encoder,
    "clip": load_clip_encoder,
    "text": load_text_encoder,
    "audio": load_audio_encoder,
}


@dataclass(frozen=True)
class Encoders:
    """The encoders of a model; None where one is left out."""

    image: ImageEncoder | None = None
    clip: ClipEncoder | None = None
    text: TextEncoder | None = None
    audio: AudioEncoder | None = None

    @property
    def by_name(self) -> dict[str, Encoder]:
        """Those that there are, by their name in `train.network.evidence.ENCODERS`."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: encoder for name, encoder in found.items() if encoder is not None}

    @property
    def of_media(self) -> dict[str, MediaEncoder]:
        """Those that read files."""
        return {name: encoder for name, encoder in self.by_name.items() if not isinstance(encoder, TextEncoder)}

    def describe(self) -> dict[str, Any]:
        """What a checkpoint needs to know of them, as JSON values."""
        return {name: describe(encoder) for name, encoder in self.by_name.items()}


def load_encoders(model: ModelSettings, *, audio_seconds: int = Preprocessing.audio_seconds) -> Encoders:
    """Load pretrained encoders, in evaluation mode; `audio_seconds` is the longest sound that will be heard.

    Raises:
        InputError: a source cannot be loaded, or all encoders are left out.
    """
    if not model.encoders:
        raise InputError(f"model.{', model.'.join(ENCODERS)} are all null: expected at least one encoder")
    keep_freed_memory()
    made: dict[str, Any] = {name: _load(name, settings, audio_seconds) for name, settings in model.encoders.items()}
    return Encoders(**made)


def hearing(preprocessing: Preprocessing, encoders: Encoders) -> Preprocessing:
    """The preprocessing with the spectrogram that the audio encoder was trained on, if there is one.

    Raises:
        InputError: the settings ask for another.
    """
    log_mel = None if encoders.audio is None else encoders.audio.log_mel
    if preprocessing.log_mel not in (None, log_mel):
        raise InputError(
            f"preprocessing.log_mel = {preprocessing.log_mel}: leave it out, model.audio says what it is ({log_mel})"
        )
    return replace(preprocessing, log_mel=log_mel)


def rebuild_encoders(model: ModelSettings, described: dict[str, Any], preprocessing: Preprocessing) -> Encoders:
    """The encoders of a checkpoint: fully tuned ones empty, to be filled; others, that adapters may go on, from their
    source.

    Raises:
        InputError: the source of an encoder holds other weights than those of the checkpoint.
    """
    made: dict[str, Any] = {}
    for name, settings in model.encoders.items():
        if settings.tune == "full":
            made[name] = build_encoder(name, described[name])
        else:
            made[name] = _load(name, settings, preprocessing.audio_seconds, pool=described[name]["pool"])
            _check_digest(settings.source, made[name], described[name]["digest"])
    return Encoders(**made)


def _load(name: str, settings: EncoderSettings, audio_seconds: int, **replaced: Any) -> Encoder:
    options = settings.model_dump(include={"pool", "layers", "mean", "std"})
    if name == "audio":
        options["audio_seconds"] = audio_seconds
    return LOADERS[name](settings.source, **{**options, **replaced})


def build_network(
    model: ModelSettings, encoders: Encoders, policies: Sequence[Policy], preprocessing: Preprocessing
) -> MultimodalClassifier:
    """The network over these encoders, all else untrained.

    Raises:
        InputError: an encoder takes no input of the preprocessing's size, or a policy has no evidence that the
            model reads.
    """
    read = {MODALITY_OF[name] for name in encoders.by_name}
    for policy in policies:
        if model.respect_evidence and not read & set(policy.evidence):
            raise InputError(
                f"policy {policy.policy_id}: its evidence is {', '.join(policy.evidence)}, and the model reads "
                f"{', '.join(sorted(read))} only"
            )
    dims = {name: feature_dim(encoder, preprocessing) for name, encoder in encoders.by_name.items()}
    if model.fusion.width % model.fusion.num_heads:
        raise InputError(
            f"model.fusion.width = {model.fusion.width}: expected a multiple of num_heads = {model.fusion.num_heads}"
        )
    return MultimodalClassifier(
        encoders=encoders.by_name,
        dims=dims,
        evidence=[
            frozenset(policy.evidence) & read if model.respect_evidence else frozenset(read) for policy in policies
        ],
        width=model.fusion.width,
        num_layers=model.fusion.num_layers,
        num_heads=model.fusion.num_heads,
        dropout=model.fusion.dropout,
        modality_dropout=model.fusion.modality_dropout,
    )


def _check_digest(source: str, encoder: Encoder, expected: str) -> None:
    found = describe(encoder)["digest"]
    if found != expected:
        raise InputError(
            f"encoder source {source!r} holds other weights ({found[:12]}…) than the checkpoint was trained on "
            f"({expected[:12]}…); restore the source's version of then, or train again"
        )
