"""Pictures of the operating-point page for the README, small and always of the same places.

Run: python -m scripts.screenshots CALIBRATION POLICY_ID [--out docs/screenshots]

CALIBRATION is a folder that `setpoint calibrate production=…` wrote. No example post is on them. Needs Chromium
(Debian's `chromium`) and `pip install 'setpoint[dev]'`.
"""

import argparse
import io
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from data.errors import InputError
from data.files import atomic_file, existing_file

if TYPE_CHECKING:
    from playwright.sync_api import Page

COLOURS = 48
WIDTH = 1040
PLACES = {  # file: from where to where on a policy's page
    "policy": (".words", ".board"),
    "comparison": ("section.production h2", "section.production .sides"),
    "slices": ("section.slices h2", "section.slices .scroll"),
}


def screenshots(calibration: Path, policy_id: str, out: Path) -> list[Path]:
    """Take them all; returns the files.

    Raises:
        InputError: there is no page or no Chromium, or the page holds no such policy or no comparison.
    """
    page_file = existing_file(calibration / "report" / "index.html")
    browser_file = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_file is None:
        raise InputError("screenshots: no chromium on the PATH; install it (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=browser_file, args=arguments)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(page_file.resolve().as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        taken = {"overview": _clip(page, ".masthead", ".scroll")}
        page.evaluate("place => { location.hash = place }", f"#/{policy_id}/1")
        page.wait_for_timeout(300)
        if page.locator("article.policy").count() == 0:
            raise InputError(f"{page_file}: no policy {policy_id!r} on it")
        for name, (first, last) in PLACES.items():
            if page.locator(last).count() == 0:
                raise InputError(f"{page_file}: no {name} on it; calibrate with production=…")
            taken[name] = _clip(page, first, last)
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.set_viewport_size({"width": 687, "height": 800})  # A4 at 96 dots an inch, less the margins
        taken["print"] = page.screenshot(clip={"x": 0, "y": 0, "width": 687, "height": 800})
        browser.close()
    return [_written(out / f"{name}.png", picture) for name, picture in taken.items()]


def _clip(page: "Page", first: str, last: str) -> bytes:
    """From the top of one element to the bottom of another, with a margin."""
    boxes = [page.locator(place).first.bounding_box() for place in (first, last)]
    top, bottom = boxes[0], boxes[1]
    assert top is not None
    assert bottom is not None
    end = bottom["y"] + bottom["height"] + 16
    clip = {"x": 0, "y": max(0, top["y"] - 16), "width": WIDTH, "height": end - max(0, top["y"] - 16)}
    return page.screenshot(full_page=True, clip=clip)  # type: ignore[arg-type]  # a FloatRect by its keys


def _written(path: Path, picture: bytes) -> Path:
    image = ImageOps.expand(
        Image.open(io.BytesIO(picture)).convert("RGB"), 24 if path.stem == "print" else 0, "white"
    )
    image = image.quantize(COLOURS, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        image.save(file, format="PNG", optimize=True)
    return path


def main() -> int:
    """Take them and print their sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("policy_id")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    options = parser.parse_args()
    try:
        for path in screenshots(options.calibration, options.policy_id, options.out):
            print(f"{path}  {path.stat().st_size / 1000:.0f} kB")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
