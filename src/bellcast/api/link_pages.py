"""Pages behind the links in e-mails, for recipients without a login. They run no scripts, so that they work in the
browsers of all mail programs."""

import functools
from html import escape

from bellcast.api import request_body, responses
from bellcast.api.operations import Handler
from bellcast.api.request_body import ApiRequest
from bellcast.channels.preferences_link import PreferencesGrant
from bellcast.channels.unsubscribe import Unsubscription
from bellcast.errors import NotFound
from bellcast.model.asgi import ASGIApp
from bellcast.ports import RecipientOfLink

# A page loads no resources; its form posts to the page itself.
HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
}

MESSAGE_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 15vh auto; max-width: 26rem; padding: 0 1.5rem; text-align: center }
button { font: inherit; padding: .6rem 1.4rem; border: 0; border-radius: .5rem; background: #3b5bdb; color: #fff; cursor: pointer }
"""


def with_error_page(handler: Handler) -> Handler:
    """Show a page instead of a problem in JSON to people whose link is not valid."""

    @functools.wraps(handler)
    async def handle(request: ApiRequest) -> ASGIApp:
        try:
            return await handler(request)
        except NotFound as refusal:
            if "text/html" not in (request_body.header(request, b"accept") or ""):
                raise
            return message("Link not valid", f"<p>{escape(refusal.detail)}</p>", 404)

    return handle


def recipient(link: PreferencesGrant | Unsubscription) -> RecipientOfLink:
    """Return the recipient for the store's check. An unsubscribe link stays valid: mail programs use it years later
    (RFC 8058), and it only turns e-mail off."""
    return RecipientOfLink(link.tenant, link.recipient, link.issued_at, isinstance(link, PreferencesGrant))


def message(title: str, content: str, status: int = 200) -> ASGIApp:
    """Return a page with a heading and this HTML."""
    return page(title, MESSAGE_STYLE, f"<h1>{title}</h1>\n{content}", status)


def page(title: str, style: str, content: str, status: int = 200) -> ASGIApp:
    """Return a page with this HTML."""
    html = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
{content}
</html>
"""
    return responses.complete(status, html.encode(), responses.HTML, HEADERS)
