"""Checks of an e-mail's HTML: links, images, CSS that mail programs do not support, and the contrast of its texts.

HTML is checked as its author wrote it, so that a finding has a line; `BLANK` stands for each expression. Only the contrast is
that of rendered HTML, because colors are those of the tenant's brand.
"""

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import UNSET, Struct, UnsetType

from bellcast.templates import html_tokens, rendering
from bellcast.templates.formats import EMAIL_SCHEMES
from bellcast.templates.html import BLANK, HIDDEN, SHEET, UNESCAPED, luminance
from bellcast.templates.html_tokens import HtmlToken, StartTag

Severity = Literal["error", "warning", "info"]
HOST_IN_TEXT = re.compile(
    r"(?:https?://|www\.)[^\s/]+|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|io|app|dev|example)\b", re.I
)
# CSS without which an e-mail falls apart; without the rest it only looks plainer.
LAYOUT = frozenset(
    {"display:flex", "display:grid", "position", "float", "@import", "var()", "calc()", "clamp()", "min()", "max()"}
)
# WCAG 2.2 §1.4.3: for texts from 18 pt, or from 14 pt if bold, the lower one.
CONTRAST, CONTRAST_LARGE = 4.5, 3.0
# The colors of a page without any, in a light scheme and in a dark one.
CANVAS = {"light": ("#ffffff", "#000000"), "dark": ("#121212", "#ffffff")}
MAX_CONTRASTS = 20
# The nodes of CSS that contain others.
NESTED = frozenset(["function", "() block", "[] block", "{} block"])
# Selectors that are compared, such as `p`, `.note`, `p.note` and `#top`; others never apply.
SELECTOR = re.compile(r"(?:[a-zA-Z0-9]+|\*)?(?:[.#][\w-]+)?")
# A selector of elements whose style has a text, and how many of them are read: each is compared with every element.
STYLED = re.compile(r"([a-zA-Z0-9]*)\[style\*=\"([^\"]{1,100})\"\]")
STYLED_RULES = 20
# The properties that decide about contrast.
LOOKS = frozenset({"color", "background", "background-color", "font-size", "font-weight", "display"})
LONGEST_EXCERPT = 60
# Attributes with URLs that can run code.
URLS = ("href", "xlink:href", "action", "formaction")
# Variables with URLs that the server makes, which are safe in them.
OWN_URLS = ("unsubscribe_url", "preferences_url")
# Around the expression of a tag.
MARKS = "-+ \t\r\n"
EXPRESSION = re.compile(rf"{BLANK}(\d+){BLANK}")


class Finding(Struct, frozen=True):
    """A problem of a template. Errors stop its publication. `block` is the key of a block, or its path such as
    `2.columns.0.blocks.1`; `clients` are the mail programs that it concerns."""

    severity: Severity
    code: str
    message: str
    channel: str | None = "email"
    locale: str | None = None
    block: str | None = None
    line: int | None = None
    clients: tuple[str, ...] | UnsetType | None = UNSET


@cache
def support() -> Mapping[str, Any]:
    """Return the mail programs, and for each word of CSS the numbers of those that do not support it."""
    table: Mapping[str, Any] = json.loads(Path(__file__).with_name("email_support.json").read_bytes())
    return table


def without_expressions(source: str) -> str:
    """Return a valid template with its lines, `BLANK` for each expression, and nothing for its other tags."""
    return "".join(
        ("\n" * piece.count("\n") + (BLANK if piece.startswith("{{") else "")) if is_tag else piece
        for is_tag, piece in rendering.pieces(source)
    )


def of_link(url: str, label: str, line: int | None = None) -> Iterator[Finding]:
    """Yield the problems of a link, with blank expressions."""
    url, label = url.strip(), " ".join(label.split())
    shown = url[:LONGEST_EXCERPT].replace(BLANK, "…")
    if url.startswith(BLANK):
        return
    if not url or url == "#":
        yield Finding("error", "link_invalid", f"The link “{label[:LONGEST_EXCERPT]}” leads nowhere.", line=line)
    elif not url.startswith("#") and not url.lower().startswith(EMAIL_SCHEMES):
        text = f"{shown} must begin with https://, mailto: or tel:, because an e-mail has no address of its own."
        yield Finding("error", "link_invalid", text, line=line)
    elif url.lower().startswith("http://"):
        yield Finding("warning", "link_insecure", f"{shown} is not encrypted: use https://.", line=line)
    elif url.lower().startswith(("http", "//")) and not (host := _host(url)):
        yield Finding("error", "link_invalid", f"{shown} names no server.", line=line)
    elif url.lower().startswith("https://") and (named := HOST_IN_TEXT.match(label)) and BLANK not in host:
        expected = _host(named[0] if "://" in named[0] else f"https://{named[0]}")
        if expected.removeprefix("www.") != host.removeprefix("www."):
            text = f"The text names {expected}, the link leads to {host}: filters and readers take that for a fraud."
            yield Finding("warning", "link_mismatch", text, line=line)


