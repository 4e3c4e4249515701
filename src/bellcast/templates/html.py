"""HTML of e-mails: the base layout, and conversion between text and HTML."""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from html import escape
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from bellcast.templates import html_tokens
from bellcast.templates.html_tokens import StartTag
from bellcast.templates.types import Brand

DEFAULT_COLOR = "#4f56d9"
COLOR = re.compile(r"#[0-9a-fA-F]{3}([0-9a-fA-F]{3})?")
BLOCKS = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "div",
        "dl",
        "fieldset",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tr",
        "ul",
    ]
)
# What a tag begins or ends in text.
STARTS = {**dict.fromkeys(BLOCKS, "\n\n"), "br": "\n", "li": "\n- "}
ENDS = {**dict.fromkeys(BLOCKS - {"li"}, "\n\n"), "td": " ", "th": " "}
HIDDEN = frozenset({"head", "script", "style", "title", "template"})
BLANK_LINES = re.compile(r"\n{3,}")
SPACES = re.compile(r"\s+")
PUNCTUATION = ".,;:!?…”’»›“‘。、，！？；：）」』】"
# A URL in a text, with the punctuation behind it.
URL = re.compile(rf"https?://[^\s<>\"'){PUNCTUATION}][^\s<>\"']*")

# Mail clients ignore style sheets, so every rule is on its element. Widths follow the 600 px convention of mail clients.
FONTS = {
    "system": "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif",
    "arial": "Arial,Helvetica,sans-serif",
    "verdana": "Verdana,Geneva,sans-serif",
    "trebuchet": "'Trebuchet MS',Tahoma,sans-serif",
    "georgia": "Georgia,'Times New Roman',serif",
    "courier": "'Courier New',Courier,monospace",
}
MAX_RADIUS = 40  # pixels: the half of a button's height
DEFAULT_RADIUS = 8


def linked(text: str) -> str:
    """Convert text to HTML: line breaks and links."""
    parts, position = [], 0
    for found in URL.finditer(text):
        # Without the punctuation of the sentence behind it. Parentheses in pairs belong to the URL.
        url = found[0]
        while url[-1] in PUNCTUATION or (url[-1] == ")" and url.count(")") > url.count("(")):
            url = url[:-1]
        parts += [escape(text[position : found.start()]), f'<a href="{escape(url)}">{escape(url)}</a>']
        position = found.start() + len(url)
    return "".join([*parts, escape(text[position:])]).replace("\n", "<br>\n")


def from_text(text: str, convert: Callable[[str], str] = linked) -> str:
    """Convert text to HTML paragraphs, each with `convert`."""
    paragraphs = [part for part in re.split(r"\n\s*\n", text.strip()) if part]
    return "\n".join(f'<p style="margin:0 0 16px">{convert(part)}</p>' for part in paragraphs)


def button(url: str, label: str, brand: Brand) -> str:
    """Return a link that looks like a button."""
    look = style(brand)
    rules = (
        f"display:inline-block;padding:12px 22px;border-radius:{look['radius']};background:{look['color']};"
        f"color:{look['button_text']};text-decoration:none;font-weight:600;font-family:{look['font']};font-size:15px"
    )
    return f'<p style="margin:24px 0"><a href="{escape(url)}" style="{rules}">{escape(label)}</a></p>'


