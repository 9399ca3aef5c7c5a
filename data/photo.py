"""A photo decoded upright, in RGB, at the size a model wants. Standard library, numpy and Pillow alone."""

import re
import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from data.preprocessing import MediaError, Preprocessing, check_size, reason_of

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # JPEG includes MPO
# Not for a person to read: our own limit stands in for the first, and the rest is about metadata.
QUIET = (
    ("ignore", None, Image.DecompressionBombWarning, None, 0),
    ("ignore", None, UserWarning, re.compile("PIL"), 0),
)
UPRIGHT = {  # EXIF orientation -> what makes the photo upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_photo(file: BinaryIO, preprocessing: Preprocessing) -> Image.Image:
    """Decode an opened photo; of an animation the first frame.

    Returns:
        An RGB image of `preprocessing.width` x `preprocessing.height`.

    Raises:
        MediaError: the bytes are no photo, or one beyond `max_pixels` (told from the header).
    """
    for quiet in QUIET:
        if quiet not in warnings.filters:
            warnings.filterwarnings("ignore", category=quiet[2], module=quiet[3].pattern if quiet[3] else "")
    try:
        with Image.open(file, formats=PHOTO_FORMATS) as image:
            check_size(image.width, image.height, preprocessing)
            return _resized(image, preprocessing)
    except MediaError:
        raise
    except Image.DecompressionBombError as error:
        raise MediaError(str(error).partition(",")[0].lower()) from error  # "image size (N pixels) exceeds limit …"
    except UnidentifiedImageError as error:
        raise MediaError("not a photo of a known format") from error
    except Exception as error:  # decoders meet hostile bytes with whatever exception comes first
        raise MediaError(f"not a readable photo: {reason_of(error)}") from error


def _resized(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    width, height = preprocessing.width, preprocessing.height
    box = None
    if image.format in ("JPEG", "MPO"):
        # Decoded at the smallest eighth that leaves twice the size to filter; its last pixel may be a part of one.
        lies_on_its_side = _orientation(image) >= 5
        drafted = image.draft(None, (2 * height, 2 * width) if lies_on_its_side else (2 * width, 2 * height))
        box = drafted[1] if drafted else None
    image.load()
    orientation = _orientation(image)  # not before: Pillow turns a TIFF as it loads it
    if orientation >= 5:  # on its side
        width, height = height, width
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.float32) / 257.0
        pixels: Image.Image = Image.fromarray(np.rint(levels).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise MediaError("32-bit photo: the range of its values is not known")
    elif image.mode == "RGB" and "transparency" not in image.info:
        pixels = image  # converting would copy it
    else:
        transparent = image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info
        pixels = image.convert("RGBA" if transparent else "RGB")
    pixels = pixels.resize((width, height), Image.Resampling.BILINEAR, box=box)
    if pixels.mode == "RGBA":
        white = Image.new("RGBA", pixels.size, (255, 255, 255, 255))
        pixels = Image.alpha_composite(white, pixels)
    if orientation > 1:
        pixels = pixels.transpose(UPRIGHT[orientation])
    return pixels.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or the metadata is broken."""
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # the photo beside it may be whole
        return 1
    return int(orientation) if orientation in UPRIGHT else 1
