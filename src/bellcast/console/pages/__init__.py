"""What the server's public pages share: their frame, one header with their links and one style sheet before that of the
page; templates, in which values are escaped; files in the encodings that browsers accept; the browser client from the
package, for a `<script type="module">` on any page, as the build or its sources; and the mark of Bellcast:
`favicon.svg` for browsers, and the pictures that `scripts/icons.py` makes of it."""

import contextlib
import gzip
import hashlib
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import bellcast
from bellcast.kernel.errors import NotFound
from bellcast.kernel.http import ASGIApp, entity_tags, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest.operations import public_file

if TYPE_CHECKING:  # imported with the first page
    import jinja2

_FOLDER = Path(__file__).parent
_PAGE, _STYLE = _FOLDER / "page.html", (_FOLDER / "page.css").read_text(encoding="utf-8")
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
def template(file: Path) -> "jinja2.Template":
    """Return the template in a file. A name without a value is an error."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(file.read_text(encoding="utf-8"))


# --- files

FILE_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".png": "image/png",
    ".map": "application/json",
}


class ServedFile(NamedTuple):
    """A file's content. `encodings` is ordered by size, the smallest first."""

    body: bytes
    etag: str
    media_type: str
    encodings: Mapping[str, bytes]

    def respond(self, request: ApiRequest, headers: Mapping[str, str]) -> ASGIApp:
        """Return the file in the smallest encoding that the browser accepts, or 304. Each encoding has its own ETag, as
        RFC 9110 requires of strong ones."""
        header = request_body.header(request, b"accept-encoding")
        encoding = next((name for name in self.encodings if responses.accepts(header, name)), None)
        etag = f'{self.etag[:-1]}-{encoding}"' if encoding else self.etag
        # Revalidated on every page load with a 304, so that an upgrade of the server also upgrades the page.
        all_headers = {"cache-control": "no-cache", **headers, "etag": etag, "vary": "Accept-Encoding"}
        if entity_tags.unchanged(request, etag):
            return responses.empty(304, all_headers)
        if encoding:
            all_headers["content-encoding"] = encoding
            return responses.complete(200, self.encodings[encoding], self.media_type, all_headers)
        return responses.complete(200, self.body, self.media_type, all_headers)


def read_file(file: Path, appended: bytes = b"") -> ServedFile:
    """Read a file of the package, append to it, and compress the result unless the build did."""
    body, built = file.read_bytes() + appended, None
    with contextlib.suppress(OSError, EOFError, zlib.error):  # missing, or half written
        gzipped, brotli = (file.with_name(f"{file.name}.{name}").read_bytes() for name in ("gz", "br"))
        if gzip.decompress(gzipped) == body:  # smaller than compressed at run time
            built = {"br": brotli, "gzip": gzipped}
    return served_file(body, FILE_TYPES[file.suffix], built)


def served_file(body: bytes, media_type: str, built: Mapping[str, bytes] | None = None) -> ServedFile:
    """Return a file with this content, compressed unless the build did."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    return ServedFile(body, etag, media_type, built or {"gzip": gzip.compress(body, 9, mtime=0)})


@cache
def read_folder(folder: Path) -> Mapping[str, ServedFile]:
    """Read and compress the files of a folder of the package once, by their paths in it: they change only with the package."""
    files = (file for file in sorted(folder.rglob("*")) if file.suffix in FILE_TYPES)
    return {file.relative_to(folder).as_posix(): read_file(file) for file in files}


# --- the browser client and the mark

BROWSER = Path(bellcast.__file__).parent / "browser"
# Without a build, as in a checkout, the sources are served; browsers run them unbuilt.
FOLDER = BROWSER / "dist" if (BROWSER / "dist" / "bellcast.js").is_file() else BROWSER / "src"
ICONS = _FOLDER / "icons"
ENTRY, MODULE, PUSH_WORKER, LOADER = "/bellcast.js", "/bellcast/{name:path}", "/bellcast-push.js", "/bellcast-load.js"
# Paths of the connection check: its script, and the server's response, which only contains data of the token's owner.
CHECK, CHECK_RESULT = "/bellcast/check.js", "/v1/check"
# Pages of all origins may load these files, which are the same for everyone. So a page of an undeclared origin can show
# why its connection is refused.
PUBLIC_PATHS = frozenset({ENTRY, MODULE.replace(":path", ""), PUSH_WORKER, LOADER, CHECK, CHECK_RESULT})
# Pages of all origins load these files.
FOR_ALL_ORIGINS = {"cross-origin-resource-policy": "cross-origin"}


@public_file(ENTRY, "text/javascript", NotFound, id="browser_files.entry")
async def entry(request: ApiRequest) -> ASGIApp:
    """The browser client.

    An ES module that defines `<bellcast-bell>` and the other elements."""
    return _file(request, "bellcast.js")


@public_file(MODULE, "text/javascript", NotFound, id="browser_files.module")
async def module(request: ApiRequest) -> ASGIApp:
    """A module of the browser client."""
    return _file(request, f"bellcast/{request_body.path(request, 'name')}")


@public_file(PUSH_WORKER, "text/javascript", NotFound, id="browser_files.push_worker")
async def push_worker(request: ApiRequest) -> ASGIApp:
    """The service worker script for push messages.

    `session.enablePush()` registers it. If your page has its own service worker, import the script there with
    `importScripts`."""
    return _file(request, "bellcast-push.js")


@public_file(LOADER, "text/javascript", NotFound, id="browser_files.loader")
async def loader(request: ApiRequest) -> ASGIApp:
    """A script that loads the browser client, and tries again while this server cannot be reached.

    Save it with your app's own files: a page that is loaded in an outage then gets its bell without a reload."""
    return _file(request, "bellcast-load.js")


@public_file("/favicon.svg", "image/svg+xml", id="icons.svg")
async def svg(request: ApiRequest) -> ASGIApp:
    """The mark of the server's pages, as a vector graphic."""
    return read_folder(ICONS)["favicon.svg"].respond(request, {})


@public_file("/favicon.ico", "image/x-icon", id="icons.ico")
async def ico(request: ApiRequest) -> ASGIApp:
    """The mark of the server's pages, in 16 and 32 pixels."""
    return read_folder(ICONS)["favicon.ico"].respond(request, {})


@public_file("/apple-touch-icon.png", "image/png", id="icons.touch")
async def touch(request: ApiRequest) -> ASGIApp:
    """The mark for the home screens of phones, 180 pixels."""
    return read_folder(ICONS)["apple-touch-icon.png"].respond(request, {})


def _file(request: ApiRequest, name: str) -> ASGIApp:
    if (found := read_folder(FOLDER).get(name)) is None:
        raise NotFound("The browser client has no such file.")
    return found.respond(request, FOR_ALL_ORIGINS)