def page(content: str, *, subject: str, language: str, brand: Brand, links: dict[str, str], written: str = "") -> str:
    """Wrap HTML content in the base layout. `links` are the texts and URLs of the footer. `written` is what the author of the
    content wrote, before the variables are inserted: its colors decide whether the card can be dark."""
    rules, content = parted(content)
    look = style(brand)
    colors = look["color"], look["text_color"]
    dark = _dark_rules(*colors, is_card_dark=not has_own_colors(written, *colors))
    name, header = escape(brand.name or ""), ""
    if brand.logo_url and brand.logo_url.startswith(("https://", "http://")):
        image = f'src="{escape(brand.logo_url)}" alt="{name}" height="32" style="border:0;display:block;height:32px"'
        header = f"<img {image}>"
    elif name:
        title = f"font-family:{look['font']};font-size:18px;font-weight:700;color:{look['color']}"
        header = f'<span class="bc-accent" style="{title}">{name}</span>'
    if header:
        header = f'<tr><td style="padding:0 8px 16px">{header}</td></tr>\n'
    # The footer is on the background, which can be dark.
    muted = "#4b5563" if luminance(look["background"]) > 0.26 else "#d1d5db"
    lines = [escape(line) for line in (brand.footer, brand.address) if line]
    anchors = [
        f'<a class="bc-muted" href="{escape(url)}" style="color:{muted}">{escape(text)}</a>'
        for text, url in links.items()
    ]
    if anchors:
        lines.append(" &middot; ".join(anchors))
    small = f"font-family:{look['font']};font-size:13px;line-height:1.5;color:{muted};margin:0 0 6px"
    footer = "\n".join(f'<p class="bc-muted" style="{small}">{line}</p>' for line in lines)
    if footer:
        footer = f'<tr><td style="padding:20px 8px 0">\n{footer}\n</td></tr>\n'
    return f"""<!doctype html>
<html lang="{escape(language)}">
{_head(subject, rules + dark)}
<body class="bc-page" style="margin:0;padding:0;background:{look["background"]}">
<table class="bc-page" role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:{look["background"]}"><tr><td align="center" style="padding:32px 16px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:600px">
{header}<tr><td class="bc-card" style="background:#ffffff;border-radius:12px;padding:32px;font-family:{look["font"]};font-size:16px;line-height:1.55;color:{look["text_color"]}">
{content}
</td></tr>
{footer}</table>
</td></tr></table>
</body>
</html>
"""


# The colors of the base layout in the dark.
DARK_PAGE, DARK_CARD, DARK_TEXT, DARK_MUTED, DARK_LINE = "#15171b", "#1f2329", "#e7e9ee", "#aab0bb", "#3a3f47"
# The least contrast of texts (WCAG 2.2).
READABLE = 4.5
# The tags of a template. Those with a color of the brand become that color, others `BLANK`.
TEMPLATE_TAG = re.compile(r"\{\{[^{}]*\}\}|\{%[^{}]*%\}")
BRAND_TAG = re.compile(r"\{\{-?\s*brand\.style\.(\w+)\s*-?\}\}")
BLANK = "\ufffc"
UNESCAPED = re.compile(r"(?:\||\bfilter\b)\s*safe\b")
COLORING = re.compile(r"(?i)(?<![\w-])(background(?:-color)?|color)\s*:\s*([^;}]*)")
SHEET = re.compile(r"(?is)<style[^>]{0,300}>(.*?)(?:</style|\Z)")
UNKNOWN_STYLE = re.compile(rf"(?:^|;)\s*{BLANK}")
# Values that leave the color to the elements around.
NEUTRAL = frozenset({"", "inherit", "none", "transparent"})


@lru_cache(1000)
def _dark_rules(color: str, text_color: str, *, is_card_dark: bool) -> str:
    """Return the style rules of a dark color scheme. A card whose content has colors of its own stays light, because their
    contrast is that with white."""
    # Mixed with as much white as texts on the dark card need.
    least = READABLE * (luminance(DARK_CARD) + 0.05) - 0.05
    mixes = (
        "#" + "".join(f"{round(part + (255 - part) * step / 20):02x}" for part in _parts(color)) for step in range(21)
    )
    accent = next(mixed for mixed in mixes if luminance(mixed) >= least)
    rules = [
        f".bc-page{{background:{DARK_PAGE}!important}}",
        f".bc-accent{{color:{accent}!important}}",
        f".bc-muted{{color:{DARK_MUTED}!important}}",
    ]
    if is_card_dark:
        rules += [
            f".bc-card{{background:{DARK_CARD}!important;color:{DARK_TEXT}!important}}",
            # Blocks have the colors of the brand on their elements.
            f'div[style*=";color:{text_color};"]{{color:{DARK_TEXT}!important}}',
            f"a{{color:{accent}}}",
            f'a[style*="transparent;color:"]{{color:{accent}!important}}',
            f'td[style*="border:1px solid"]{{border-color:{accent}!important}}',
            f'p[style*="border-top:"],hr{{border-top-color:{DARK_LINE}!important}}',
        ]
    return f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"


