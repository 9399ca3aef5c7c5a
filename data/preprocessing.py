"""The settings by which photos and clips become tensors, and the reason why one did not.

Shared by data.photo, data.clip and data.media; these four and data.text go into a release's predict.py.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar


class MediaError(Exception):
    """A photo or clip that cannot be read; the message is the reason, one short sentence without a path."""


@dataclass(frozen=True)
class Preprocessing:
    """From files to tensors: the settings behind preprocess.json.

    Attributes:
        height: pixels; frames are stretched to height x width.
        width: pixels.
        num_frames: frames taken from a clip, and photos from a carousel, at most.
        max_pixels: photos and clips with more pixels a frame are refused before they are decoded.
        max_bytes: larger files are refused.
        max_tokens: tokens kept of a text, special tokens included.
    """

    height: int = 224
    width: int = 224
    num_frames: int = 8
    max_pixels: int = 100_000_000
    max_bytes: int = 2_000_000_000
    max_tokens: int = 128

    FIXED: ClassVar[Mapping[str, object]] = {
        "color": "RGB, transparency on white, colour profiles ignored",
        "resize": "stretch",
        "filter": "bilinear",
        "antialias": True,
        "sampling": "uniform: the frame on screen at the middle of each of num_frames equal parts",
        "photo_decoder": "pillow",
        "clip_decoder": "pyav",
    }

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"preprocessing.{name} = {value!r}: expected a whole number of at least 1")

    def to_dict(self) -> dict[str, Any]:
        """The settings, and what is the same for all of them, as JSON values."""
        return {**asdict(self), **self.FIXED}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Read what `to_dict` wrote. Keys that it does not know are left alone.

        Raises:
            ValueError: a setting is missing or no positive whole number, or the values describe another
                preprocessing than this code does.
        """
        for name, expected in cls.FIXED.items():
            if name in values and values[name] != expected:
                raise ValueError(f"preprocessing.{name} = {values[name]!r}: this version knows {expected!r} only")
        missing = [field.name for field in fields(cls) if field.name not in values]
        if missing:
            raise ValueError(f"preprocessing.{missing[0]} is missing")
        return cls(**{field.name: values[field.name] for field in fields(cls)})


def check_size(width: int, height: int, preprocessing: Preprocessing) -> None:
    """Refuse a frame beyond `max_pixels` with a MediaError."""
    if width * height > preprocessing.max_pixels:
        limit = preprocessing.max_pixels
        raise MediaError(f"{width:,} x {height:,} pixels, over the limit of {limit:,} a frame")


def reason_of(error: Exception) -> str:
    """The first line of an exception, short and without addresses in memory or paths."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return re.sub(r"<[^>]* object at 0x[0-9a-f]+>", "file", str(text).splitlines()[0])[:120]
