"""Security headers for every page, and a cross-origin check for requests that change data."""

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = ("GET", "HEAD", "OPTIONS")


class SecurityHeaders:
    """Sets the headers and rejects cross-origin changes."""

    def __init__(self, site: ASGIApp, bellcast_url: str) -> None:
        self._site = site
        self._policy = policy(bellcast_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        if scope["type"] == "http" and _is_foreign(HTTPConnection(scope)):
            refusal = JSONResponse({"error": "Cross-origin requests are not allowed."}, 403)
            await refusal(scope, receive, send_with_headers)
        else:
            await self._site(scope, receive, send_with_headers)


def policy(bellcast_url: str) -> str:
    """Return a policy that allows only the site and Bellcast as sources, and no inline scripts."""
    bellcast = "{0.scheme}://{0.netloc}".format(urlsplit(bellcast_url))
    live = bellcast.replace("http", "ws", 1)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {bellcast}",
            f"connect-src 'self' {bellcast} {live}",
            "style-src 'self'",
            "img-src 'self'",
            "frame-src 'self'",
            # The start page of the demo shows the site in a frame; it has another port of this machine.
            "frame-ancestors 'self' http://127.0.0.1:*"
            if "://127.0.0.1:" in bellcast_url
            else "frame-ancestors 'self'",
            "form-action 'self'",
            "base-uri 'none'",
        )
    )


def _is_foreign(request: HTTPConnection) -> bool:
    """Return whether another site's page sent a request that changes data."""
    origin = request.headers.get("origin")
    return request.scope["method"] not in SAFE and origin is not None and urlsplit(origin).netloc != request.url.netloc
