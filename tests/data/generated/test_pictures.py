"""What is drawn is there to be seen, and a near-duplicate looks like its original."""

from random import Random

import numpy as np
import pytest
from PIL import Image

from data.generated.captions import write_caption
from data.generated.pictures import altered, draw_picture, write_photo
from data.generated.plan import Alteration, Medium


def pixels(image):
    return np.asarray(image, dtype=np.float32)


def drawn(seed, **shown):
    return draw_picture(Random(seed), Medium("x.jpg", seed, **shown), 256, 256)


@pytest.mark.parametrize("kind", ["phone", "handle", "look_alike"])
@pytest.mark.parametrize("hard", [False, True])
def test_text_changes_the_picture_and_nothing_but_a_part_of_it(kind, hard):
    for seed in range(8):
        # Text is drawn last, so both pictures come from the same choices up to it.
        change = np.abs(pixels(drawn(seed)) - pixels(drawn(seed, text=kind, hard_text=hard))).max(axis=2)
        assert change.max() > 20
        assert 0.001 < (change > 8).mean() < 0.6


def test_every_size_of_picture_holds_every_text():
    for seed in range(30):
        for width, height in [(184, 184), (184, 312), (300, 240)]:
            medium = Medium("x.jpg", "", text=["phone", "handle", "look_alike"][seed % 3], hard_text=seed % 2 == 0)
            assert draw_picture(Random(seed), medium, width, height).size == (width, height)


def test_near_duplicates_differ_in_pixels_but_little(tmp_path):
    alteration = Alteration(shift_x=0.02, shift_y=0.02, brightness=1.1, coarser=True)
    for seed in ["a", "b", "c", "d"]:
        write_photo(Medium("one.jpg", seed), tmp_path)
        write_photo(Medium("two.jpg", seed, alteration=alteration), tmp_path)
        write_photo(Medium("other.jpg", seed + "?"), tmp_path)
        one, two, other = (
            pixels(Image.open(tmp_path / f"{name}.jpg").convert("L").resize((16, 16))).ravel()
            for name in ("one", "two", "other")
        )
        assert not np.array_equal(one, two)
        assert np.abs(one - two).mean() < np.abs(one - other).mean()


def test_alteration_of_nothing_is_nothing():
    image = drawn(1)
    assert np.array_equal(pixels(altered(image, Alteration())), pixels(image))


def test_a_thing_covers_a_visible_part():
    for kind in ("product", "other"):
        image, empty = drawn(2, thing=kind), drawn(2)
        assert np.abs(pixels(image) - pixels(empty)).max() > 40


@pytest.mark.parametrize("language", ["en", "es"])
def test_captions_fill_every_slot(language):
    kinds = ["scam_profit", "scam_income", "scam_subtle", "finance", "warning", "sale", "sale_subtle"]
    for kind in [*kinds, "sale_named", "sale_product", "product_talk", "not_for_sale", "talk"]:
        for seed in range(25):
            caption = write_caption(Random(seed), kind, language)
            assert caption.strip()
            assert "{" not in caption
            assert "}" not in caption
