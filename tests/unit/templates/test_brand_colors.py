"""Texts on the color of any brand can be read: a contrast of at least 4.5:1 (WCAG 1.4.3)."""

from itertools import product

import pytest

from bellcast.templates import email_blocks, email_checks, html, types
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


def page(content: str, brand: Brand) -> str:
    links = {"Unsubscribe": "https://shop.example/u"}
    return html.page(content, subject="Booking", language="en", brand=brand, links=links)


def filled(source: str, brand: Brand) -> str:
    """Return the HTML of blocks with a brand's look."""
    for name, value in style(brand).items():
        source = source.replace(f"{{{{ brand.style.{name} }}}}", value)
    return source


@pytest.mark.parametrize("color", ["#4f56d9", "#000", "#0f766e", "#b4470a"])
def test_base_layout_is_dark_and_readable_in_a_dark_scheme(color: str) -> None:
    brand = Brand(name="Harbour", color=color, footer="Since 1999")
    blocks = [
        types.TextBlock(text="Confirmed, see [the plan](https://shop.example/)"),
        types.ButtonBlock(text="Open", url="https://shop.example/"),
        types.ButtonBlock(text="Later", url="https://shop.example/", style="secondary"),
        types.DividerBlock(),
    ]
    written = html.from_text("See https://shop.example/") + html.button("https://shop.example/", "Open", brand)
    for content in (filled(email_blocks.to_html(blocks), brand), written):
        shown = page(content, brand)
        assert ".bc-card{background:#1f2329" in shown
        assert [found.message for found, _ in email_checks.contrasts(shown)] == []


@pytest.mark.parametrize(
    "own", ["<p style='color:#444'>x</p>", '<table bgcolor="#fef3c7"></table>', "<style>p{color:red}</style>"]
)
def test_card_with_colors_of_its_own_stays_light_in_a_dark_scheme(own: str) -> None:
    shown = page(own, Brand())
    assert ".bc-page{background:#15171b" in shown
    assert ".bc-card{" not in shown
