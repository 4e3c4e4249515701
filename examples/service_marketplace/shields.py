"""What protects every page: only the site's own scripts and Bellcast's run, and only its own pages change things."""

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = ("GET", "HEAD", "OPTIONS")


class Shields:
    """Around the whole site."""

    def __init__(self, site: ASGIApp, bellcast_url: str) -> None:
        self._site = site
        self._policy = policy(bellcast_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        if scope["type"] == "http" and _is_foreign(HTTPConnection(scope)):
            refusal = JSONResponse({"error": "That came from a page of somebody else."}, 403)
            await refusal(scope, receive, shielded)
        else:
            await self._site(scope, receive, shielded)


def policy(bellcast_url: str) -> str:
    """Nothing from anywhere but the site and Bellcast; nothing written into a page runs."""
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
            "frame-ancestors 'self'",
            "form-action 'self'",
            "base-uri 'none'",
        )
    )


def _is_foreign(asked: HTTPConnection) -> bool:
    """Whether it would change something, and a browser says that another site's page asks."""
    origin = asked.headers.get("origin")
    return asked.scope["method"] not in SAFE and origin is not None and urlsplit(origin).netloc != asked.url.netloc
