"""Doctor checks of the URLs that the server calls: sessions, JWKS and handlers."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from bellcast.console.types import diagnoses
from bellcast.console.types.diagnoses import Finding
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.outbound.http import HttpxClient
from bellcast.kernel.outbound.port import Response
from bellcast.settings import Settings

TIMEOUT = 3  # seconds; the server itself waits about as long


def check(settings: Settings) -> Iterator[Finding]:
    """Call each configured URL without credentials, which changes nothing."""
    if settings.access.session_url:
        yield _check_url("session URL", settings.access.session_url, "BELLCAST_SESSION_URL", (200, 401, 403))
    if settings.access.jwks_url:
        yield _check_jwks(settings.access.jwks_url)
    if settings.server.handler_url:
        # Unsigned. A handler that checks signatures rejects the request, which proves that it is reachable.
        yield _check_url("handler URL", settings.server.handler_url, "BELLCAST_HANDLER_URL", (200, 400, 401, 403, 405))


def _check_url(check: str, url: str, variable: str, expected: tuple[int, ...]) -> Finding:
    try:
        status = _get(url).status
    except Unavailable as error:
        return _unreachable(check, url, variable, error)
    if status >= 500:
        return diagnoses.finding("url_fails", check=check, url=shown(url), status=status)
    if status not in expected:
        return diagnoses.finding("url_unexpected", check=check, url=shown(url), status=status, variable=variable)
    return Finding(check, "ok", f"{shown(url)} returns {status}")


def _check_jwks(url: str) -> Finding:
    try:
        response = _get(url)
        keys = len(msgspec.json.decode(response.body)["keys"]) if response.status == 200 else 0
    except Unavailable as error:
        return _unreachable("JWKS", url, "BELLCAST_JWKS_URL", error)
    except (msgspec.DecodeError, KeyError, TypeError):
        return diagnoses.finding("no_key_set", url=shown(url))
    if not keys:
        return diagnoses.finding("no_keys", url=shown(url), status=response.status)
    return Finding("JWKS", "ok", f"{shown(url)} has {keys} keys")


def _get(url: str) -> Response:
    """Request a URL as the server does: within TIMEOUT in total, with a bounded response and without a proxy. This thread has
    no event loop."""

    async def get() -> Response:
        http = HttpxClient()
        try:
            return await http.request("GET", url, headers={}, timeout=TIMEOUT)
        finally:
            await http.close()

    return asyncio.run(get())


def _unreachable(check: str, url: str, variable: str, error: Exception) -> Finding:
    return diagnoses.finding("url_unreachable", check=check, url=shown(url), error=error, variable=variable)


def shown(url: str) -> str:
    """Return a URL without credentials and query. Findings must not contain these, because operators without access to
    the settings can read findings."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