# Cached by the text of a template, as all its recipients have the same.
@lru_cache(100)
def has_own_colors(written: str, color: str, text_color: str) -> bool:
    """Return whether HTML sets colors that the rules of the dark scheme neither replace nor are those of the brand."""
    if any(UNESCAPED.search(tag) for tag in TEMPLATE_TAG.findall(written)):
        return True
    html = TEMPLATE_TAG.sub(
        lambda tag: BLANK * tag[0].startswith("{{"),
        BRAND_TAG.sub(lambda tag: {"color": color, "text_color": text_color}.get(tag[1], "brand"), written),
    )
    values = (value for sheet in SHEET.findall(html) for _, value in COLORING.findall(sheet))
    return any(_plain(value) not in NEUTRAL for value in values) or any(
        isinstance(token, StartTag) and _has_own_color(token, color, text_color) for token in html_tokens.tokens(html)
    )


def _has_own_color(tag: StartTag, brand_color: str, text_color: str) -> bool:
    rules = tag.attributes.get("style", "")
    own = {"background": tag.attributes.get("bgcolor", ""), "color": tag.attributes.get("color", "")}
    own |= {name.lower().removesuffix("-color"): value for name, value in COLORING.findall(rules)}
    color, background = own["color"], _plain(own["background"])
    is_replaced = (
        f";color:{color};" in rules if tag.name == "div" else tag.name == "a" and "transparent;color:" in rules
    )
    if UNKNOWN_STYLE.search(rules):
        return True
    if background not in NEUTRAL:
        # The contrast of a text with the background of its own element is the same in both schemes, unless it is replaced.
        return is_replaced or background != brand_color.lower()
    return _plain(color) not in NEUTRAL and not (
        is_replaced and color == (text_color if tag.name == "div" else brand_color)
    )


def _plain(value: str) -> str:
    return value.lower().replace("!important", "").strip()


# The style rules of an e-mail made of blocks precede its sections.
BLOCKS_HEAD, BLOCKS_HEAD_END = '<style data-blocks="2">', "</style>"


def parted(content: str) -> tuple[str, str]:
    """Return the style rules of HTML that is made of blocks, which belong into the head of a document, and the rest."""
    if not content.startswith(BLOCKS_HEAD):
        return "", content
    rules, end, rest = content.partition(BLOCKS_HEAD_END)
    return rules + end, rest


def document(content: str, *, subject: str, language: str, rules: str = "") -> str:
    """Return the sections of an e-mail as a document without a layout."""
    return f"""<!doctype html>
<html lang="{escape(language)}">
{_head(subject, rules)}
<body style="margin:0;padding:0">
{content}
</body>
</html>
"""


def _head(subject: str, rules: str) -> str:
    return f"""<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{escape(subject)}</title>
{rules}</head>"""


def style(brand: Brand) -> dict[str, str]:
    """Return the look of an e-mail: the variable `brand.style` of templates."""
    main = _color(brand.color, DEFAULT_COLOR)
    radius = brand.radius if brand.radius is not None and 0 <= brand.radius <= MAX_RADIUS else DEFAULT_RADIUS
    return {
        "color": main,
        # Above this luminance, black has more contrast than white; the larger of the two is at least 4.5.
        "button_text": "#000000" if luminance(main) > 0.179 else "#ffffff",
        "background": _color(brand.background, "#f3f4f6"),
        "text_color": _color(brand.text_color, "#111827"),
        "radius": f"{radius}px",
        "font": FONTS.get(brand.font or "", FONTS["system"]),
    }


# A footer with the imprint that German law requires has about 300 characters.
MAX_BRAND_TEXT = 500
BrandText: TypeAlias = Annotated[str, Meta(max_length=MAX_BRAND_TEXT)]
BrandColor: TypeAlias = Annotated[str, Meta(pattern=f"^{COLOR.pattern}$")]


