"""Text drawn into pictures: contact details, and the prices, slogans, dates and scores that resemble them.

All names, apps and addresses are made up; telephone numbers are from the 555-01xx range, which reaches nobody.
"""

from functools import cache
from random import Random

from PIL import Image, ImageDraw, ImageFont

from data.generated.scenes import Colour, colour

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

NAMES = ["luna", "marco", "kiki", "the.real.ben", "nora_x", "dee", "mr_sol", "anya", "joey", "tess", "pip", "rio"]
SUFFIXES = ["_99", ".sells", "_vip", "2025", ".shop", "_direct", "_07", ".private"]
APPS = ["Chazzy", "Plimo", "ZupaNote", "Murml", "Hubla"]
CITIES = ["OSLO", "LIMA", "BATH", "PUNE", "OAXACA", "AUSTIN", "LEEDS", "GOA"]
SLOGANS = [
    ("good vibes only",),
    ("stay wild",),
    ("but first", "coffee"),
    ("monday mood",),
    ("dream big", "work hard"),
    ("hello spring",),
    ("made with love",),
    ("do it for you",),
    ("less is more",),
    ("home is where", "the dog is"),
    ("never stop", "learning"),
    ("slow down",),
    ("you got this",),
]


def paste_text(rng: Random, image: Image.Image, kind: str, *, hard: bool) -> None:
    """Draw a telephone number ("phone"), another contact ("handle") or harmless text ("look_alike") into `image`.

    Hard contact details are small and faint; hard look-alikes are worded and set much like contact details.
    """
    if kind != "look_alike":
        lines = _phone_lines(rng) if kind == "phone" else _handle_lines(rng)
        weights = [0, 0, 1, 1, 4] if hard else [5, 4, 2, 1, 0]
    else:
        lines = _borderline_lines(rng) if hard else _harmless_lines(rng)
        weights = [4, 4, 2, 1, 1] if hard else [1, 1, 3, 4, 1]
    style = rng.choices([_banner, _sticker, _outlined, _big, _faint], weights)[0]
    style(rng, image, "\n".join(lines))


def _phone_number(rng: Random) -> str:
    tail = f"01{rng.randrange(100):02d}"
    area = rng.randint(201, 989)
    return rng.choice([f"+1 {area} 555 {tail}", f"({area}) 555-{tail}", f"{area}-555-{tail}", f"{area}.555.{tail}"])


def _handle(rng: Random) -> str:
    return f"@{rng.choice(NAMES)}{rng.choice(SUFFIXES)}"


def _phone_lines(rng: Random) -> list[str]:
    reach = rng.choice(["call", "text", "call or text", "sms", "ring me", "order:"])
    number = _phone_number(rng)
    app = rng.choice(APPS)
    return rng.choice(
        [[reach, number], [f"{reach} {number}"], [f"{app}: {number}", "any time"], [number, _handle(rng)]]
    )


def _handle_lines(rng: Random) -> list[str]:
    app, handle = rng.choice(APPS), _handle(rng)
    mail = f"{rng.choice(NAMES)}@mail.example"
    return rng.choice(
        [["add me on", f"{app} {handle}"], [f"{app}: {handle}"], ["mail me", mail], [f"find me on {app}", handle]]
    )


def _harmless_lines(rng: Random) -> list[str]:
    price = f"${rng.randint(2, 99)}.{rng.choice(['00', '50', '95', '99'])}"
    day = f"{rng.randint(1, 28):02d}.{rng.randint(1, 12):02d}.{rng.randint(2019, 2025)}"
    return rng.choice(
        [
            [price],
            ["SALE", f"-{rng.choice([10, 20, 30, 50, 70])} %"],
            ["NOW", price],
            [f"{rng.randint(0, 6)} : {rng.randint(0, 6)}"],
            [day],
            [rng.choice(CITIES), str(rng.randint(1950, 2025))],
            list(rng.choice(SLOGANS)),
            list(rng.choice(SLOGANS)),
            [f"No. {rng.randint(1, 99)}"],
        ]
    )


