"""Putting a network together from settings: encoders by their source, or from what a checkpoint says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data.errors import InputError
from data.policy import Policy
from data.preprocessing import Preprocessing
from train.encoders.describing import describe, feature_dim
from train.encoders.image import ImageEncoder, build_image_encoder, load_image_encoder
from train.encoders.text import TextEncoder, build_text_encoder, load_text_encoder
from train.memory import keep_freed_memory
from train.network import MODALITIES, MultimodalClassifier
from train.settings import ModelSettings


@dataclass(frozen=True)
class Encoders:
    """The encoders of a model; None where a modality is left out."""

    image: ImageEncoder | None
    text: TextEncoder | None

    def describe(self) -> dict[str, Any]:
        """What a checkpoint needs to know of them, as JSON values."""
        return {
            "image": None if self.image is None else describe(self.image),
            "text": None if self.text is None else describe(self.text),
        }


def load_encoders(model: ModelSettings) -> Encoders:
    """Load pretrained encoders, in evaluation mode.

    Raises:
        InputError: a source cannot be loaded, or both modalities are left out.
    """
    if model.image is None and model.text is None:
        raise InputError("model.image and model.text are both null: expected at least one encoder")
    keep_freed_memory()
    image, text = model.image, model.text
    return Encoders(
        None
        if image is None
        else load_image_encoder(image.source, pool=image.pool, layers=image.layers, mean=image.mean, std=image.std),
        None if text is None else load_text_encoder(text.source, pool=text.pool, layers=text.layers),
    )


def rebuild_encoders(model: ModelSettings, described: dict[str, Any]) -> Encoders:
    """The encoders of a checkpoint: fully tuned ones empty, to be filled; others, that adapters may go on, from their
    source.

    Raises:
        InputError: the source of an encoder holds other weights than those of the checkpoint.
    """
    image, text = None, None
    if model.image is not None:
        if model.image.tune == "full":
            image = build_image_encoder(described["image"])
        else:
            kept = model.image
            image = load_image_encoder(
                kept.source, pool=described["image"]["pool"], layers=kept.layers, mean=kept.mean, std=kept.std
            )
            _check_digest(kept.source, image, described["image"]["digest"])
    if model.text is not None:
        if model.text.tune == "full":
            text = build_text_encoder(described["text"])
        else:
            text = load_text_encoder(model.text.source, pool=described["text"]["pool"], layers=model.text.layers)
            _check_digest(model.text.source, text, described["text"]["digest"])
    return Encoders(image, text)


def build_network(
    model: ModelSettings, encoders: Encoders, policies: Sequence[Policy], preprocessing: Preprocessing
) -> MultimodalClassifier:
    """The network over these encoders, all else untrained.

    Raises:
        InputError: an encoder takes no input of the preprocessing's size, or a policy has no evidence that the
            model reads.
    """
    read = {name for name, encoder in zip(MODALITIES, (encoders.image, encoders.text), strict=True) if encoder}
    for policy in policies:
        if model.respect_evidence and not read & set(policy.evidence):
            raise InputError(
                f"policy {policy.policy_id}: its evidence is {', '.join(policy.evidence)}, and the model reads "
                f"{', '.join(sorted(read))} only"
            )
    visual_dim = text_dim = 0
    if encoders.image is not None:
        visual_dim = feature_dim(encoders.image, height=preprocessing.height, width=preprocessing.width)
    if encoders.text is not None:
        text_dim = feature_dim(encoders.text, tokens=preprocessing.max_tokens)
    if model.fusion.width % model.fusion.num_heads:
        raise InputError(
            f"model.fusion.width = {model.fusion.width}: expected a multiple of num_heads = {model.fusion.num_heads}"
        )
    return MultimodalClassifier(
        image_encoder=encoders.image,
        text_encoder=encoders.text,
        visual_dim=visual_dim,
        text_dim=text_dim,
        evidence=[
            frozenset(policy.evidence) & read if model.respect_evidence else frozenset(read) for policy in policies
        ],
        width=model.fusion.width,
        num_layers=model.fusion.num_layers,
        num_heads=model.fusion.num_heads,
        dropout=model.fusion.dropout,
        modality_dropout=model.fusion.modality_dropout,
    )


def _check_digest(source: str, encoder: ImageEncoder | TextEncoder, expected: str) -> None:
    found = describe(encoder)["digest"]
    if found != expected:
        raise InputError(
            f"encoder source {source!r} holds other weights ({found[:12]}…) than the checkpoint was trained on "
            f"({expected[:12]}…); restore the source's version of then, or train again"
        )
