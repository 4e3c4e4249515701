"""Compilation of stored texts before they are rendered, off the event loop."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec

from bellcast.templates import rendering
from bellcast.templates.rendering import TemplateError, TemplateText

# Characters of a text that may be compiled on the event loop: about 10 ms. One of sandbox.MAX_TOKENS takes 0.2 s.
MAX_INLINE_CHARACTERS = 500


class BackgroundCompiler:
    """Compiles the large texts of stored objects in a thread, one object at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def compile(self, body: bytes, *, has_html: bool = True) -> None:
        """Compile the large texts of an object, given as JSON. With `has_html`, those named `html` or `compiled` are HTML. Texts that
        cannot be compiled raise their errors when they are rendered."""
        if len(body) <= MAX_INLINE_CHARACTERS or not _not_compiled(body, has_html=has_html):
            return
        async with self._lock:
            # Others that waited for the same object find its texts compiled.
            if texts := _not_compiled(body, has_html=has_html):
                await asyncio.to_thread(_compile, texts)


def _not_compiled(body: bytes, *, has_html: bool) -> list[TemplateText]:
    found = {rendering.text_of(one, is_html=is_html and has_html) for one, is_html in _large(msgspec.json.decode(body))}
    return [text for text in found if not text.is_compiled]


def _large(value: Any) -> Iterator[tuple[str, bool]]:
    """Yield the large texts in a JSON value, and whether each is HTML by its name."""
    waiting = [("", value)]
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.items()
        elif isinstance(one, list):
            waiting += [(name, item) for item in one]
        elif isinstance(one, str) and len(one) > MAX_INLINE_CHARACTERS and "{" in one:
            yield one, name in ("html", "compiled")


def _compile(texts: list[TemplateText]) -> None:
    for text in texts:
        try:
            text.template()
        except TemplateError:
            continue
        text.roots()
