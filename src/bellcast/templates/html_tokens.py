"""Split HTML into tags and text in linear time. The standard library's `html.parser` takes quadratic time for
unterminated tags and comments.

The rules are those of the HTML standard for well-formed documents and common faults: an unterminated tag or comment
extends to the end of the document, and a `<` that is not followed by a letter, `/`, `!` or `?` is text."""

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple, TypeAlias


class StartTag(NamedTuple):
    """A start tag; the first of several attributes with the same name counts."""

    name: str
    attributes: dict[str, str]


class EndTag(NamedTuple):
    """An end tag."""

    name: str


HtmlToken: TypeAlias = str | StartTag | EndTag

MARKUP = re.compile(r"<(?=[A-Za-z/!?])")
TAG_NAME = re.compile(r"[A-Za-z][^\s/>]*")
ATTRIBUTE_NAME = re.compile(r"[\s/]*([^\s/>=][^\s/>=]*|=[^\s/>=]*)")
# An opening quote before the value, or the value itself.
ATTRIBUTE_VALUE = re.compile(r"\s*=\s*(?:([\"'])|([^\s>]*))")
# Character references. Longer ones are treated as text: for numbers, the standard library takes quadratic time or
# refuses them.
REFERENCE = re.compile(r"&(?:#[0-9]{1,8}(?![0-9])|#[xX][0-9A-Fa-f]{1,8}(?![0-9A-Fa-f])|[A-Za-z][0-9A-Za-z]{0,31});?")
VOID = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "frame",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    ]
)
# Elements that contain text only, up to their end tag.
RAW_TEXT = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in ("script", "style", "title")}


def tokens(html: str) -> Iterator[HtmlToken]:
    """Yield the tags and the text between them, with references replaced by their characters."""
    return (token for _, token in _located(html))


def lined(html: str) -> Iterator[tuple[int, HtmlToken]]:
    """Yield the tokens with their lines."""
    line, counted = 1, 0
    for position, token in _located(html):
        line, counted = line + html.count("\n", counted, position), position
        yield line, token


def _located(html: str) -> Iterator[tuple[int, HtmlToken]]:
    """Yield the tokens with their positions."""
    position = 0
    while (found := MARKUP.search(html, position)) is not None:
        if found.start() > position:
            yield position, unescaped(html[position : found.start()])
        start = found.end()
        if html[start] in "!?":
            is_comment = html.startswith("!--", start)
            position = _after(html, "-->", start + 1) if is_comment else _after(html, ">", start)
        elif html[start] == "/":
            name = TAG_NAME.match(html, start + 1)
            position = _after(html, ">", start)
            if name is not None:
                yield found.start(), EndTag(name[0].lower())
        elif (name := TAG_NAME.match(html, start)) is not None:
            attributes, end = attributes_of(html, name.end())
            position = _after(html, ">", end)
            if html.find(">", end, position) != -1:  # an unterminated tag is dropped
                tag = StartTag(name[0].lower(), attributes)
                yield found.start(), tag
                if tag.name in RAW_TEXT:
                    ending = RAW_TEXT[tag.name].search(html, position)
                    position = len(html) if ending is None else ending.start()
    if position < len(html):
        yield position, unescaped(html[position:])


def _after(html: str, end: str, position: int) -> int:
    """Return the position after the next `end`, or the end of the document."""
    found = html.find(end, position)
    return len(html) if found == -1 else found + len(end)


def attributes_of(html: str, position: int) -> tuple[dict[str, str], int]:
    """Return the attributes that begin here, and the position after them."""
    attributes: dict[str, str] = {}
    while (name := ATTRIBUTE_NAME.match(html, position)) is not None:
        value, position = "", name.end()
        if (found := ATTRIBUTE_VALUE.match(html, position)) is not None:
            start = position = found.end()
            if found[1] is None:
                value = unescaped(found[2])
            elif (end := html.find(found[1], start)) == -1:
                position = len(html)
            else:
                value, position = unescaped(html[start:end]), end + 1
        attributes.setdefault(name[1].lower(), value)
    return attributes, position


def unescaped(text: str) -> str:
    return REFERENCE.sub(lambda reference: unescape(reference[0]), text) if "&" in text else text
