"""The frame of the server's public pages: one header with their links, and one style sheet before that of the page; and the templates
of pages, in which values are escaped."""

from functools import cache
from pathlib import Path

import jinja2

from bellcast.kernel.http import responses

_PAGE = Path(__file__).with_name("page.html")
_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
# The pages in the header, by their path. Those of the landing page are turned off with it.
_LINKS = {"docs": "API reference", "errors": "Errors", "check": "Test a page", "theme": "Theme"}
_OF_LANDING = {"check", "theme"}


def page(
    title: str,
    main: str,
    *,
    base: str,
    current: str = "",
    style: str = "",
    head: str = "",
    script: str = "",
    has_landing: bool = True,
) -> bytes:
    """Return a page with this HTML, and an inline module. `base` is the path of the server with a trailing slash, or relative, in HTML;
    `current` is the path that the header marks."""
    links = [(path, text) for path, text in _LINKS.items() if has_landing or path not in _OF_LANDING]
    values = {"title": title, "main": main, "base": base, "style": _STYLE + style, "head": head, "script": script}
    return template(_PAGE).render(values, current=current, links=links).encode()


def policy(style: str = "", script: str = "", connects: str = "'none'") -> str:
    """Return the Content-Security-Policy of a page with this style sheet and inline module."""
    allowed = f"'self' {responses.inline_source(script)}" if script else "'self'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src {responses.inline_source(_STYLE + style)}; "
        f"connect-src {connects}; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def template(file: Path) -> jinja2.Template:
    """Return the template in a file. A name without a value is an error."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(file.read_text(encoding="utf-8"))
