"""Random changes to the pictures of training items: crops, mirroring, colours, and which part of a clip is seen.

Each is a function of the run's seed, the epoch and the draw within it alone, so that a resumed run sees what one that
was never stopped would have, on however many workers. Which items may be mirrored is for the caller to say.
Validation, export and scoring never come here.

Shapes: N items, T frames, H height, W width.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from data.media import Frames, MediaError, load_frames
from data.policy import Strict
from data.preprocessing import Preprocessing

Strength = Annotated[float, Field(ge=0, lt=1)]
MIDDLE = 0.5  # of dense frames in their part of a clip
LUMA = (0.299, 0.587, 0.114)  # of R, G and B (ITU-R BT.601)


class AugmentSettings(Strict):
    """What may change, and how much; as it stands, nothing. See configs/train/augment/none.yaml."""

    crop_area: Annotated[float, Field(ge=0.08, le=1)] = 1.0
    crop_stretch: Annotated[float, Field(ge=1, le=2)] = 1.0
    horizontal_flip: Literal["auto"] | bool = False
    brightness: Strength = 0.0
    contrast: Strength = 0.0
    saturation: Strength = 0.0
    dense_place: Literal["middle", "random"] = "middle"

    @property
    def changes_nothing(self) -> bool:
        """Whether all of it is off."""
        return self == AugmentSettings()


@dataclass(frozen=True, slots=True)
class Draw:
    """An item, as it is drawn somewhere in a run.

    Attributes:
        index: of the item in its dataset.
        epoch: from 0.
        number: of the draw among those of the epoch, on all processes together.
    """

    index: int
    epoch: int
    number: int


@dataclass(frozen=True)
class Augmentation:
    """What is done to all frames of one item alike.

    Attributes:
        height: of the part that is seen, as a share of the picture's height.
        width: likewise.
        top: where it lies, 0 at the top and 1 at the bottom of the picture.
        left: likewise.
        flip: left and right change places.
        brightness: factor of all values.
        contrast: factor of their distances from the mean luma of their frame.
        saturation: factor of their distances from the luma of their pixel.
        place: of dense frames in their part of a clip, as of `load_frames`.
    """

    height: float
    width: float
    top: float
    left: float
    flip: bool
    brightness: float
    contrast: float
    saturation: float
    place: float


@dataclass(frozen=True)
class Augment:
    """The augmentations of a training part.

    Attributes:
        settings: what may change.
        may_flip: bool [N], the items that may be mirrored.
        seed: of the run.
    """

    settings: AugmentSettings
    may_flip: npt.NDArray[np.bool_]
    seed: int

    def of(self, draw: Draw) -> Augmentation:
        """The augmentation of a draw; what is off takes no random number from what is on.

        Area of the crop: uniform. Its ratio of width to height, over that of the picture: log-uniform, as far as such
        a crop fits (Szegedy et al. 2015, "Going deeper with convolutions", section 6, without its rejections).
        """
        settings = self.settings
        random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(draw.epoch, draw.number)))
        area, ratio, top, left, flip, brightness, contrast, saturation, place = random.random(9).tolist()
        area = 1 - (1 - settings.crop_area) * area
        ratio = min(settings.crop_stretch, 1 / area) ** (2 * ratio - 1)
        return Augmentation(
            height=math.sqrt(area / ratio),
            width=math.sqrt(area * ratio),
            top=top,
            left=left,
            flip=bool(self.may_flip[draw.index]) and flip < 0.5,
            brightness=1 + settings.brightness * (2 * brightness - 1),
            contrast=1 + settings.contrast * (2 * contrast - 1),
            saturation=1 + settings.saturation * (2 * saturation - 1),
            place=place if settings.dense_place == "random" else MIDDLE,
        )


def load_augmented(
    media: Sequence[str],
    media_type: str,
    preprocessing: Preprocessing,
    *,
    augmentation: Augmentation,
    load: Callable[..., Frames] = load_frames,
) -> Frames:
    """Decode an item as `load` does, with an augmentation; errors likewise.

    Pictures are decoded at the size at which the part that is seen has the model's, so that they are resized once and
    are as sharp as those of validation. Where the wanted part of a clip cannot be read, its middle is.

    Args:
        media: as of `load_frames`.
        media_type: likewise.
        preprocessing: likewise.
        augmentation: of this draw.
        load: takes what `load_frames` takes, `place` where frames are dense.
    """
    height, width = preprocessing.height, preprocessing.width
    whole = replace(preprocessing, height=int(height / augmentation.height), width=int(width / augmentation.width))
    if preprocessing.sampling != "dense" or augmentation.place == MIDDLE:
        loaded = load(media, media_type, whole)
    else:
        try:
            loaded = load(media, media_type, whole, place=augmentation.place)
        except MediaError:
            loaded = load(media, media_type, whole)
    top, left = round(augmentation.top * (whole.height - height)), round(augmentation.left * (whole.width - width))
    frames = loaded.frames[:, :, top : top + height, left : left + width]
    if augmentation.flip:
        frames = frames[..., ::-1]
    return replace(loaded, frames=recoloured(np.ascontiguousarray(frames), augmentation))


def recoloured(frames: npt.NDArray[np.uint8], augmentation: Augmentation) -> npt.NDArray[np.uint8]:
    """Frames uint8 [T, 3, H, W] with brightness, contrast and saturation changed, in this order.

    As torchvision's `adjust_*` do, rounded once. Numpy sums alike on any number of threads; torch does not.
    """
    if (augmentation.brightness, augmentation.contrast, augmentation.saturation) == (1, 1, 1):
        return frames
    changed = np.clip(frames * np.float32(augmentation.brightness), 0, 255)
    changed = _away_from(_luma(changed).mean((2, 3), keepdims=True), changed, augmentation.contrast)
    changed = _away_from(_luma(changed), changed, augmentation.saturation)
    return np.rint(changed).astype(np.uint8)


def _luma(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    red, green, blue = (np.float32(weight) * frames[:, [channel]] for channel, weight in enumerate(LUMA))
    luma: npt.NDArray[np.float32] = red + green + blue
    return luma


def _away_from(
    grey: npt.NDArray[np.float32], frames: npt.NDArray[np.float32], factor: float
) -> npt.NDArray[np.float32]:
    return np.clip(grey + np.float32(factor) * (frames - grey), 0, 255)
