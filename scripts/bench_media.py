"""How fast are photos and clips decoded, against the libraries beneath, and does memory stay flat? Exits 1 if not.

Run: python -m scripts.bench_media [--photos 3] [--clips 2] [--items 10000]

Claims, at 224 x 224 pixels and 8 frames: 12-megapixel JPEG photos at least 1.7 times as fast as torchvision's full
decode and antialiased resize, and in at most 1.1 times the time of simplejpeg's scaled decode and Pillow's resize;
key frames at least 5 times as fast as exact frames on clips of 720 x 1280 pixels and 30 seconds (x264's own 250
frames between key frames); both in at most 1.1 times what a bare PyAV loop takes for the same frames, on these clips
and on those of moderation-mini; what the process holds after 10,000 items at most 1.05 times what it held after a
fifth. Held is resident memory once the C library has handed back what was freed: what it keeps for the next clip
comes and goes by a tenth, with the clips that happen to follow each other; the most is printed.

Times are of the processor. The two sides of a ratio take turns, file by file, and the median over the turns counts.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import simplejpeg
import torch
from av.video.reformatter import Interpolation
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional

from data.items import read_items
from data.media import Preprocessing, load_frames

MINI = Path("../shared/data/moderation-mini/items.parquet")
UNIFORM = Preprocessing()
KEYFRAMES = Preprocessing(sampling="keyframes")
SIZE = (UNIFORM.width, UNIFORM.height)
SAME_PIXELS = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
FULL_DECODE_FACTOR = 1.7
KEYFRAME_FACTOR = 5.0
MOST_OVERHEAD = 1.1  # over the library beneath
MOST_GROWTH = 1.05  # of held memory
TURNS = 7
MINI_FILES = 24
DECODE_ALL = """
import ctypes, itertools, sys
from pathlib import Path
import polars as pl
from data.media import Preprocessing, load_frames

def resident():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024

def held():
    ctypes.CDLL(None).malloc_trim(0)
    return resident()

table, num_items = pl.read_parquet(sys.argv[1]), int(sys.argv[2])
sampled = [Preprocessing(), Preprocessing(sampling="keyframes"), Preprocessing(sampling="dense", num_clips=2)]
most = early = 0
for number, (media, kind) in zip(range(num_items), itertools.cycle(table.iter_rows())):
    load_frames(media, kind, sampled[number % 3])
    most = max(most, resident())
    if number == num_items // 5:
        early = held()