def _borderline_lines(rng: Random) -> list[str]:
    return rng.choice(
        [
            [f"photo by {rng.choice(NAMES)}"],
            [f"#{rng.choice(NAMES)}summer", f"#{rng.choice(CITIES).lower()}"],
            ["open daily", f"{rng.randint(7, 10)}:00 - {rng.randint(17, 22)}:00"],
            [f"order no. {rng.randint(1000, 9999)}", f"ref {rng.randint(100, 999)}-{rng.randint(1000, 9999)}"],
            [f"SAT {rng.randint(1, 28)} OCT", f"doors {rng.randint(17, 21)}:30"],
            [
                f"{rng.randint(10, 80)}.{rng.randint(1000, 9999)} N",
                f"{rng.randint(10, 99)}.{rng.randint(1000, 9999)} W",
            ],
            [
                f"bib {rng.randint(1000, 9999)}",
                f"time {rng.randint(2, 5)}:{rng.randint(10, 59)}:{rng.randint(10, 59)}",
            ],
            [f"room {rng.randint(100, 999)} - {rng.randint(1000, 9999)}"],
        ]
    )


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _fit(image: Image.Image, text: str, wanted: float) -> tuple[Font, float, float]:
    """Return the font of about `wanted` share of the picture's height that fits, and the text's size in pixels."""
    draw = ImageDraw.Draw(image)
    size = max(9, round(wanted * min(image.size)))
    while True:
        font = _font(size)
        left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font, spacing=2)
        if right - left <= 0.92 * image.width or size <= 9:
            return font, right - left, bottom - top
        size -= max(1, size // 12)


def _contrasting(rng: Random, behind: Colour) -> Colour:
    bright = sum(behind) > 380
    return (
        colour(rng, saturation=(0, 0.8), value=(0.0, 0.25))
        if bright
        else colour(rng, saturation=(0, 0.25), value=(0.9, 1))
    )


def _banner(rng: Random, image: Image.Image, text: str) -> None:
    font, wide, high = _fit(image, text, rng.uniform(0.075, 0.11))
    fill = colour(rng, saturation=(0.0, 0.9), value=(0.05, 1.0))
    top = rng.choice([0.02, 0.7, 0.78, 0.85]) * image.height
    top = min(top, image.height - high - 16)
    draw = ImageDraw.Draw(image, "RGBA")
    draw.rectangle((0, top, image.width, top + high + 14), fill=(*fill, rng.randint(190, 255)))
    position = ((image.width - wide) / 2, top + 4)
    draw.multiline_text(position, text, _contrasting(rng, fill), font, spacing=2, align="center")


def _sticker(rng: Random, image: Image.Image, text: str) -> None:
    font, wide, high = _fit(image, text, rng.uniform(0.075, 0.11))
    fill = colour(rng, saturation=(0.0, 0.9), value=(0.5, 1.0))
    patch = Image.new("RGBA", (int(wide) + 22, int(high) + 20), (0, 0, 0, 0))
    draw = ImageDraw.Draw(patch)
    draw.rounded_rectangle(
        (0, 0, patch.width - 1, patch.height - 1), 10, fill=fill, outline=_contrasting(rng, fill), width=2
    )
    draw.multiline_text((10, 6), text, _contrasting(rng, fill), font, spacing=2, align="center")
    patch = patch.rotate(rng.uniform(-10, 10), Image.Resampling.BILINEAR, expand=True)
    patch.thumbnail(image.size)
    x, y = rng.randint(0, image.width - patch.width), rng.randint(0, image.height - patch.height)
    image.paste(patch, (x, y), patch)


def _outlined(rng: Random, image: Image.Image, text: str) -> None:
    font, wide, high = _fit(image, text, rng.uniform(0.08, 0.13))
    x = rng.uniform(2, max(3.0, image.width - wide - 6))
    y = rng.uniform(0.03, 0.9) * (image.height - high - 6)
    light = rng.random() < 0.7
    ink = colour(rng, saturation=(0, 0.9), value=(0.85, 1)) if light else colour(rng, value=(0.0, 0.3))
    edge = (20, 20, 24) if light else (246, 246, 240)
    ImageDraw.Draw(image).multiline_text((x, y), text, ink, font, spacing=2, stroke_width=2, stroke_fill=edge)


def _big(rng: Random, image: Image.Image, text: str) -> None:
    font, wide, high = _fit(image, text, rng.uniform(0.16, 0.28))
    position = ((image.width - wide) / 2, (image.height - high) * rng.uniform(0.25, 0.7))
    ink = colour(rng, saturation=(0, 0.7), value=(0.85, 1))
    ImageDraw.Draw(image).multiline_text(
        position,
        text,
        ink,
        font,
        spacing=2,
        align="center",
        stroke_width=rng.choice([0, 1, 2]),
        stroke_fill=(30, 30, 36),
    )


def _faint(rng: Random, image: Image.Image, text: str) -> None:
    font, wide, high = _fit(image, text, rng.uniform(0.05, 0.065))
    x = rng.uniform(2, max(3.0, image.width - wide - 4))
    y = rng.uniform(0.02, 0.95) * max(1.0, image.height - high - 6)
    shade = rng.choice([255, 255, 20])
    ImageDraw.Draw(image, "RGBA").multiline_text(
        (x, y), text, (shade, shade, shade, rng.randint(110, 170)), font, spacing=2
    )