class StrictBrand(Brand, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A brand that an operator, or the user of an embedded editor, writes."""

    name: BrandText | None = None
    logo_url: Annotated[str, Meta(pattern="^https://", max_length=MAX_BRAND_TEXT)] | None = None
    color: BrandColor | None = None
    address: BrandText | None = None
    footer: BrandText | None = None
    background: BrandColor | None = None
    text_color: BrandColor | None = None
    radius: Annotated[int, Meta(ge=0, le=MAX_RADIUS)] | None = None
    font: Literal["system", "arial", "verdana", "trebuchet", "georgia", "courier"] | None = None


def read_brand(text: str) -> Brand:
    """Return the brand in a JSON object. Raises ValueError for unknown fields and values that e-mails cannot use."""
    try:
        return msgspec.json.decode(text, type=StrictBrand)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def luminance(color: str) -> float:
    """Return the relative luminance of `#rgb` or `#rrggbb`, 0 to 1 (WCAG 2.2)."""
    parts = [part / 255 for part in _parts(color)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _parts(color: str) -> list[int]:
    """Return the red, green and blue of `#rgb` or `#rrggbb`, 0 to 255."""
    width = len(color) // 3
    return [int(color[1 + at * width : 1 + (at + 1) * width] * (3 - width), 16) for at in range(3)]


def _color(text: str | None, default: str) -> str:
    return text if text is not None and COLOR.fullmatch(text) else default


# Cached: a send has the same HTML for up to 1,000 recipients, and the largest takes 0.2 s.
@lru_cache(maxsize=8)
def to_text(html: str) -> str:
    """Return the text of an HTML document: blocks become lines, links keep their URL."""
    parts: list[str] = []
    hidden = 0
    link: tuple[str, int] | None = None  # the URL of the open link, and where its label begins

    def end_link() -> None:
        """Write the URL of the open link after its label."""
        if link is None:
            return
        url, start = link
        label = "".join(parts[start:]).strip()
        if url.startswith(("http://", "https://")) and url != label:
            parts.append(f" ({url})")

    for token in html_tokens.tokens(html):
        if isinstance(token, str):
            if not hidden:
                parts.append(SPACES.sub(" ", token))
            continue
        name, is_start = token.name, isinstance(token, StartTag)
        if name in HIDDEN:
            hidden = max(0, hidden + (1 if is_start else -1))
        elif name == "a":
            end_link()  # links cannot be nested: an inner link ends the outer one
            link = (token.attributes.get("href", ""), len(parts)) if isinstance(token, StartTag) else None
        elif isinstance(token, StartTag) and name == "img":
            parts.append(token.attributes.get("alt", ""))
        else:
            parts.append((STARTS if is_start else ENDS).get(name, ""))
    end_link()
    lines = [" ".join(line.split()) for line in "".join(parts).split("\n")]
    return BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def absolute_url(url: str | None, app_url: str | None) -> str | None:
    """Return a link that works outside the app. A relative link is resolved against the app's URL, or dropped if there
    is none."""
    if url is None or url.startswith(("http://", "https://", "mailto:", "tel:")):
        return url
    return app_url.rstrip("/") + "/" + url.lstrip("/") if app_url is not None else None


# --- bodies in the subset of Markdown that the inbox shows: bold, italic, code, links, lists


# The same as in the inbox's markdown.js: code contains no other markup, and the length of marked text is limited, because a
# body with thousands of unmatched markers takes 0.1 s.
SPAN = re.compile(
    r"`([^`\n]+)`"
    r"|\[([^\]\n]{1,999})\]\(([^()\s]+)\)"
    r"|(\*\*|__)(?=\S)([^\n]{0,999}?\S)\4"
    r"|(\*|_)(?=[^\s*_])([^\n]{0,999}?[^\s*_])\6(?![^\W_])"
)
MARK = re.compile(r"[`\[*_]")
BULLET = re.compile(r"^[ \t]*[-*+][ \t]+", re.MULTILINE)


# Cached: a send has the same body for up to 1,000 recipients.
@lru_cache(maxsize=8)
def from_markdown(text: str, app_url: str | None) -> str:
    """Convert to HTML. A relative link is resolved against the app's URL, or only its label is shown."""
    return from_text(BULLET.sub("• ", text), partial(_spans, app_url=app_url, write=linked))


def _spans(text: str, app_url: str | None, write: Callable[[str], str]) -> str:
    """Convert marked text, and the text between with `write`."""
    parts, position = list[str](), 0
    while True:
        # Each mark is tried alone, because one search of a text of 256 KiB would hold the interpreter's lock for up to 2 s,
        # also in a thread.
        tried = (SPAN.match(text, mark.start()) for mark in MARK.finditer(text, position))
        found = next(filter(None, tried), None)
        if found is None:
            return "".join([*parts, write(text[position:])])
        code, label, address, _, bold, _, italic = found.groups()
        if code:
            shown = f"<code>{escape(code)}</code>"
        elif bold:
            shown = f"<strong>{_spans(bold, app_url, write)}</strong>"
        elif italic:
            shown = f"<em>{_spans(italic, app_url, write)}</em>"
        else:
            shown = _spans(label, app_url, escape)  # links cannot be nested
            url = absolute_url(address, app_url)
            shown = shown if url is None else f'<a href="{escape(url)}">{shown}</a>'
        parts += [write(text[position : found.start()]), shown]
        position = found.end()