print(early, held(), most)
"""
Decode = Callable[[Path], object]


def media_speed(
    *, num_photos: int = 3, num_clips: int = 2, num_items: int = 10_000, seconds: int = 30, turns: int = TURNS
) -> list[str]:
    """Measure, print, and return what failed.

    Args:
        num_photos: of 12 megapixels.
        num_clips: of 720 x 1280 pixels.
        num_items: decoded by the process whose memory is watched.
        seconds: of a clip.
        turns: of each side of a ratio.
    """
    torch.set_num_threads(1)
    rows = read_items(MINI).select("media", "media_type").sample(fraction=1.0, shuffle=True, seed=0)
    mini = {
        kind: [Path(media[0]) for media, found in rows.iter_rows() if found == kind] for kind in ("photo", "video")
    }
    small_photos, small_clips = mini["photo"][:MINI_FILES], mini["video"][:MINI_FILES]
    failures: list[str] = []

    def claim(what: str, ratio: float, *, least: float | None = None, most: float | None = None) -> None:
        limit = "" if least is None and most is None else f"  (at {'least' if least else 'most'} {least or most})"
        print(f"{what:76} {ratio:6.2f}{limit}")
        if (least is not None and ratio < least) or (most is not None and ratio > most):
            failures.append(f"{what}: {ratio:.2f}{limit}")

    with tempfile.TemporaryDirectory() as folder:
        photos = [_write_photo(Path(folder) / f"{number}.jpg", number) for number in range(num_photos)]
        clips = [_write_clip(Path(folder) / f"{number}.mp4", number, seconds) for number in range(num_clips)]
        ours, keys = _loads("photo", UNIFORM), _loads("video", KEYFRAMES)
        exact = _loads("video", UNIFORM)

        def ratio(first: Decode, second: Decode, files: Sequence[Path]) -> float:
            return _ratio(first, second, files, turns)

        claim("12 MP photos: torchvision / ours", ratio(_torchvision, ours, photos), least=FULL_DECODE_FACTOR)
        claim("12 MP photos: ours / simplejpeg", ratio(ours, _simplejpeg, photos), most=MOST_OVERHEAD)
        claim("photos of moderation-mini: torchvision / ours", ratio(_torchvision, ours, small_photos))
        claim("photos of moderation-mini: ours / simplejpeg", ratio(ours, _simplejpeg, small_photos))
        claim("30 s clips: exact frames / key frames", ratio(exact, keys, clips), least=KEYFRAME_FACTOR)
        claim("30 s clips, exact frames: ours / PyAV alone", ratio(exact, _bare_exact, clips), most=MOST_OVERHEAD)
        claim("30 s clips, key frames: ours / PyAV alone", ratio(keys, _bare_keyframes, clips), most=MOST_OVERHEAD)
        claim("clips of moderation-mini: exact frames / key frames", ratio(exact, keys, small_clips))
        claim("the same, exact frames: ours / PyAV alone", ratio(exact, _bare_exact, small_clips), most=MOST_OVERHEAD)
        claim(
            "the same, key frames: ours / PyAV alone", ratio(keys, _bare_keyframes, small_clips), most=MOST_OVERHEAD
        )
        mix = _write_mix(Path(folder) / "mix.parquet", mini, photos, clips)
        early, late, most = _held(mix, num_items)
        claim(f"memory held after {num_items:,} items / after a fifth", late / early, most=MOST_GROWTH)
        print(f"{'memory held at the end, MiB':76} {late:6.0f}")
        print(f"{'most resident memory, MiB':76} {most:6.0f}")
    return failures


def _loads(media_type: str, preprocessing: Preprocessing) -> Decode:
    return lambda path: load_frames([str(path)], media_type, preprocessing).frames


def _torchvision(path: Path) -> npt.NDArray[np.uint8]:
    pixels = decode_jpeg(torch.from_numpy(np.fromfile(path, np.uint8)), mode=ImageReadMode.RGB)
    resized: torch.Tensor = functional.resize(pixels, [UNIFORM.height, UNIFORM.width], antialias=True)
    return np.asarray(resized.numpy())


def _simplejpeg(path: Path) -> npt.NDArray[np.uint8]:
    """Decoded at the smallest scale that leaves twice the size, as ours."""
    pixels = simplejpeg.decode_jpeg(path.read_bytes(), "RGB", min_height=2 * SIZE[1], min_width=2 * SIZE[0])
    return np.asarray(Image.fromarray(pixels).resize(SIZE, Image.Resampling.BILINEAR))


def _bare_exact(path: Path) -> list[Image.Image]:
    """The frames on screen at the middles of 8 parts: sought where that decodes less, else read on."""
    with path.open("rb") as file, av.open(file, mode="r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_type = "NONE"
        targets = _middles(stream)
        found: list[av.VideoFrame] = []
        if (stream.duration or 0) * float(stream.time_base or 1) > 4 * len(targets):
            for target in targets:
                container.seek(target, stream=stream)
                last = None
                for frame in container.decode(stream):
                    if last is not None and (frame.pts or 0) > target:
                        break
                    last = frame
                found += [last] if last is not None else []
        else:
            last = None
            for frame in container.decode(stream):
                while targets and last is not None and (frame.pts or 0) > targets[0]:
                    found.append(last)
                    del targets[0]
                if not targets:
                    break
                last = frame
        return [_pixels(frame) for frame in found]


def _bare_keyframes(path: Path) -> list[Image.Image]:
    """The key frames before the middles of 8 parts, each once."""
    with path.open("rb") as file, av.open(file, mode="r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_type = "NONE"
        packets: list[av.Packet[av.VideoStream]] = []
        for target in _middles(stream):
            container.seek(target, stream=stream)
            packet = next(container.demux(stream))
            if not packets or packet.pts != packets[-1].pts:
                packets.append(packet)
        images = []
        for packet in packets:
            stream.codec_context.flush_buffers()
            images += [_pixels(frame) for frame in packet.decode() or stream.codec_context.decode(None)]
        return images


def _middles(stream: av.VideoStream) -> list[int]:
    parts, length = UNIFORM.num_frames, stream.duration or 0
    return [(stream.start_time or 0) + (2 * part + 1) * length // (2 * parts) for part in range(parts)]


def _pixels(frame: av.VideoFrame) -> Image.Image:
    pixels = frame.reformat(format="rgb24", interpolation=SAME_PIXELS, threads=1).to_ndarray()
    return Image.fromarray(pixels).resize(SIZE, Image.Resampling.BILINEAR)


def _ratio(first: Decode, second: Decode, files: Sequence[Path], turns: int) -> float:
    """Median over the turns of the time of `first` over that of `second`, after a turn that does not count."""
    ratios = []
    for _ in range(turns + 1):
        spent = [0.0, 0.0]
        for path in files:
            for side, decode in enumerate((first, second)):
                began = time.process_time()
                decode(path)
                spent[side] += time.process_time() - began
        ratios.append(spent[0] / spent[1])
    return float(np.median(ratios[1:]))


def _picture(height: int, width: int, seed: int) -> npt.NDArray[np.uint8]:
    """Noise of all sizes, the large ones strongest, as in photos."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for size in (2, 4, 8, 16, 32, 64, 128, 256, 512):
        blobs = random.normal(size=(3, height // size + 1, width // size + 1)).astype(np.float32)
        for channel, plane in enumerate(blobs):
            grown = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
            picture[..., channel] += size**0.7 * np.asarray(grown)
    levels: npt.NDArray[np.float32] = 128 + 50 * picture / picture.std()
    return np.clip(levels, 0, 255).astype(np.uint8)


def _write_photo(path: Path, seed: int) -> Path:
    Image.fromarray(_picture(3024, 4032, seed)).save(path, quality=90)
    return path


def _write_clip(path: Path, seed: int, seconds: int) -> Path:
    """720 x 1280 pixels at 30 frames a second: a camera that moves over a picture."""
    picture = _picture(1800, 1000, seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 720, 1280, "yuv420p"
        for number in range(30 * seconds):
            across, down = (round(140 + 130 * wave(number / 50)) for wave in (np.sin, np.cos))
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(picture[down : down + 1280, across : across + 720]), format="rgb24"
            )
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _write_mix(path: Path, mini: dict[str, list[Path]], photos: list[Path], clips: list[Path]) -> Path:
    """All posts of moderation-mini in random order, and a large photo or clip in 200 of them."""
    import polars as pl

    posts = [(str(file), kind) for kind, files in mini.items() for file in files]
    large = itertools.cycle([(str(file), "photo") for file in photos] + [(str(file), "video") for file in clips])
    order = np.random.default_rng(0).permutation(len(posts))
    rows = [next(large) if number % 200 == 199 else posts[place] for number, place in enumerate(order)]
    pl.DataFrame({"media": [[file] for file, _ in rows], "media_type": [kind for _, kind in rows]}).write_parquet(
        path
    )
    return path


def _held(mix: Path, num_items: int) -> tuple[float, float, float]:
    """MiB of a process that decodes the mix: held after a fifth of the items and at the end; most resident."""
    given = [sys.executable, "-c", DECODE_ALL, str(mix), str(num_items)]
    done = subprocess.run(given, capture_output=True, text=True, check=True)
    early, late, most = map(float, done.stdout.split())
    return early, late, most


def main() -> int:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=3)
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--items", type=int, default=10_000)
    options = parser.parse_args()
    failures = media_speed(num_photos=options.photos, num_clips=options.clips, num_items=options.items)
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
