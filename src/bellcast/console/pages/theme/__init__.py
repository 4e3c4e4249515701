"""`GET /theme`: a page to change the colours and sizes of the bell and copy the CSS. It works without an inbox."""

from pathlib import Path

from bellcast.kernel.errors import NotFound
from bellcast.kernel.http import responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context
from bellcast.rest.operations import operation

_FOLDER = Path(__file__).parent
_PAGE, _STYLE, _SCRIPT = ((_FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))


PAGE = _PAGE.replace("$style", _STYLE).replace("$script", _SCRIPT).encode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; script-src 'self' {responses.inline_source(_SCRIPT)}; style-src {responses.inline_source(_STYLE)}; "
    "connect-src 'none'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",
}


@operation("GET", "/theme", tag="Server", required_scope=None, response_types={200: "text/html"}, refusals=(NotFound,))
async def show(request: ApiRequest) -> ASGIApp:
    """Show the theme page.

    It shows the bell with sample notifications, and the CSS of the chosen colours and sizes. `BELLCAST_LANDING=off` turns it off."""
    if not context.of(request).has_landing:
        raise NotFound("The theme page is turned off.")
    return responses.complete(200, PAGE, responses.HTML, HEADERS)
