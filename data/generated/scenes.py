"""Backgrounds: what stands behind everything else in a generated picture or clip."""

import colorsys
import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]


def draw_scene(rng: Random, width: int, height: int) -> Image.Image:
    """Draw one of eleven kinds of scene in `width` x `height` pixels, RGB."""
    scene = rng.choice(
        [_hills, _hills, _city, _table, _table, _shapes, _fabric, _beach, _room, _plate, _poster, _rings, _trees]
    )
    return scene(rng, width, height)


def colour(
    rng: Random,
    *,
    hue: float | None = None,
    saturation: tuple[float, float] = (0.25, 0.85),
    value: tuple[float, float] = (0.35, 0.95),
) -> Colour:
    """Pick a colour by hue (0 to 1, any when None), saturation and value."""
    hue = rng.random() if hue is None else hue % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(*value))
    return round(red * 255), round(green * 255), round(blue * 255)


def gradient(width: int, height: int, first: Colour, last: Colour, *, angle: int = 0) -> Image.Image:
    """Blend from `first` to `last`, downwards at `angle` 0, to the right at 90."""
    ramp = Image.linear_gradient("L").rotate(angle).resize((width, height))
    return Image.composite(Image.new("RGB", (width, height), last), Image.new("RGB", (width, height), first), ramp)


def clouds(rng: Random, width: int, height: int, *, cells: int) -> Image.Image:
    """Smooth grey noise, about `cells` blobs wide."""
    numbers = np.random.default_rng(rng.getrandbits(64))
    coarse = numbers.integers(0, 256, (cells + 1, cells + 1), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def add_grain(rng: Random, image: Image.Image, *, strength: float) -> Image.Image:
    """Add sensor noise of `strength` grey levels (standard deviation)."""
    numbers = np.random.default_rng(rng.getrandbits(64))
    noise = numbers.standard_normal((image.height, image.width, 1), dtype=np.float32) * strength
    pixels = np.asarray(image, dtype=np.int16) + noise.astype(np.int16)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _sky(rng: Random, width: int, height: int) -> Image.Image:
    hue = rng.choice([0.55, 0.58, 0.62, 0.08, 0.95, 0.03])
    image = gradient(
        width,
        height,
        colour(rng, hue=hue, saturation=(0.3, 0.7), value=(0.5, 0.95)),
        colour(rng, hue=hue + rng.uniform(-0.05, 0.1), saturation=(0.05, 0.4), value=(0.8, 1.0)),
    )
    if rng.random() < 0.5:
        puffs = clouds(rng, width, height, cells=rng.randint(4, 8)).point(lambda v: max(0, (v - 140) * 2))
        image.paste((250, 250, 250), (0, 0), puffs)
    return image


def _ridge(rng: Random, draw: ImageDraw.ImageDraw, width: int, height: int, top: float, fill: Colour) -> None:
    waves = [(rng.uniform(0.5, 4), rng.uniform(0, 6.3), rng.uniform(0.01, 0.05)) for _ in range(3)]
    crest = []
    for x in range(0, width + 8, 8):
        rise = sum(size * math.sin(speed * x / width * 6.3 + phase) for speed, phase, size in waves)
        crest.append((float(x), height * (top + rise)))
    draw.polygon([*crest, (width + 8, height), (0, height)], fill=fill)


def _hills(rng: Random, width: int, height: int) -> Image.Image:
    image = _sky(rng, width, height)
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        x, y, r = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.35) * height, rng.uniform(0.04, 0.09) * width
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour(rng, hue=0.13, saturation=(0.1, 0.5), value=(0.95, 1)))
    hue = rng.choice([0.25, 0.3, 0.35, 0.55, 0.1, 0.75])
    num_ridges = rng.randint(2, 4)
    for i in range(num_ridges):
        depth = 0.75 - 0.45 * i / num_ridges
        fill = colour(rng, hue=hue, saturation=(0.25, 0.6), value=(depth - 0.1, depth))
        _ridge(rng, draw, width, height, 0.45 + 0.5 * i / num_ridges, fill)
    return image


