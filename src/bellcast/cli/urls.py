"""The app's URLs that the server calls: sessions, keys of another issuer, handlers."""

from collections.abc import Iterator

import httpx
import msgspec

from bellcast.cli.findings import Finding
from bellcast.settings import Settings

TIMEOUT = httpx.Timeout(3)  # seconds; the server itself waits about as long


def examined(settings: Settings) -> Iterator[Finding]:
    """Call each URL that is set, from this machine and without credentials: nothing is changed by it."""
    if settings.access.session_url:
        yield _answers("session URL", settings.access.session_url, "BELLCAST_SESSION_URL", (200, 401, 403))
    if settings.access.jwks_url:
        yield _keys(settings.access.jwks_url)
    if settings.server.handler_url:
        # Unsigned: a handler that checks signatures refuses it, which shows that it is there.
        yield _answers("handler URL", settings.server.handler_url, "BELLCAST_HANDLER_URL", (200, 400, 401, 403, 405))


def _answers(check: str, url: str, variable: str, expected: tuple[int, ...]) -> Finding:
    try:
        status = httpx.get(url, timeout=TIMEOUT).status_code
    except httpx.HTTPError as error:
        return _unreachable(check, url, variable, error)
    if status >= 500:
        return Finding(check, "problem", f"{url} answers {status}", "read your app's log")
    if status not in expected:
        return Finding(check, "warning", f"{url} answers {status}", f"correct {variable}")
    return Finding(check, "ok", f"{url} answers {status}")


def _keys(url: str) -> Finding:
    try:
        answer = httpx.get(url, timeout=TIMEOUT)
        keys = len(msgspec.json.decode(answer.content)["keys"]) if answer.status_code == 200 else 0
    except httpx.HTTPError as error:
        return _unreachable("JWKS", url, "BELLCAST_JWKS_URL", error)
    except (msgspec.DecodeError, KeyError, TypeError):
        return Finding("JWKS", "problem", f"{url} has no key set", 'it must answer {"keys": […]}')
    if not keys:
        return Finding(
            "JWKS", "problem", f"{url} answers {answer.status_code} with no keys", "correct BELLCAST_JWKS_URL"
        )
    return Finding("JWKS", "ok", f"{url} has {keys} keys")


def _unreachable(check: str, url: str, variable: str, error: httpx.HTTPError) -> Finding:
    return Finding(check, "problem", f"{url} cannot be reached ({error})", f"start your app, or correct {variable}")
