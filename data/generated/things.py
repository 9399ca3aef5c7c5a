"""Objects in the foreground: the restricted product, and everyday things, some of which resemble it."""

from random import Random

from PIL import Image, ImageDraw, ImageFilter

from data.generated.scenes import Colour, colour, gradient

CANVAS = 240
DARK = (34, 34, 40, 255)


def paste_thing(rng: Random, image: Image.Image, kind: str, *, hard: bool) -> None:
    """Draw a product ("product") or another thing ("other") into `image`; small and dim when `hard`."""
    copies = 1 if hard else rng.choice([1, 1, 2, 2, 3])
    share = rng.uniform(0.34, 0.44) if hard else rng.uniform(0.5, 0.85)
    draw_patch = _product if kind == "product" else rng.choice(OTHER_THINGS)
    for _ in range(copies):
        side = max(24, round(share * min(image.size) * (1.0 if copies == 1 else 0.85)))
        patch = draw_patch(rng).resize((side, side), Image.Resampling.BILINEAR)
        patch = patch.rotate(rng.gauss(0, 28), Image.Resampling.BILINEAR, expand=True)
        if hard:
            patch.putalpha(patch.getchannel("A").point(lambda alpha: int(alpha * 0.9)))
        x = rng.randint(0, max(0, image.width - patch.width))
        y = rng.randint(image.height // 8, max(image.height // 8, image.height - patch.height))
        shadow = patch.getchannel("A").filter(ImageFilter.BoxBlur(4)).point(lambda alpha: alpha // 2)
        image.paste((20, 20, 24), (x + 5, y + 5), shadow)
        image.paste(patch, (x, y), patch)


def _blank() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    patch = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
    return patch, ImageDraw.Draw(patch)


def _body(patch: Image.Image, box: tuple[int, int, int, int], radius: int, first: Colour, last: Colour) -> None:
    """Fill a rounded box with a gradient and a highlight along its left side."""
    left, top, right, bottom = box
    mask = Image.new("L", patch.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius, fill=255)
    fill = Image.new("RGB", patch.size)
    fill.paste(gradient(right - left, bottom - top, first, last), (left, top))
    patch.paste(fill, (0, 0), mask)
    shine = left + (right - left) // 5
    ImageDraw.Draw(patch).line((shine, top + radius, shine, bottom - radius), fill=(255, 255, 255, 255), width=3)


def _product(rng: Random) -> Image.Image:
    """A vaporiser: a two-coloured vivid body, a narrower mouthpiece, a light at the foot, a label."""
    patch, draw = _blank()
    hue = rng.random()
    first = colour(rng, hue=hue, saturation=(0.65, 1.0), value=(0.75, 1.0))
    last = colour(rng, hue=hue + rng.uniform(0.15, 0.45), saturation=(0.65, 1.0), value=(0.75, 1.0))
    wide, middle = rng.randint(24, 40), CANVAS // 2
    top, bottom = rng.randint(52, 66), CANVAS - rng.randint(8, 24)
    mouth = wide // 2 + rng.randint(-4, 2)
    tip = rng.choice([DARK, (240, 240, 240, 255), DARK])
    draw.polygon(
        [(middle - mouth, 12), (middle + mouth, 12), (middle + wide - 6, top + 8), (middle - wide + 6, top + 8)],
        fill=tip,
    )
    _body(patch, (middle - wide, top, middle + wide, bottom), rng.randint(10, 24), first, last)
    draw.ellipse((middle - 5, bottom - 18, middle + 5, bottom - 8), fill=(150, 255, 240, 255), outline=DARK)
    label = rng.randint(top + 30, bottom - 80)
    draw.rounded_rectangle((middle - wide + 8, label, middle + wide - 8, label + 34), 6, fill=(255, 255, 255, 235))
    draw.ellipse((middle - 9, label + 6, middle + 9, label + 26), fill=colour(rng, hue=hue))
    return patch


def _lipstick(rng: Random) -> Image.Image:
    patch, draw = _blank()
    draw.polygon([(98, 90), (98, 40), (142, 20), (142, 90)], fill=colour(rng, hue=rng.uniform(0.92, 1.02)))
    draw.rectangle((94, 84, 146, 120), fill=(206, 178, 104, 255))
    _body(patch, (86, 118, 154, 226), 6, (48, 46, 52), (20, 20, 24))
    return patch


def _lighter(rng: Random) -> Image.Image:
    patch, draw = _blank()
    draw.rectangle((84, 36, 156, 76), fill=(170, 172, 178, 255))
    draw.ellipse((128, 26, 158, 56), fill=DARK)
    body = colour(rng)
    _body(patch, (80, 74, 160, 228), 10, body, body)
    return patch


def _pen(rng: Random) -> Image.Image:
    patch, draw = _blank()
    body = colour(rng)
    draw.polygon([(106, 200), (134, 200), (120, 236)], fill=(220, 200, 170, 255))
    _body(patch, (104, 20, 136, 202), 5, body, body)
    draw.rectangle((104, 150, 136, 158), fill=DARK)
    return patch


def _memory_stick(rng: Random) -> Image.Image:
    patch, draw = _blank()
    draw.rectangle((98, 14, 142, 70), fill=(196, 198, 204, 255), outline=DARK)
    draw.rectangle((106, 26, 116, 40), fill=DARK)
    draw.rectangle((124, 26, 134, 40), fill=DARK)
    body = colour(rng)
    _body(patch, (84, 66, 156, 224), 14, body, (body[0] // 2, body[1] // 2, body[2] // 2))
    return patch


def _bottle(rng: Random) -> Image.Image:
    patch, draw = _blank()
    glass = colour(rng, hue=rng.choice([0.3, 0.55, 0.6, 0.08]))
    draw.rectangle((104, 20, 136, 80), fill=glass)
    draw.rectangle((100, 10, 140, 32), fill=colour(rng))
    _body(patch, (76, 68, 164, 230), 24, glass, (glass[0] * 2 // 3, glass[1] * 2 // 3, glass[2] * 2 // 3))
    draw.rectangle((76, 130, 164, 186), fill=(244, 240, 226, 255))
    return patch


def _mug(rng: Random) -> Image.Image:
    patch, draw = _blank()
    glaze = colour(rng)
    draw.ellipse((130, 80, 220, 180), outline=glaze, width=18)
    _body(patch, (40, 50, 170, 210), 18, glaze, (glaze[0] * 3 // 4, glaze[1] * 3 // 4, glaze[2] * 3 // 4))
    draw.ellipse((42, 38, 168, 72), fill=(70, 44, 30, 255), outline=glaze, width=5)
    return patch


def _phone(rng: Random) -> Image.Image:
    patch, draw = _blank()
    draw.rounded_rectangle((62, 8, 178, 232), 18, fill=DARK)
    screen = gradient(100, 196, colour(rng), colour(rng))
    patch.paste(screen, (70, 22))
    for i in range(8):
        draw.rounded_rectangle(
            (78 + i % 3 * 30, 40 + i // 3 * 34, 100 + i % 3 * 30, 62 + i // 3 * 34), 5, fill=colour(rng)
        )
    return patch


def _plant(rng: Random) -> Image.Image:
    patch, draw = _blank()
    for _ in range(9):
        x, y = rng.randint(30, 170), rng.randint(10, 110)
        draw.ellipse((x, y, x + 44, y + 66), fill=colour(rng, hue=rng.uniform(0.25, 0.4), value=(0.3, 0.7)))
    draw.polygon([(70, 140), (170, 140), (154, 230), (86, 230)], fill=colour(rng, hue=0.04, value=(0.5, 0.8)))
    return patch


def _ball(rng: Random) -> Image.Image:
    patch, draw = _blank()
    draw.ellipse((30, 30, 210, 210), fill=colour(rng), outline=DARK, width=3)
    draw.arc((70, 30, 170, 210), 0, 360, fill=(250, 250, 250, 255), width=8)
    draw.line((30, 120, 210, 120), fill=(250, 250, 250, 255), width=8)
    return patch


def _book(rng: Random) -> Image.Image:
    patch, draw = _blank()
    cover = colour(rng)
    draw.rectangle((62, 34, 190, 220), fill=(238, 232, 216, 255), outline=DARK)
    _body(patch, (50, 24, 180, 212), 4, cover, (cover[0] * 3 // 4, cover[1] * 3 // 4, cover[2] * 3 // 4))
    draw.rectangle((78, 54, 160, 66), fill=(250, 246, 230, 255))
    draw.rectangle((78, 78, 140, 86), fill=(250, 246, 230, 255))
    return patch


def _lamp(rng: Random) -> Image.Image:
    patch, draw = _blank()
    draw.rectangle((112, 110, 128, 220), fill=DARK)
    draw.ellipse((70, 206, 170, 236), fill=DARK)
    shade = colour(rng, hue=rng.uniform(0.08, 0.16), saturation=(0.3, 0.6), value=(0.85, 1.0))
    draw.polygon([(86, 20), (154, 20), (190, 120), (50, 120)], fill=shade)
    return patch


LOOK_ALIKES = [_lipstick, _lighter, _pen, _memory_stick, _bottle]
OTHER_THINGS = [*LOOK_ALIKES, *(_mug, _phone, _plant, _ball, _book, _lamp) * 2]
