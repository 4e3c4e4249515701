"""Bodies in the subset of Markdown that the inbox shows (bold, italic, code, links, lists), as HTML and as text."""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from html import escape

from bellcast.templates import html

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
def to_html(text: str, app_url: str | None) -> str:
    """Convert to HTML. A relative link is resolved against the app's URL, or only its label is shown."""
    return html.from_text(BULLET.sub("• ", text), partial(_spans, app_url=app_url, write=html.linked))


def to_text(text: str, app_url: str | None) -> str:
    """Convert to text without marks; links keep their URL."""
    return html.to_text(to_html(text, app_url))


def _spans(text: str, app_url: str | None, write: Callable[[str], str]) -> str:
    """Convert marked text, and the text between with `write`."""
    parts, position = [], 0
    while (found := _next_span(text, position)) is not None:
        code, label, address, _, bold, _, italic = found.groups()
        if code:
            shown = f"<code>{escape(code)}</code>"
        elif bold:
            shown = f"<strong>{_spans(bold, app_url, write)}</strong>"
        elif italic:
            shown = f"<em>{_spans(italic, app_url, write)}</em>"
        else:
            shown = _spans(label, app_url, escape)  # links cannot be nested
            url = html.absolute_url(address, app_url)
            shown = shown if url is None else f'<a href="{escape(url)}">{shown}</a>'
        parts += [write(text[position : found.start()]), shown]
        position = found.end()
    return "".join([*parts, write(text[position:])])


def _next_span(text: str, position: int) -> re.Match[str] | None:
    """Return the first marked text from a position. Each mark is tried alone, because one search of a text of 256 KiB would
    hold the interpreter's lock for up to 2 s, also in a thread."""
    tried = (SPAN.match(text, mark.start()) for mark in MARK.finditer(text, position))
    return next(filter(None, tried), None)
