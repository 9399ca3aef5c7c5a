"""A decoded frame of a clip as a player shows it, at the size a model wants. Numpy, Pillow and PyAV alone."""

import math
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import Interpolation
from PIL import Image

from data.preprocessing import Preprocessing, check_size

COUNTERCLOCKWISE = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


def upright_frame(frame: "av.VideoFrame", preprocessing: Preprocessing) -> Image.Image:
    """RGB pixels of a frame as a player shows them, at the wanted size."""
    check_size(frame.width, frame.height, preprocessing)
    # Converted at full size: FFmpeg's own scaling would give other pixels than thresholds were certified on.
    same_everywhere = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    pixels = frame.reformat(format="rgb24", interpolation=same_everywhere, threads=1).to_ndarray()
    image = Image.fromarray(pixels)
    # Not frame.side_data: frame and container would hold each other, and megabytes of pixels wait for the collector.
    sides: Any = SideDataContainer(frame)  # type: ignore[call-arg]  # PyAV's stub lacks the constructor
    matrix = sides.get(SideDataType.DISPLAYMATRIX)
    if matrix is not None:
        # Row-major 3 x 3 in 16.16 fixed point (libavutil/display.h): x' = a x + c y, y' = b x + d y.
        a, b, _, c, d = (float(value) for value in np.frombuffer(bytes(matrix), dtype=np.int32)[:5])
        mirrored = a * d - b * c < 0
        angle = math.degrees(-math.atan2(b, -a if mirrored else a))
        turn = round(angle / 90) * 90 % 360
        if turn:
            image = image.transpose(COUNTERCLOCKWISE[turn])
        if mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    size = (preprocessing.width, preprocessing.height)
    return image.resize(size, Image.Resampling.BILINEAR)
