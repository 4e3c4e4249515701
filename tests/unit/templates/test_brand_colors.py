"""Texts on the color of any brand can be read: a contrast of at least 4.5:1 (WCAG 1.4.3)."""

from itertools import product

from bellcast.templates.html import luminance, style
from bellcast.templates.types import Brand


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_button_of_a_brand_has_contrast_with_its_text() -> None:
    colors = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in product(range(0, 256, 17), repeat=3)]
    looks = [style(Brand(color=color)) for color in colors]
    low = [look["color"] for look in looks if contrast(look["color"], look["button_text"]) < 4.5]
    assert low == []


def test_luminance_of_a_short_color_is_that_of_the_long_one() -> None:
    assert luminance("#38a") == luminance("#3388aa")
    assert (luminance("#000"), luminance("#fff")) == (0.0, 1.0)
