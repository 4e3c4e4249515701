"""Pages behind the links in e-mails, for recipients without a login. They run no scripts, so that they work in the
browsers of all mail programs."""

from bellcast.api import responses
from bellcast.channels.preferences_link import PreferencesGrant
from bellcast.channels.unsubscribe import Unsubscription
from bellcast.model.asgi import ASGIApp
from bellcast.ports import RecipientOfLink

# A page loads no resources; its form posts to the page itself.
HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
}


def recipient(link: PreferencesGrant | Unsubscription) -> RecipientOfLink:
    return RecipientOfLink(link.tenant, link.recipient, link.issued_at)


def page(title: str, style: str, content: str) -> ASGIApp:
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
    return responses.complete(200, html.encode(), responses.HTML, HEADERS)
