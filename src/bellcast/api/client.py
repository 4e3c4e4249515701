"""The browser client: plain ES modules out of the package, for a `<script type="module">` on any page."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from litestar.types import ASGIApp

import bellcast
from bellcast.api import answers, reading
from bellcast.api.inbox import unchanged
from bellcast.api.operations import operation
from bellcast.api.reading import Asked
from bellcast.errors import NotFound

FOLDER = Path(bellcast.__file__).parent / "browser"
# Names of our own modules; no part may begin with a dot, so nothing outside of the folder can be named.
NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/){0,8}[A-Za-z0-9_-][A-Za-z0-9_.-]*\.(js|css|svg|map)")
TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "map": "application/json",
}


class Served(NamedTuple):
    """A file as it was when it was last read."""

    written: int
    body: bytes
    etag: str


_served: dict[str, Served] = {}


@operation(
    "GET", "/bellcast.js", tag="Server", door=None, answers={200: "text/javascript", 304: None}, refusals=(NotFound,)
)
async def entry(request: Asked) -> ASGIApp:
    """The browser client.

    An ES module that defines `<bellcast-bell>` and its sisters."""
    return _file(request, "bellcast.js")


@operation(
    "GET",
    "/bellcast/{name:path}",
    tag="Server",
    door=None,
    answers={200: "text/javascript", 304: None},
    refusals=(NotFound,),
)
async def module(request: Asked) -> ASGIApp:
    """A module of the browser client."""
    return _file(request, f"bellcast{reading.path(request, 'name')}")


def _file(request: Asked, name: str) -> ASGIApp:
    match = NAME.fullmatch(name)
    found = _read(name) if match else None
    if match is None or found is None:
        raise NotFound("The browser client has no such file.")
    # Asked again on every page, answered with a 304: an upgrade of the server is an upgrade of the page.
    headers = {"etag": found.etag, "cache-control": "no-cache", "cross-origin-resource-policy": "cross-origin"}
    if unchanged(request, found.etag):
        return answers.empty(304, headers)
    return answers.whole(200, found.body, TYPES[match[1]], headers)


def _read(name: str) -> Served | None:
    file = FOLDER / name
    try:
        written = file.stat().st_mtime_ns
        known = _served.get(name)
        if known is None or known.written != written:
            body = file.read_bytes()
            known = _served[name] = Served(written, body, f'"{hashlib.sha256(body).hexdigest()[:20]}"')
    except OSError:
        return None
    return known