def of_image(src: str, alt: str | None, line: int | None = None) -> Iterator[Finding]:
    """Yield the problems of an image; `alt` is None if it is absent."""
    shown = src.strip()[:LONGEST_EXCERPT].replace(BLANK, "…")
    if alt is None:
        yield Finding(
            "error",
            "image_alt",
            f'{shown or "The image"} has no description: add alt, or alt="" for decoration.',
            line=line,
        )
    if src.strip().lower().startswith("http://"):
        yield Finding(
            "warning", "image_insecure", f"{shown} is not encrypted: mail programs do not show it.", line=line
        )


def of_html(source: str) -> Iterator[Finding]:
    """Yield the problems of valid HTML of a template as its author wrote it, without its contrast."""
    text = without_expressions(source)
    link: tuple[str, int, list[str]] | None = None
    for sheet in SHEET.finditer(text):
        yield from _of_css(sheet[1], text.count("\n", 0, sheet.start(1)) + 1, is_sheet=True)
    for line, token in html_tokens.lined(text):
        if isinstance(token, str):
            if link is not None:
                link[2].append(token)
            continue
        if isinstance(token, StartTag):
            attributes = token.attributes
            if token.name == "a" and "href" in attributes:
                link = attributes["href"], line, []
            elif token.name == "img":
                yield from of_image(attributes.get("src", ""), attributes.get("alt"), line)
                if link is not None:
                    link[2].append(attributes.get("alt", ""))
            if "style" in attributes:
                yield from _of_css(attributes["style"], line, is_sheet=False)
        elif token.name == "a" and link is not None:
            yield from of_link(link[0], "".join(link[2]), link[1])
            link = None


def of_code(source: str) -> Iterator[Finding]:
    """Yield the places of valid HTML of a template where a value can become code: URLs without the filter `link`, names of
    attributes, and values that are not escaped."""
    from bellcast.templates import syntax_trees  # with the first template that is checked: it imports Jinja

    expressions: list[str] = []
    texts: list[str] = []
    line = 1
    for is_tag, piece in rendering.pieces(source) if "{" in source else ():
        if is_tag and UNESCAPED.search(piece) and not piece.startswith("{#"):
            yield _can_run("HTML", "this without the filter safe", piece[2:-2], line)
        if is_tag and piece.startswith("{{"):
            texts.append(f"{BLANK}{len(expressions)}{BLANK}")
            expressions.append(piece[2:-2])
        texts.append("\n" * piece.count("\n") if is_tag else piece.replace(BLANK, ""))
        line += piece.count("\n")
    # The tags with expressions as names or URLs, of which the text has the numbers.
    for line, token in html_tokens.lined("".join(texts)) if expressions else ():
        if not isinstance(token, StartTag):
            continue
        for name in (token.name, *token.attributes):
            if found := EXPRESSION.search(name):
                yield _can_run(
                    "an attribute", "the name of this attribute without a variable", expressions[int(found[1])], line
                )
        for name in URLS:
            found = EXPRESSION.match(token.attributes.get(name, "").lstrip())
            if not found:
                continue
            # All of the URL must pass the filter `link`, or it begins with one that the server makes.
            tree = rendering.parse("{{ " + expressions[int(found[1])].strip(MARKS) + " }}", is_html=False)
            if not syntax_trees.begins_with(tree, "link", OWN_URLS):
                advice = f"the URL of this {name} with the filter link, as in {{{{ data.url | link }}}}"
                yield _can_run("a URL", advice, expressions[int(found[1])], line)


def _can_run(what: str, advice: str, expression: str, line: int) -> Finding:
    shown = expression.strip(MARKS)[:100]
    return Finding("warning", "link_invalid", f"Write {advice}: {shown} can be {what} that runs code.", line=line)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


# --- CSS


def _of_css(css: str, line: int, *, is_sheet: bool) -> Iterator[Finding]:
    seen: set[str] = set()
    clients = support()["clients"]
    for word, at in _words(css, is_sheet=is_sheet):
        without = support()["css"].get(word)
        if without is None or word in seen:
            continue
        seen.add(word)
        names = tuple(clients[number] for number in without)
        shown = (
            names[0]
            if len(names) == 1
            else f"{', '.join(names[:3])}{f' and {len(names) - 3} others' * (len(names) > 3)}"
        )
        severity: Severity = "warning" if word in LAYOUT else "info"
        yield Finding(
            severity, "css_unsupported", f"{word} is not supported by {shown}.", line=line + at - 1, clients=names
        )


