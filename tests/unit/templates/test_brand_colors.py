"""Texts on the color of any brand can be read: a contrast of at least 4.5:1 (WCAG 1.4.3)."""

from itertools import product

import pytest

from bellcast.templates import content_checks, email_blocks, email_checks, html, html_tokens, types
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


def page(content: str, brand: Brand, written: str | None = None) -> str:
    links = {"Unsubscribe": "https://shop.example/u"}
    written = content if written is None else written
    return html.page(content, subject="Booking", language="en", brand=brand, links=links, written=written)


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
    stored = email_blocks.to_html(blocks)
    inserted = filled(stored, brand)
    for content, source in ((inserted, stored), (inserted, inserted), (written, written)):
        shown = page(content, brand, source)
        assert ".bc-card{background:#1f2329" in shown
        assert [found.message for found, _ in email_checks.contrasts(shown)] == []


@pytest.mark.parametrize(
    "content",
    [
        "<p>Color: red is in stock</p>",
        "<p style='color: inherit; background:none'>x</p>",
        "<p style='color:#ffffff;background-color:#4F56D9 !important'>x</p>",
        "<p style='border-color:#123456'>x</p>",
        '<table bgcolor="{{ brand.style.color }}"></table>',
    ],
)
def test_card_without_colors_of_its_own_is_dark_in_a_dark_scheme(content: str) -> None:
    shown = page(content, Brand())
    assert ".bc-card{background:#1f2329" in shown
    assert [found.message for found, _ in email_checks.contrasts(shown)] == []


@pytest.mark.parametrize(
    "own",
    [
        "<p style='color:#444'>x</p>",
        "<p STYLE='Color:#444'>x</p>",
        "<font color=red>x</font>",
        '<table bgcolor="#fef3c7"></table>',
        '<td bgcolor=" #ffffff ">x</td>',
        "<style>p{color:red}</style>",
        "<p style='color:#111827'>x</p>",
        "<div style='background:#4f56d9;color:#111827;'>x</div>",
        "<p style='color:{{ data.color }}'>x</p>",
        "<p style='{{ data.look }}'>x</p>",
        "<p {% if data.late > 1 %}style='color:red'{% endif %}>x</p>",
        "{{ data.html | safe }}",
    ],
)
def test_card_with_colors_of_its_own_stays_light_in_a_dark_scheme(own: str) -> None:
    shown = page(own, Brand())
    assert ".bc-page{background:#15171b" in shown
    assert ".bc-card{" not in shown


def test_colors_are_read_once_for_all_recipients_of_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    source, read, tokens = "<p style='color:#445566'>Hello {{ recipient.name }}</p>", [], html_tokens.tokens
    monkeypatch.setattr(html_tokens, "tokens", lambda text: [read.append(text), *tokens(text)][1:])
    shown = [page(source.replace("{{ recipient.name }}", name), Brand(), source) for name in ("Ann", "Ben")]
    assert [".bc-card{" in one for one in shown] == [False, False]
    assert len(read) == 1


def test_rules_of_the_dark_scheme_are_small_apply_only_in_it_and_count_for_the_size() -> None:
    written = html.from_text("Hello")
    shown = page(written, Brand())
    rules = shown[shown.index("<style>") : shown.index("</style>")]
    assert rules.startswith("<style>@media (prefers-color-scheme:dark){")
    assert rules.count("@media") == 1
    assert rules.endswith("}}")
    assert len(rules) < 700
    assert html.to_text(shown) == "Hello\n\nUnsubscribe (https://shop.example/u)"
    padding = "x" * (content_checks.MAX_EMAIL_BYTES - len(shown))
    for more, is_cut in (("", False), ("x", True)):
        mail = types.TemplateEmail(html=written + padding + more)
        rendered = {"email": {"subject": "Booking", "html": page(written + padding + more, Brand())}}
        found = content_checks.of_rendered(types.Parts(email=mail), "en", rendered, None)
        assert ("size_clip" in {one.code for one in found}) is is_cut


@pytest.mark.parametrize(
    ("rules", "inline", "is_readable"),
    [
        ('p{color:#000!important}p[style*="margin"]{color:#eee}', "margin:0", True),
        ('p[style*="margin"]{color:#eee!important}p{color:#000}', "margin:0", False),
        ('p[style*="margin"]{color:#eee}p{color:#000}', "margin:0", True),
        ("p{color:#000!important}p{color:#eee}", "", True),
        ("p{color:#000!important;color:#eee}", "", True),
        ("p{color:#000;color:#eee}", "", False),
        ("p{color:#eee!important}", "color:#000!important", True),
        ('p[style*="color"]{color:#eee!important}', "color:#000!important", True),
        ('p[style*="color"]{color:#eee!important}', "color:#000", False),
        ("p{color:#eee}", "color:#000", True),
    ],
)
def test_contrast_follows_the_ranks_of_declarations(rules: str, inline: str, is_readable: bool) -> None:
    found = list(email_checks.contrasts(f"<style>{rules}</style><p style='{inline}'>Hello</p>"))
    assert (found == []) is is_readable