def _trees(rng: Random, width: int, height: int) -> Image.Image:
    image = _hills(rng, width, height)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(3, 9)):
        x, base, size = rng.uniform(0, 1) * width, rng.uniform(0.65, 0.98) * height, rng.uniform(0.12, 0.3) * height
        leaf = colour(rng, hue=rng.uniform(0.2, 0.4), value=(0.25, 0.6))
        draw.rectangle((x - size * 0.04, base - size * 0.4, x + size * 0.04, base), fill=(84, 58, 40))
        if rng.random() < 0.5:
            draw.polygon(
                [(x - size * 0.3, base - size * 0.3), (x + size * 0.3, base - size * 0.3), (x, base - size)], leaf
            )
        else:
            draw.ellipse((x - size * 0.3, base - size, x + size * 0.3, base - size * 0.3), fill=leaf)
    return image


def _city(rng: Random, width: int, height: int) -> Image.Image:
    night = rng.random() < 0.4
    image = gradient(width, height, (14, 16, 44), (70, 50, 90)) if night else _sky(rng, width, height)
    draw = ImageDraw.Draw(image)
    x = 0.0
    while x < width:
        wide, top = rng.uniform(0.08, 0.22) * width, rng.uniform(0.2, 0.65) * height
        wall = colour(rng, saturation=(0.02, 0.3), value=(0.1, 0.25) if night else (0.35, 0.75))
        draw.rectangle((x, top, x + wide, height), fill=wall)
        step = rng.uniform(9, 15)
        y = top + 6
        while y < height - 8:
            column = x + 5
            while column < x + wide - 7:
                lit = rng.random() < 0.5
                glass = (240, 214, 130) if night and lit else (40, 48, 62) if night else (170, 200, 222)
                draw.rectangle((column, y, column + step * 0.4, y + step * 0.5), fill=glass)
                column += step
            y += step
        x += wide
    return image


