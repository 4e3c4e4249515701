"""A static file with its content, its ETag and its encodings."""

import contextlib
import gzip
import hashlib
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bellcast.kernel.http import ASGIApp, entity_tags, request_body, responses
from bellcast.kernel.http.compression import accepts
from bellcast.kernel.http.request_body import ApiRequest

TYPES = {
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
        encoding = next((name for name in self.encodings if accepts(header, name)), None)
        etag = f'{self.etag[:-1]}-{encoding}"' if encoding else self.etag
        # Revalidated on every page load with a 304, so that an upgrade of the server also upgrades the page.
        all_headers = {"cache-control": "no-cache", **headers, "etag": etag, "vary": "Accept-Encoding"}
        if entity_tags.unchanged(request, etag):
            return responses.empty(304, all_headers)
        if encoding:
            all_headers["content-encoding"] = encoding
            return responses.complete(200, self.encodings[encoding], self.media_type, all_headers)
        return responses.complete(200, self.body, self.media_type, all_headers)


def read(file: Path, appended: bytes = b"") -> ServedFile:
    """Read a file of the package, append to it, and compress the result unless the build did."""
    body, built = file.read_bytes() + appended, None
    with contextlib.suppress(OSError, EOFError, zlib.error):  # missing, or half written
        gzipped, brotli = (file.with_name(f"{file.name}.{name}").read_bytes() for name in ("gz", "br"))
        if gzip.decompress(gzipped) == body:  # smaller than compressed at run time
            built = {"br": brotli, "gzip": gzipped}
    return of(body, TYPES[file.suffix], built)


def of(body: bytes, media_type: str, built: Mapping[str, bytes] | None = None) -> ServedFile:
    """Return a file with this content, compressed unless the build did."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    return ServedFile(body, etag, media_type, built or {"gzip": gzip.compress(body, 9, mtime=0)})


@cache
def read_all(folder: Path) -> Mapping[str, ServedFile]:
    """Read and compress the files of a folder of the package once, by their paths in it: they change only with the package. None if
    it does not exist."""
    files = (file for file in sorted(folder.rglob("*")) if file.suffix in TYPES)
    return {file.relative_to(folder).as_posix(): read(file) for file in files}
