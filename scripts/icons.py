"""Renders the mark (`favicon.svg`) as the two icons that older browsers and phones request: `python scripts/icons.py`."""

import struct
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).parent.parent / "src" / "bellcast" / "console" / "pages" / "icons"
CHROMIUM = "/usr/bin/chromium-headless-shell"
SIZES = (16, 32)
TOUCH_SIZE = 180  # the size that iOS requests


def rendered(browser: Browser, size: int, *, is_opaque: bool) -> bytes:
    """Return the mark as PNG. iOS rounds the corners of an opaque icon itself."""
    page = browser.new_page(viewport={"width": size, "height": size})
    mark = (FOLDER / "favicon.svg").read_text(encoding="utf-8")
    ground = "#4f56d9" if is_opaque else "transparent"
    page.set_content(f"<style>body {{ margin: 0; background: {ground} }} svg {{ display: block }}</style>{mark}")
    picture = page.screenshot(omit_background=not is_opaque)
    page.close()
    return picture


def ico(pictures: dict[int, bytes]) -> bytes:
    """Return a Windows icon of PNG pictures by size."""
    entries, offset = [], 6 + 16 * len(pictures)
    for size, picture in pictures.items():
        entries.append(struct.pack("<BBBBHHII", size, size, 0, 0, 1, 32, len(picture), offset))
        offset += len(picture)
    return b"".join([struct.pack("<HHH", 0, 1, len(pictures)), *entries, *pictures.values()])


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    small = {size: rendered(browser, size, is_opaque=False) for size in SIZES}
    (FOLDER / "favicon.ico").write_bytes(ico(small))
    (FOLDER / "apple-touch-icon.png").write_bytes(rendered(browser, TOUCH_SIZE, is_opaque=True))
