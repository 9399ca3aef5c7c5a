"""The settings of a training run, as its config file states them. Unknown keys and wrong types are errors.

Nothing heavy is imported here: the command line refuses a wrong setting before it imports torch.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from data.policy import Strict

Pool = Literal["auto", "pooler", "mean", "cls"]
SamplerName = Literal["shuffled", "policy_balanced"]
ClipDecoder = Literal["pyav", "torchcodec", "nvdec"]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Layers = Annotated[tuple[Annotated[int, Field(lt=0)], ...], Field(min_length=1)]
Channels = tuple[float, float, float]


class LoraSettings(Strict):
    """Low-rank adapters; see configs/train/model/lora.yaml."""

    rank: Count = 8
    alpha: Count = 16
    dropout: Share = 0.0
    targets: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"


class EncoderSettings(Strict):
    """What the encoders of all modalities have in common; see configs/train/model/frozen.yaml."""

    source: str
    tune: Literal["frozen", "lora", "full"] = "frozen"
    lora: LoraSettings = LoraSettings()
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    unfreeze_over: Share = 0.0
    gradient_checkpointing: bool = False
    compile: bool = False
    pool: Pool = "auto"
    layers: Layers = (-1,)

    @property
    def tuned(self) -> bool:
        """Whether its output changes in training: it then reads raw inputs, not cached features."""
        return self.tune != "frozen"

    @model_validator(mode="after")
    def _only_what_is_used(self) -> "EncoderSettings":
        if not self.tuned:
            for name in ("layer_decay", "unfreeze_over", "gradient_checkpointing", "compile"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} has no meaning with tune: frozen; set tune: full or lora")
        return self


class ImageSettings(EncoderSettings):
    """An encoder of pixels: of images, or of clips."""

    mean: Channels | None = None
    std: Channels | None = None


class TextSettings(EncoderSettings):
    """The text encoder."""


class AudioSettings(EncoderSettings):
    """The encoder of sound."""


class FusionSettings(Strict):
    """The fusion transformer; `num_layers` 0 leaves the linear part alone."""

    width: Count = 64
    num_layers: Annotated[int, Field(ge=0)] = 1
    num_heads: Count = 4
    dropout: Share = 0.3
    modality_dropout: Share = 0.1


class ModelSettings(Strict):
    """Encoders and fusion. An encoder that is null leaves its modality out."""

    image: ImageSettings | None
    clip: ImageSettings | None = None
    text: TextSettings | None
    audio: AudioSettings | None = None
    fusion: FusionSettings = FusionSettings()
    respect_evidence: bool = True

    @property
    def encoders(self) -> dict[str, EncoderSettings]:
        """Settings of the encoders that the model has, by their name in `train.network.evidence.ENCODERS`."""
        found = {"image": self.image, "clip": self.clip, "text": self.text, "audio": self.audio}
        return {name: settings for name, settings in found.items() if settings is not None}

    @property
    def tuned(self) -> set[str]:
        """Names of the encoders whose weights train."""
        return {name for name, settings in self.encoders.items() if settings.tuned}


class OptimSettings(Strict):
    """Optimiser, schedule and batches; see configs/train/optim/adamw.yaml."""

    batch_size: Count = 64
    sampler: SamplerName = "shuffled"
    learning_rate: Positive = 1e-4
    encoder_learning_rate: Positive = 2e-5
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warmup_fraction: Share = 0.1
    min_lr_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    matmul_precision: Literal["highest", "high", "medium"] = "highest"
    probe_strength: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    num_workers: Annotated[int, Field(ge=0)] = 0
