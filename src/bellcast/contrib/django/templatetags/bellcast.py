"""`{% load bellcast %}`: the elements of a signed-in user. For anonymous users every tag is empty."""

from contextlib import suppress
from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from bellcast.client import BellcastError
from bellcast.contrib.django import conf, identity

register = template.Library()
EMPTY = mark_safe("")


def _user(context: Any) -> Any:
    """Return the signed-in user of a page; None for an anonymous one."""
    request = context.get("request")
    user = getattr(request, "user", None) or context.get("user")
    return user if user is not None and user.is_authenticated else None


def _register_element(name: str) -> None:
    @register.simple_tag(takes_context=True, name=name.replace("-", "_"))
    def element(context: Any, **attributes: Any) -> SafeString:
        user = _user(context)
        if user is None:
            return EMPTY
        given = {key.replace("_", "-"): value for key, value in attributes.items()}
        defaults = {"server": conf.current().public_url, "token-url": None, "recipient": identity.recipient_of(user)}
        with suppress(NoReverseMatch):
            defaults["token-url"] = reverse("bellcast:token")
        merged = {
            key: value for key, value in {**defaults, **given}.items() if value is not None and value is not False
        }
        # Literal texts in a template count as safe, even with characters that end an attribute.
        parts = [(key, "" if value is True else escape(value)) for key, value in merged.items()]
        return format_html("<{0} {1}></{0}>", name, format_html_join(" ", '{}="{}"', parts))


for _name in ("bellcast-bell", "bellcast-inbox", "bellcast-toasts", "bellcast-preferences"):
    _register_element(_name)


@register.simple_tag(takes_context=True)
def bellcast_script(context: Any, *, retry: bool = False, **attributes: Any) -> SafeString:
    """Return the script of the elements, with the nonce of the page's Content-Security-Policy. With `retry`, the site's own loader
    tries again while Bellcast cannot be reached."""
    if _user(context) is None:
        return EMPTY
    request = context.get("request")
    # The name used by Django 6 and django-csp.
    nonce = getattr(request, "csp_nonce", None) or context.get("csp_nonce")
    given = {key.replace("_", "-"): value for key, value in attributes.items()}
    server = conf.current().public_url
    loader = {"src": reverse("bellcast:loader"), "data-server": server, "defer": "defer"} if retry else {}
    merged = (loader or {"type": "module", "src": f"{server}/bellcast.js"}) | {"nonce": nonce, **given}
    parts = [(key, value) for key, value in merged.items() if value]
    return format_html("<script {}></script>", format_html_join(" ", '{}="{}"', parts))


@register.simple_tag(takes_context=True)
def bellcast_unread_count(context: Any) -> str | int:
    """Return the number of unread notifications; empty while Bellcast does not respond."""
    user = _user(context)
    if user is None:
        return ""
    try:
        token = identity.session_token(user, identity.INBOX_TTL)
        return conf.page_client().inbox(token).counts().unread
    except BellcastError:
        return ""
