"""Clips decoded by torchcodec, on the CPU or by a GPU's NVDEC, for training alone.

The frames are those of data.clip, their pixels nearly so. What is cached, validated, certified and served stays with
PyAV, on whose pixels thresholds hold.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2.functional import resize

from data.clip import SEEK_FROM_SECONDS_PER_PLACE
from data.clip_packets import Timeline, measure, opened_clip, read_header
from data.errors import InputError
from data.media import Frames, MediaError, load_frames, load_log_mel, opened_media
from data.preprocessing import Preprocessing, check_size, reason_of
from train.settings import ClipDecoder, ModelSettings

DECODERS = "torchcodec.decoders"  # an extra

LoadFrames = Callable[[Sequence[str], str, Preprocessing], Frames]


def check_clip_decoder(decoder: ClipDecoder, model: ModelSettings, preprocessing: Preprocessing) -> None:
    """Refuse a decoder that cannot run here, or that nothing would use.

    Raises:
        InputError: torchcodec, FFmpeg's libraries or the GPU are missing; no encoder of frames is tuned; or the
            frames are not those that torchcodec is asked for here.
    """
    if decoder == "pyav":
        return
    given = f"clip_decoder = {decoder}"
    if not model.tuned & {"image", "clip"}:
        raise InputError(f"{given}: no encoder of frames is tuned, so training decodes no clip; leave it at pyav")
    if preprocessing.sampling != "uniform":
        raise InputError(f"{given}: expected preprocessing.sampling = uniform, not {preprocessing.sampling}")
    try:
        import_module(DECODERS)
    except (ImportError, RuntimeError, OSError) as error:
        raise InputError(
            f"{given}: torchcodec cannot be used here ({type(error).__name__}). It needs `pip install "
            "'setpoint[torchcodec]'` and the system's FFmpeg, as by `apt-get install ffmpeg`; or leave it at pyav"
        ) from error
    if decoder == "nvdec" and not torch.cuda.is_available():
        raise InputError(f"{given}: there is no CUDA device; clip_decoder=torchcodec decodes on the CPU")


def load_frames_by(decoder: ClipDecoder, *, device: torch.device) -> LoadFrames | None:
    """Like `data.media.load_frames`, but of clips by this decoder, None for PyAV; `device` is that of "nvdec"."""
    if decoder == "pyav":
        return None
    return partial(_load_frames, device=device if decoder == "nvdec" else torch.device("cpu"))


def _load_frames(
    media: Sequence[str], media_type: str, preprocessing: Preprocessing, *, device: torch.device
) -> Frames:
    assert preprocessing.sampling == "uniform"
    if media_type != "video" or len(media) != 1:
        return load_frames(media, media_type, preprocessing)
    try:
        frames = _decoded(media[0], preprocessing, device)
    except MediaError:
        raise
    except Exception as error:  # decoders meet hostile bytes with whatever exception comes first
        raise MediaError(f"not a readable clip: {reason_of(error)}") from error
    if frames is None:
        return load_frames(media, media_type, preprocessing)
    log_mel = None if preprocessing.log_mel is None else load_log_mel(media, media_type, preprocessing)
    return Frames(frames.frames, frames.times, log_mel)


def _decoded(path: str, preprocessing: Preprocessing, device: torch.device) -> Frames | None:
    """The frames without the sound; None for a clip to be turned: torchcodec leaves mirrored ones as they lie."""
    with opened_media(path, preprocessing) as file:
        with opened_clip(file, preprocessing) as (container, stream):
            timeline, number = read_header(container, stream), stream.index
            if timeline.seconds <= SEEK_FROM_SECONDS_PER_PLACE * preprocessing.num_frames:
                timeline, _ = measure(container, stream)
        file.seek(0)
        source: Any = file
        decoder = import_module(DECODERS).VideoDecoder(
            source, stream_index=number, dimension_order="NHWC", device=device
        )
        if decoder.metadata.rotation is not None:
            return None
        check_size(decoder.metadata.width or 0, decoder.metadata.height or 0, preprocessing)
        found = _on_screen(decoder, timeline, preprocessing.num_frames)
    stamps, first = np.unique(found.pts_seconds.numpy(), return_index=True)
    pixels_NHWC = found.data[torch.from_numpy(first).to(found.data.device)]
    times = np.maximum(0.0, stamps - timeline.start * timeline.tick)
    return Frames(_resized(pixels_NHWC, preprocessing), times.astype(np.float32))


def _on_screen(decoder: Any, timeline: Timeline, num_frames: int) -> Any:
    """The frames in the middle of equal parts, all of a clip that has no more."""
    if 0 < timeline.num_frames <= num_frames:
        return decoder.get_frames_in_range(0, len(decoder))
    last = decoder.metadata.end_stream_seconds - timeline.tick / 2  # a header may promise a little more than there is
    # A quarter of a tick late: a frame that comes on at that very tick is on screen, however seconds are rounded.
    wanted = [(tick + 0.25) * timeline.tick for tick in timeline.middles(num_frames)]
    return decoder.get_frames_played_at([min(seconds, last) for seconds in wanted])


def _resized(frames_NHWC: torch.Tensor, preprocessing: Preprocessing) -> Any:
    """uint8 [N, 3, H, W]: by Pillow as ever; on the GPU where they lie there already, and rounded its way."""
    height, width = preprocessing.height, preprocessing.width
    if frames_NHWC.device.type == "cpu":
        images = [
            Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR) for frame in frames_NHWC.numpy()
        ]
        return np.stack([np.asarray(image) for image in images]).transpose(0, 3, 1, 2)
    return resize(frames_NHWC.permute(0, 3, 1, 2), [height, width], antialias=True).cpu().numpy()
