"""The number on a bell of an app can be read: white on its badge has a contrast of at least 4.5:1 (WCAG 1.4.3)."""

import re
from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "examples"
BADGE = re.compile(r"--bellcast-badge: (.+);")


def contrast_with_white(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_badge_colors_of_the_apps_have_contrast_with_their_number() -> None:
    sheets = {sheet: BADGE.findall(sheet.read_text(encoding="utf-8")) for sheet in EXAMPLES.rglob("static/**/*.css")}
    colors = {
        sheet.parts[-3]: re.findall(r"#([0-9a-f]{6})", " ".join(found)) for sheet, found in sheets.items() if found
    }
    assert "photo_studio" in colors
    too_low = {
        app: low for app, found in colors.items() if (low := [one for one in found if contrast_with_white(one) < 4.5])
    }
    assert too_low == {}
