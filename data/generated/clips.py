"""Draws the clips of generated posts: about a second of H.264 without sound."""

from fractions import Fraction
from pathlib import Path
from random import Random

import av
from PIL import Image, ImageDraw, ImageFilter, ImageStat

from data.generated.pictures import altered, draw_picture
from data.generated.plan import Medium
from data.generated.scenes import Colour, add_grain

FRAMES_PER_SECOND = 20
CLIP_SIZES = [(160, 160), (160, 224), (192, 192), (224, 160), (160, 288)]
PAN = 24
FAST_HZ = (4.0, 6.5)
SLOW_HZ = (0.6, 1.5)


def write_clip(medium: Medium, folder: Path) -> None:
    """Draw `medium` and write it below `folder` as MP4; the same bytes each time (one thread, no time stamps)."""
    rng = Random(medium.seed)
    width, height = rng.choice(CLIP_SIZES)
    frames = _filmed(rng, medium, width, height, num_frames=rng.randint(18, 22))
    _light(rng, medium.motion, frames, weak=medium.hard_motion)
    coarser = medium.alteration is not None and medium.alteration.coarser
    if medium.alteration is not None:
        frames = [altered(frame, medium.alteration) for frame in frames]
    _encode(folder / medium.name, frames, crf=30 if coarser else 25)


def _filmed(rng: Random, medium: Medium, width: int, height: int, *, num_frames: int) -> list[Image.Image]:
    """Film the scene with a moving camera; "cuts" jumps between two or three scenes."""
    num_scenes = rng.choice([2, 2, 2, 2, 3]) if medium.motion == "cuts" else 1
    frames: list[Image.Image] = []
    for scene in range(num_scenes):
        picture = draw_picture(rng, medium, width + PAN, height + PAN)
        picture = add_grain(rng, picture, strength=rng.uniform(0.5, 4))
        start = (rng.uniform(0, PAN), rng.uniform(0, PAN))
        end = (rng.uniform(0, PAN), rng.uniform(0, PAN)) if rng.random() < 0.7 else start
        shake = rng.choice([0.0, 0.0, 1.0])
        num_taken = num_frames * (scene + 1) // num_scenes - len(frames)
        for i in range(num_taken):
            part = i / num_taken
            x, y = (
                min(max(round(first + (last - first) * part + rng.gauss(0, shake)), 0), PAN)
                for first, last in zip(start, end, strict=True)
            )
            frames.append(picture.crop((x, y, x + width, y + height)))
    return frames


def _light(rng: Random, motion: str, frames: list[Image.Image], *, weak: bool) -> None:
    """Let light flash over the frames, or a bright spot move through them, as `motion` says."""
    width, height = frames[0].size
    if motion in {"flash", "flash_in_part", "slow_flash"}:
        slow = motion == "slow_flash"
        levels = _levels(rng, len(frames), rng.uniform(*(SLOW_HZ if slow else FAST_HZ)), jitter=0.0 if slow else 0.2)
        strength = rng.uniform(0.2, 0.32) if weak else rng.uniform(0.45, 0.85)
        light = _visible_light(rng, frames[0])
        part = motion == "flash_in_part" or (slow and rng.random() < 0.35)
        region = _part(rng, width, height) if part else Image.new("L", (width, height), 255)
        region = region.point(lambda value: round(value * strength))
        for frame, on in zip(frames, levels, strict=True):
            if on:
                frame.paste(light, (0, 0), region)
    elif motion == "lamp":
        x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height
        spot = _disc(width, height, x, y, 0.05 * width)
        for frame, on in zip(frames, _levels(rng, len(frames), rng.uniform(*FAST_HZ), jitter=0.12), strict=True):
            if on:
                frame.paste((255, 60, 40), (0, 0), spot)
    elif motion == "spot":
        light, radius = _visible_light(rng, frames[0]), rng.uniform(0.1, 0.22) * width
        x0, y0, x1, y1 = (rng.uniform(0.0, 1.0) for _ in range(4))
        for i, frame in enumerate(frames):
            x, y = x0 + (x1 - x0) * i / len(frames), y0 + (y1 - y0) * i / len(frames)
            frame.paste(light, (0, 0), _disc(width, height, x * width, y * height, radius))


def _levels(rng: Random, num_frames: int, hertz: float, *, jitter: float) -> list[bool]:
    """On and off per frame at `hertz` cycles a second; every half cycle `jitter` longer or shorter."""
    half_cycle = 0.5 / hertz
    change = -rng.uniform(0, half_cycle)
    on, levels = rng.random() < 0.5, []
    for i in range(num_frames):
        while change + half_cycle <= i / FRAMES_PER_SECOND:
            change += half_cycle * (1 + rng.uniform(-jitter, jitter))
            on = not on
        levels.append(on)
    return levels


def _part(rng: Random, width: int, height: int) -> Image.Image:
    """A third of the frame or more that flashes, white on black: a box or a disc."""
    image = Image.new("L", (width, height), 0)
    wide, high = rng.uniform(0.65, 0.9) * width, rng.uniform(0.65, 0.9) * height
    x, y = rng.uniform(0, width - wide), rng.uniform(0, height - high)
    draw = ImageDraw.Draw(image)
    (draw.rectangle if rng.random() < 0.5 else draw.ellipse)((x, y, x + wide, y + high), fill=255)
    return image.filter(ImageFilter.BoxBlur(4))


def _disc(width: int, height: int, x: float, y: float, radius: float) -> Image.Image:
    image = Image.new("L", (width, height), 0)
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=230)
    return image.filter(ImageFilter.BoxBlur(2))


def _visible_light(rng: Random, frame: Image.Image) -> Colour:
    """A light whose brightness differs from that of `frame`."""
    behind = ImageStat.Stat(frame.convert("L")).mean[0]
    dark_enough = [(255, 255, 255), (255, 255, 255), (255, 250, 160), (190, 220, 255), (255, 120, 110)]
    return rng.choice(dark_enough) if behind < 135 else rng.choice([(10, 10, 14), (60, 0, 0), (0, 10, 70)])


def _encode(path: Path, frames: list[Image.Image], *, crf: int) -> None:
    # mbtree: in its assembly x264 reads memory that it never wrote, and the bytes differ from run to run.
    options = {"crf": str(crf), "preset": "veryfast", "g": str(FRAMES_PER_SECOND), "x264-params": "mbtree=0"}
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        (stream.width, stream.height), stream.pix_fmt = frames[0].size, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        for frame in frames:
            yuv = av.VideoFrame.from_image(frame).reformat(format="yuv420p")
            container.mux(stream.encode(yuv))
        container.mux(stream.encode(None))
