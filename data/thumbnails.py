"""A small still picture of an item, for people to look at: a photo, a few photos, or a few frames of a clip, side by
side. Not what a model sees: proportions are kept, and of a clip few frames are decoded.
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from PIL import Image

from data.clip import decode_clip
from data.clip_packets import opened_clip, read_header
from data.media import opened_media
from data.photo import PHOTO_FORMATS, decode_photo
from data.preprocessing import MediaError, Preprocessing, reason_of

SIDE = 112  # pixels, of a photo alone
SIDE_BY_SIDE = 80  # of each of several
MOST_TOGETHER = 4
GAP = 2
QUALITY = 45
LIMITS = Preprocessing(num_frames=MOST_TOGETHER, sampling="keyframes", max_pixels=50_000_000, max_bytes=250_000_000)
# A clip with one key frame is decoded frame by frame only where that takes a second or two at most.
DECODED_UP_TO_BYTES, DECODED_UP_TO_PIXELS = 4_000_000, 20 * 1920 * 1080


def thumbnail(media: Sequence[str], media_type: str) -> bytes:
    """Decode an item to one WebP picture, without metadata; the same files and libraries give the same bytes.

    Args:
        media: paths of one clip, or of one or more photos, of which the first few are shown.
        media_type: "photo" or "video".

    Raises:
        MediaError: a file is missing, too large, not readable, or at an address: nothing is fetched.
    """
    if any("://" in path for path in media):
        raise MediaError("kept at an address; nothing was fetched for this page")
    if not media:
        raise MediaError("the post names no file")
    if media_type == "video":
        images = _frames(media[0])
    elif media_type == "photo":
        side = SIDE if len(media) == 1 else SIDE_BY_SIDE
        images = [_photo(path, side) for path in media[:MOST_TOGETHER]]
    else:
        raise MediaError("neither a photo nor a video")
    written = io.BytesIO()
    _side_by_side(images).save(written, "WEBP", quality=QUALITY, method=4)
    return written.getvalue()


def _photo(path: str, side: int) -> Image.Image:
    with opened_media(path, LIMITS) as file:
        settings = _within(side, *_photo_size(file))
        file.seek(0)
        return decode_photo(file, settings)


def _photo_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height as they are shown; a square where they cannot be told, which decoding then explains."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=PHOTO_FORMATS) as image:
                lies_on_its_side = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
                width, height = image.size
    except Exception:  # whatever the bytes make of it
        return 1, 1
    return (height, width) if lies_on_its_side else (width, height)


def _frames(path: str) -> list[Image.Image]:
    with opened_media(path, LIMITS) as file:
        width, height, is_short = _clip_size(file)
        settings = _within(SIDE_BY_SIDE, width, height)
        images, _ = decode_clip(file, settings)
        if len(images) == 1 and is_short:
            images, _ = decode_clip(file, replace(settings, sampling="uniform"))
        return images


def _clip_size(file: BinaryIO) -> tuple[int, int, bool]:
    """Width and height as a player shows them, and whether every frame may be decoded; a square if not to be told."""
    num_bytes = file.seek(0, io.SEEK_END)
    try:
        with opened_clip(file, LIMITS) as (container, stream):
            seconds = read_header(container, stream).seconds
            frame = next(container.decode(stream))
            width, height, rotation = frame.width, frame.height, frame.rotation
    except Exception:  # whatever the bytes make of it
        return 1, 1, False
    is_short = num_bytes <= DECODED_UP_TO_BYTES and 0 < seconds * width * height <= DECODED_UP_TO_PIXELS
    return (height, width, is_short) if rotation % 180 else (width, height, is_short)


def _within(side: int, width: int, height: int) -> Preprocessing:
    """Settings that decode to the largest size of these proportions within a square."""
    longest = max(1, width, height)
    return replace(LIMITS, width=max(1, round(side * width / longest)), height=max(1, round(side * height / longest)))


def _side_by_side(images: Sequence[Image.Image]) -> Image.Image:
    if len(images) == 1:
        return images[0]
    width = sum(image.width for image in images) + GAP * (len(images) - 1)
    sheet = Image.new("RGB", (width, max(image.height for image in images)), (128, 128, 128))
    left = 0
    for image in images:
        sheet.paste(image, (left, (sheet.height - image.height) // 2))
        left += image.width + GAP
    return sheet


def reason_without_picture(error: Exception) -> str:
    """Why an item has no picture, whatever was raised, in one short sentence."""
    return str(error) if isinstance(error, MediaError) else reason_of(error)
