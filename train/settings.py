"""The settings of a training run, as its config file states them. Unknown keys and wrong types are errors."""

from typing import Annotated, Literal

from pydantic import Field

from data.policy import Strict
from train.encoders.pooling import Pool
from train.order import SamplerName

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Layers = Annotated[tuple[Annotated[int, Field(lt=0)], ...], Field(min_length=1)]
Channels = tuple[float, float, float]


class ImageSettings(Strict):
    """An encoder of pixels, of single images or of clips; see configs/train/model/frozen.yaml."""

    source: str
    tune: Literal["frozen", "full"] = "frozen"
    pool: Pool = "auto"
    layers: Layers = (-1,)
    mean: Channels | None = None
    std: Channels | None = None


class TextSettings(Strict):
    """The text encoder; see configs/train/model/frozen.yaml."""

    source: str
    tune: Literal["frozen", "full"] = "frozen"
    pool: Pool = "auto"
    layers: Layers = (-1,)


EncoderSettings = ImageSettings | TextSettings


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
    fusion: FusionSettings = FusionSettings()
    respect_evidence: bool = True

    @property
    def encoders(self) -> dict[str, EncoderSettings]:
        """Settings of the encoders that the model has, by their name in `train.evidence.ENCODERS`."""
        found = {"image": self.image, "clip": self.clip, "text": self.text}
        return {name: settings for name, settings in found.items() if settings is not None}

    @property
    def tuned(self) -> set[str]:
        """Names of the encoders whose weights train."""
        return {name for name, settings in self.encoders.items() if settings.tune != "frozen"}


class OptimSettings(Strict):
    """Optimiser, schedule and batches; see configs/train/optim/adamw.yaml."""

    batch_size: Count = 64
    sampler: SamplerName = "shuffled"
    learning_rate: Positive = 1e-4
    encoder_learning_rate: Positive = 2e-5
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warmup_fraction: Share = 0.1
    min_lr_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    probe_strength: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    num_workers: Annotated[int, Field(ge=0)] = 0