def _table(rng: Random, width: int, height: int) -> Image.Image:
    wall, wood = colour(rng, saturation=(0.05, 0.4), value=(0.6, 0.95)), colour(rng, hue=rng.uniform(0.05, 0.11))
    image = gradient(width, height, wall, (wall[0] * 3 // 4, wall[1] * 3 // 4, wall[2] * 3 // 4))
    edge = int(height * rng.uniform(0.35, 0.7))
    top = gradient(width, height - edge, wood, (wood[0] * 2 // 3, wood[1] * 2 // 3, wood[2] * 2 // 3))
    grain = clouds(rng, width, 12, cells=9).resize((width, height - edge))
    top.paste((60, 36, 22), (0, 0), grain.point(lambda v: v // 4))
    image.paste(top, (0, edge))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(0, 4)):
        x, wide, high = rng.random() * width, rng.uniform(0.05, 0.16) * width, rng.uniform(0.08, 0.3) * height
        base, fill = edge + rng.uniform(0.02, 0.3) * (height - edge), colour(rng, saturation=(0.1, 0.6))
        if rng.random() < 0.5:
            draw.rounded_rectangle((x, base - high, x + wide, base), 6, fill=fill)
        else:
            draw.chord((x - wide, base - high, x + wide, base + high), 0, 180, fill=fill)
    return image


def _shapes(rng: Random, width: int, height: int) -> Image.Image:
    image = gradient(width, height, colour(rng), colour(rng), angle=rng.choice([0, 90, 180, 270]))
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(rng.randint(5, 14)):
        x, y, r = rng.random() * width, rng.random() * height, rng.uniform(0.05, 0.3) * width
        fill = (*colour(rng), rng.randint(90, 255))
        if rng.random() < 0.4:
            draw.ellipse((x - r, y - r, x + r, y + r * rng.uniform(0.3, 1)), fill=fill)
        elif rng.random() < 0.5:
            draw.regular_polygon((x, y, r), rng.randint(3, 6), rotation=rng.randrange(360), fill=fill)
        else:
            draw.line((x, y, rng.random() * width, rng.random() * height), fill=fill, width=rng.randint(2, 10))
    return image


def _fabric(rng: Random, width: int, height: int) -> Image.Image:
    first, second = colour(rng), colour(rng)
    mask = clouds(rng, width, height, cells=rng.randint(2, 14))
    image = Image.composite(Image.new("RGB", (width, height), first), Image.new("RGB", (width, height), second), mask)
    draw = ImageDraw.Draw(image, "RGBA")
    step, stripe = rng.randint(8, 32), (*colour(rng), rng.randint(30, 120))
    if rng.random() < 0.6:
        for x in range(0, width, step):
            draw.line((x, 0, x, height), fill=stripe, width=step // 3)
    if rng.random() < 0.6:
        for y in range(0, height, step):
            draw.line((0, y, width, y), fill=stripe, width=step // 3)
    return image


def _beach(rng: Random, width: int, height: int) -> Image.Image:
    image = _sky(rng, width, height)
    draw = ImageDraw.Draw(image)
    sea, shore = rng.uniform(0.3, 0.5) * height, rng.uniform(0.6, 0.8) * height
    draw.rectangle((0, sea, width, height), fill=colour(rng, hue=rng.uniform(0.48, 0.6), value=(0.4, 0.8)))
    for _ in range(14):
        x, y = rng.random() * width, rng.uniform(sea, shore)
        draw.line((x, y, x + rng.uniform(8, 40), y), fill=(228, 238, 244), width=1)
    _ridge(
        rng, draw, width, height, shore / height, colour(rng, hue=0.11, saturation=(0.2, 0.45), value=(0.75, 0.95))
    )
    return image


def _room(rng: Random, width: int, height: int) -> Image.Image:
    image = gradient(width, height, *(colour(rng, saturation=(0.05, 0.35), value=(0.55, 0.95)) for _ in range(2)))
    draw = ImageDraw.Draw(image)
    floor = rng.uniform(0.65, 0.85) * height
    draw.rectangle((0, floor, width, height), fill=colour(rng, hue=0.08, saturation=(0.2, 0.5), value=(0.3, 0.65)))
    for _ in range(rng.randint(1, 3)):
        x, y, w, h = rng.uniform(0.05, 0.7), rng.uniform(0.08, 0.3), rng.uniform(0.15, 0.3), rng.uniform(0.15, 0.3)
        box = (x * width, y * height, (x + w) * width, (y + h) * height)
        draw.rectangle(box, fill=colour(rng), outline=colour(rng, value=(0.1, 0.3)), width=4)
    x, w, seat = rng.uniform(0.05, 0.4) * width, rng.uniform(0.35, 0.55) * width, colour(rng)
    draw.rounded_rectangle((x, floor - 0.2 * height, x + w, floor + 0.05 * height), 12, fill=seat)
    draw.rounded_rectangle(
        (x - 8, floor - 0.09 * height, x + w + 8, floor + 0.1 * height), 12, fill=seat, outline=(50, 44, 44)
    )
    return image


def _plate(rng: Random, width: int, height: int) -> Image.Image:
    image = _fabric(rng, width, height)
    draw = ImageDraw.Draw(image)
    r = min(width, height) * rng.uniform(0.32, 0.45)
    x, y = width * rng.uniform(0.4, 0.6), height * rng.uniform(0.4, 0.6)
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(236, 234, 228), outline=(180, 176, 170), width=2)
    draw.ellipse((x - r * 0.75, y - r * 0.75, x + r * 0.75, y + r * 0.75), outline=(208, 205, 200), width=2)
    for _ in range(rng.randint(5, 16)):
        angle, away, size = rng.uniform(0, 6.3), rng.uniform(0, 0.55) * r, rng.uniform(0.08, 0.25) * r
        u, v = x + away * math.cos(angle), y + away * math.sin(angle)
        food = colour(rng, hue=rng.choice([0.02, 0.08, 0.12, 0.25, 0.33]), saturation=(0.5, 0.9))
        draw.ellipse((u - size, v - size, u + size, v + size * rng.uniform(0.5, 1)), fill=food)
    return image


def _poster(rng: Random, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), colour(rng))
    draw = ImageDraw.Draw(image)
    edge = rng.uniform(0.02, 0.1) * width
    if rng.random() < 0.6:
        draw.rectangle((edge, edge, width - edge, height - edge), outline=colour(rng), width=rng.randint(2, 8))
    for _ in range(rng.randint(1, 3)):
        top = rng.uniform(0, 0.9) * height
        draw.rectangle((0, top, width, top + rng.uniform(0.05, 0.25) * height), fill=colour(rng))
    return image


def _rings(rng: Random, width: int, height: int) -> Image.Image:
    image = _fabric(rng, width, height)
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(rng.randint(15, 45)):
        x, y, r = rng.random() * width, rng.random() * height, rng.uniform(0.02, 0.1) * width
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(*colour(rng), rng.randint(40, 130)))
    return image.filter(ImageFilter.BoxBlur(rng.uniform(0, 3)))