def _parsed(css: str | Sequence[Any], *, is_sheet: bool) -> list[Any]:
    """Return the rules of a style sheet, or the declarations of a rule or an attribute."""
    import tinycss2  # needed only when a template is checked

    parse = tinycss2.parse_stylesheet if is_sheet else tinycss2.parse_blocks_contents
    nodes: list[Any] = parse(css, skip_comments=True, skip_whitespace=True)
    return nodes


def _words(css: str, *, is_sheet: bool) -> Iterator[tuple[str, int]]:
    """Yield the at-rules, properties, values such as `display:flex` and functions of CSS, with their lines."""
    waiting = _parsed(css, is_sheet=is_sheet)
    while waiting:
        node = waiting.pop(0)
        if node.type == "at-rule":
            yield f"@{node.lower_at_keyword}", node.source_line
        if node.type in ("at-rule", "qualified-rule") and node.content:
            has_rules = node.type == "at-rule" and node.lower_at_keyword in ("media", "supports")
            waiting[:0] = _parsed(node.content, is_sheet=has_rules)
        elif node.type == "declaration":
            yield node.lower_name, node.source_line
            for part in node.value:
                if part.type == "ident":
                    yield f"{node.lower_name}:{part.lower_value}", node.source_line
                elif part.type == "function":
                    yield f"{part.lower_name}()", node.source_line


# --- contrast


# Declarations by property, with their ranks: whether they are important, and their place. Of those that apply, the highest holds.
Ranked: TypeAlias = dict[str, tuple[tuple[bool, float], str]]
# A style rule for one simple selector, the color scheme that it is for if it is for one, and its declarations.
StyleRule: TypeAlias = tuple[str, str | None, Ranked]


def contrasts(html: str) -> Iterator[tuple[Finding, str]]:
    """Yield the findings about texts of rendered HTML that are hard to read in a light or a dark color scheme, with the texts."""
    tokens = list(html_tokens.tokens(html))
    places = itertools.count()
    rules = [rule for sheet in SHEET.finditer(html) for rule in _rules(sheet[1], places)]
    is_dark_too = any(scheme == "dark" for _, scheme, _ in rules) or any(
        isinstance(one, StartTag)
        and one.attributes.get("name") == "color-scheme"
        and "dark" in one.attributes.get("content", "")
        for one in tokens
    )
    found: set[tuple[str, str, str]] = set()
    for scheme in ("light", "dark") if is_dark_too else ("light",):
        for text, color, ground, is_large in _texts(
            tokens, [rule for rule in rules if rule[1] in (None, scheme)], scheme
        ):
            # The contrast of two colors: WCAG 2.2, relative luminance.
            bright, dark = sorted((luminance(color), luminance(ground)), reverse=True)
            ratio = (bright + 0.05) / (dark + 0.05)
            least = CONTRAST_LARGE if is_large else CONTRAST
            if ratio >= least or (color, ground, text) in found or len(found) >= MAX_CONTRASTS:
                continue
            found.add((color, ground, text))
            where = " in dark mode" if scheme == "dark" else ""
            message = f"“{text[:LONGEST_EXCERPT]}” has a contrast of {ratio:.1f}{where} ({color} on {ground}); at least {least:g} is readable."
            yield Finding("warning", "contrast", message), text


def _rules(css: str | Sequence[Any], places: Iterator[int], scheme: str | None = None) -> Iterator[StyleRule]:
    for node in _parsed(css, is_sheet=True):
        if node.type == "at-rule" and node.lower_at_keyword == "media" and node.content and scheme is None:
            condition = _text(node.prelude).lower()
            if "prefers-color-scheme" in condition:
                named = "dark" if "dark" in condition else "light"
                yield from _rules(node.content, places, named)
        elif node.type == "qualified-rule":
            look = _look(node.content, next(places))
            if look:
                yield from ((one.strip(), scheme, look) for one in _text(node.prelude).split(","))


def _text(nodes: Sequence[Any]) -> str:
    """Return the text of CSS, and `()` for what has nested functions or blocks: no simple selector, color or size does, and
    their serialization recurses."""
    inner = ((node, getattr(node, "arguments", None) or getattr(node, "content", None) or ()) for node in nodes)
    return "".join("()" if any(part.type in NESTED for part in parts) else node.serialize() for node, parts in inner)


