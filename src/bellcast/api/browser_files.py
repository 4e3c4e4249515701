"""Serves the browser client from the package, for a `<script type="module">` on any page: the build, or its sources."""

import gzip
import hashlib
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import bellcast
from bellcast.api import request_body, responses
from bellcast.api.inbox import unchanged
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.errors import NotFound
from bellcast.model.asgi import ASGIApp
from bellcast.model.content_coding import accepts

BROWSER = Path(bellcast.__file__).parent / "browser"
# A checkout without a build serves the sources, which run unbuilt.
FOLDER = BROWSER / "dist" if (BROWSER / "dist" / "bellcast.js").is_file() else BROWSER / "src"
# Names of our own modules; no part may begin with a dot, so nothing outside of the folder can be named.
NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/){0,8}[A-Za-z0-9_-][A-Za-z0-9_.-]*\.(js|css|svg|map)")
ENTRY, MODULE, PUSH_WORKER = "/bellcast.js", "/bellcast/{name:path}", "/bellcast-push.js"
# The check of a page's connection, and the server's part of it, which has no data of anyone but the token's owner.
CHECK, CHECK_ANSWER = "/bellcast/check.js", "/v1/check"
# Pages of all origins may load these files, which are the same for everyone: a page of an undeclared origin then shows why
# its connection is refused.
PUBLIC_PATHS = frozenset({ENTRY, MODULE, PUSH_WORKER, CHECK, CHECK_ANSWER})
TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "map": "application/json",
}


class ServedFile(NamedTuple):
    """A file and its content when it was last read."""

    modified_at: int
    body: bytes
    etag: str
    encodings: dict[str, bytes]

    def answer(self, request: ApiRequest, media_type: str) -> ASGIApp:
        """Return the file in the smallest encoding that the browser accepts. Each encoding has its own ETag, as RFC
        9110 requires of strong ones."""
        header = request_body.header(request, b"accept-encoding")
        encoding = next((name for name in self.encodings if accepts(header, name)), None)
        etag = f'{self.etag[:-1]}-{encoding}"' if encoding else self.etag
        # Revalidated on every page load with a 304, so that an upgrade of the server also upgrades the page.
        headers = {
            "etag": etag,
            "cache-control": "no-cache",
            "cross-origin-resource-policy": "cross-origin",
            "vary": "Accept-Encoding",
        }
        if unchanged(request, etag):
            return responses.empty(304, headers)
        if encoding:
            return responses.complete(
                200, self.encodings[encoding], media_type, headers | {"content-encoding": encoding}
            )
        return responses.complete(200, self.body, media_type, headers)


class Files:
    """Cache of the files read so far, by name. A file is read again when its modification time changes."""

    def __init__(self) -> None:
        self._served: dict[str, ServedFile] = {}

    def read(self, name: str) -> ServedFile | None:
        """Return the current file. None if it does not exist."""
        file = FOLDER / name
        try:
            written = file.stat().st_mtime_ns
            cached = self._served.get(name)
            if cached is None or cached.modified_at != written:
                body = file.read_bytes()
                etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
                cached = self._served[name] = ServedFile(written, body, etag, _packed(file, body))
        except OSError:
            return None
        return cached


@operation(
    "GET",
    ENTRY,
    tag="Server",
    required_scope=None,
    any_query=True,
    response_types={200: "text/javascript", 304: None},
    refusals=(NotFound,),
)
async def entry(request: ApiRequest) -> ASGIApp:
    """The browser client.

    An ES module that defines `<bellcast-bell>` and the other elements."""
    return _file(request, "bellcast.js")


@operation(
    "GET",
    MODULE,
    tag="Server",
    required_scope=None,
    any_query=True,
    response_types={200: "text/javascript", 304: None},
    refusals=(NotFound,),
)
async def module(request: ApiRequest) -> ASGIApp:
    """A module of the browser client."""
    return _file(request, f"bellcast/{request_body.path(request, 'name')}")


@operation(
    "GET",
    PUSH_WORKER,
    tag="Server",
    required_scope=None,
    any_query=True,
    response_types={200: "text/javascript", 304: None},
    refusals=(NotFound,),
)
async def push_worker(request: ApiRequest) -> ASGIApp:
    """The service worker script for push messages.

    A service worker imports it with `importScripts`; `session.enablePush()` registers it as one by itself."""
    return _file(request, "bellcast-push.js")


def _file(request: ApiRequest, name: str) -> ASGIApp:
    files: Files = request.scope["state"]["files"]
    match = NAME.fullmatch(name)
    result = files.read(name) if match else None
    if match is None or result is None:
        raise NotFound("The browser client has no such file.")
    return result.answer(request, TYPES[match[1]])


def _packed(file: Path, body: bytes) -> dict[str, bytes]:
    """The best first. As the build packed it, which takes its time and is smaller; packed here where it did not."""
    try:
        gzipped, brotli = (file.with_name(f"{file.name}.{name}").read_bytes() for name in ("gz", "br"))
        if gzip.decompress(gzipped) == body:
            return {"br": brotli, "gzip": gzipped}
    except (OSError, EOFError, zlib.error):  # not there, or half written
        pass
    return {"gzip": gzip.compress(body, 9, mtime=0)}
