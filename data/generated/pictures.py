"""Draws the photos of generated posts."""

from pathlib import Path
from random import Random

from PIL import Image, ImageFilter

from data.generated.lettering import paste_text
from data.generated.plan import Alteration, Medium
from data.generated.scenes import add_grain, draw_scene
from data.generated.things import paste_thing

PHOTO_SIZES = [(256, 256), (240, 300), (300, 240), (224, 288), (288, 224)]


def write_photo(medium: Medium, folder: Path) -> None:
    """Draw `medium` and write it below `folder`, as its suffix says: .jpg or .png."""
    rng = Random(medium.seed)
    path = folder / medium.name
    image = draw_picture(rng, medium, *rng.choice(PHOTO_SIZES))
    if path.suffix == ".jpg":
        image = add_grain(rng, image, strength=rng.uniform(1.5, 7))
    if medium.alteration is not None:
        image = altered(image, medium.alteration)
    if path.suffix == ".png":
        image.save(path, "PNG", compress_level=6)
    else:
        coarser = medium.alteration is not None and medium.alteration.coarser
        image.save(path, "JPEG", quality=55 if coarser else rng.randint(72, 88))


def draw_picture(rng: Random, medium: Medium, width: int, height: int) -> Image.Image:
    """Draw scene, thing and text of `medium`, RGB."""
    image = draw_scene(rng, width, height)
    if medium.thing != "nothing":
        paste_thing(rng, image, medium.thing, hard=medium.hard_thing)
    image = image.filter(ImageFilter.BoxBlur(rng.choice([0.3, 0.5, 0.7, 1.0])))
    light = rng.uniform(0.75, 1.12)
    image = image.point(lambda value: min(255, int(value * light)))
    if medium.text != "nothing":
        paste_text(rng, image, medium.text, hard=medium.hard_text)
    return image


def altered(image: Image.Image, alteration: Alteration) -> Image.Image:
    """Shift `image` (what leaves on one side is filled by stretching the rest) and change its brightness."""
    dx, dy = round(alteration.shift_x * image.width), round(alteration.shift_y * image.height)
    box = (max(0, dx), max(0, dy), image.width + min(0, dx), image.height + min(0, dy))
    moved = image.resize(image.size, Image.Resampling.BILINEAR, box=box)
    return moved.point(lambda value: min(255, int(value * alteration.brightness)))