def _look(css: str | Sequence[Any], place: float) -> Ranked:
    """Return the colors and sizes of declarations."""
    look: Ranked = {}
    for node in _parsed(css, is_sheet=False):
        name = node.lower_name if node.type == "declaration" else ""
        if name not in LOOKS:
            continue
        value = _text(node.value).strip().lower()
        if name == "background":
            name, value = "background-color", next((part for part in value.split() if _hex(part)), "")
        if value:
            _prevail(look, {name: ((node.important, place), value)})
    return look


def _texts(
    tokens: Sequence[HtmlToken], rules: Sequence[StyleRule], scheme: str
) -> Iterator[tuple[str, str, str, bool]]:
    """Yield the texts with their color, the color behind them, and whether they are large."""
    ground, color = CANVAS[scheme]
    sheet: dict[str, Ranked] = {}
    styled: list[tuple[str, str, Ranked]] = []
    for selector, _, declared in rules:
        if selector and SELECTOR.fullmatch(selector):
            _prevail(sheet.setdefault(selector, {}), declared)
        elif (found := STYLED.fullmatch(selector)) is not None and len(styled) < STYLED_RULES:
            styled.append((found[1], found[2], declared))
    open_elements: Counter[str] = Counter()
    # Element, color, background, size in pixels, whether bold, whether hidden.
    stack: list[tuple[str, str, str, float, bool, bool]] = [("", color, ground, 16.0, False, False)]
    for token in tokens:
        _, color, ground, size, is_bold, is_hidden = stack[-1]
        if isinstance(token, str):
            text = " ".join(token.split())
            if text and not is_hidden:
                yield text, color, ground, size >= 24 or (is_bold and size >= 18.66)
        elif isinstance(token, StartTag):
            if token.name in html_tokens.VOID:
                continue
            own = token.attributes
            look = {"background-color": own["bgcolor"]} if "bgcolor" in own else {}
            look |= {"color": own["color"]} if token.name == "font" and "color" in own else {}
            look |= _declared(sheet, styled, token)
            if token.name == "a" and "color" not in look:
                color = "#9e9eff" if scheme == "dark" and ground == CANVAS["dark"][0] else "#0000ee"
            open_elements[token.name] += 1
            stack.append((
                token.name,
                _hex(look.get("color")) or color,
                _hex(look.get("background-color")) or ground,
                _size(look.get("font-size"), {"h1": 32.0, "h2": 24.0, "h3": 18.7}.get(token.name, size), size),
                is_bold or token.name in ("b", "strong", "h1", "h2", "h3", "th") or look.get("font-weight", "") in ("bold", "600", "700", "800", "900"),
                is_hidden or token.name in HIDDEN or look.get("display") == "none",
            ))  # fmt: skip
        elif open_elements[token.name]:
            ended = ""
            while ended != token.name:
                ended = stack.pop()[0]
                open_elements[ended] -= 1


def _prevail(ranked: Ranked, others: Ranked) -> None:
    for name, (rank, value) in others.items():
        if name not in ranked or ranked[name][0] <= rank:
            ranked[name] = rank, value


def _declared(sheet: Mapping[str, Ranked], styled: Sequence[tuple[str, str, Ranked]], tag: StartTag) -> dict[str, str]:
    """Return the declarations of a style sheet and of the tag itself that apply to it."""
    inline = tag.attributes.get("style", "")
    names = ["", *(f".{one}" for one in tag.attributes.get("class", "").split()), f"#{tag.attributes.get('id', '')}"]
    found: Ranked = {}
    for selector in (element + name for element in ("", "*", tag.name) for name in names):
        _prevail(found, sheet.get(selector, {}))
    for element, part, declared in styled:
        if element in ("", tag.name) and part in inline:
            _prevail(found, declared)
    _prevail(found, _look(inline, math.inf))
    return {name: value for name, (_, value) in found.items()}


def _size(text: str | None, default: float, parent: float) -> float:
    found = re.fullmatch(r"([\d.]+)(px|pt|em|rem|%)?", text or "")
    if found is None or found[1].count(".") > 1 or found[1] == ".":
        return default
    scale = {"px": 1.0, None: 1.0, "pt": 4 / 3, "em": parent, "rem": 16.0, "%": parent / 100}
    return float(found[1]) * scale[found[2]]


def _hex(text: str | None) -> str | None:
    """Return an opaque color as `#rrggbb`; None for others, because a transparent color shows another one."""
    import tinycss2.color3

    found = tinycss2.color3.parse_color(text or "")
    if found is None or isinstance(found, str) or found.alpha < 0.95:
        return None
    return "#" + "".join(f"{round(255 * min(1.0, max(0.0, one))):02x}" for one in found[:3])
