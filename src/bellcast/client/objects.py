"""Requests for objects that the app defines: templates, types, schedules, sources and providers by key, webhooks by id."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import NoneType
from typing import Any

from bellcast.client import arguments
from bellcast.client.arguments import Duration, Text
from bellcast.client.request import HttpRequest, call, drop_none, json, path, reads


class Objects:
    """The requests of one kind of object."""

    def __init__(self, plural: str) -> None:
        self.plural = plural

    def page(
        self, *, limit: int | None = None, after: str | None = None, tenant: Text | None = None
    ) -> HttpRequest[dict[str, Any]]:
        """Return a page of the list, as a dict with its items and `next`, the value of `after` for the next page."""
        return call("GET", path(self.plural), dict[str, Any], limit=limit, after=after, tenant=tenant)

    def get(self, key: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
        """Return an object; with `tenant`, the one that applies there."""
        return call("GET", path(self.plural, key=key), dict[str, Any], tenant=tenant)

    def put(
        self, key: Text, body: Mapping[str, Any], *, tenant: Text | None = None, dry_run: bool = False
    ) -> HttpRequest[dict[str, Any]]:
        """Create or replace an object; with `tenant`, the tenant's override. A dry run only validates it."""
        value = arguments.document("body", body)
        return call("PUT", path(self.plural, key=key), dict[str, Any], value, tenant=tenant, dry_run=dry_run)

    def delete(self, key: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
        """Delete an object; with `tenant`, the tenant's override."""
        return call("DELETE", path(self.plural, key=key), NoneType, tenant=tenant)

    def versions(self, key: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
        """Return the versions of an object, newest first."""
        return call("GET", f"{path(self.plural, key=key)}/versions", dict[str, Any], tenant=tenant)


def preview(
    key: Text,
    data: Mapping[str, Any] | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    recipient: Text | None = None,
    locale: str | None = None,
    tenant: Text | None = None,
) -> HttpRequest[dict[str, Any]]:
    """Render a template, or `values` that are not stored: its parts by channel, and `missing`, the variables without a value."""
    body = drop_none(
        values=None if values is None else arguments.document("values", values),
        data=arguments.document("data", data or {}),
        recipient=None if recipient is None else arguments.text("recipient", recipient),
        locale=None if locale is None else arguments.text("locale", locale),
    )
    address = f"{path('templates', key=key)}/preview"
    return call("POST", address, dict[str, Any], body, tenant=tenant, harmless=True)


def change_template(key: Text, *, version: int, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Make another version of a template current."""
    body = {"version": arguments.whole("version", version)}
    return call("PATCH", path("templates", key=key), dict[str, Any], body, tenant=tenant)


def import_email(source: str, format: Text = "html") -> HttpRequest[dict[str, Any]]:
    """Convert an e-mail of another tool, as `mjml` or `html`: `part` for a template's `email`, and `findings`. Writes nothing."""
    body = {"format": arguments.text("format", format), "source": arguments.text("source", source)}
    return call("POST", path("templates", "import"), dict[str, Any], body, harmless=True)


def send_test(
    key: Text, channel: Text, to: Text, data: Mapping[str, Any] | None = None, *, tenant: Text | None = None
) -> HttpRequest[dict[str, Any]]:
    """Send a test message to a recipient, regardless of preferences: `{"message": id}`."""
    body = {
        "channel": arguments.name("channel", channel),
        "to": arguments.name("to", to),
        "data": arguments.document("data", data or {}),
    }
    return call("POST", f"{path('templates', key=key)}/test", dict[str, Any], body, tenant=tenant)


def editor_token(
    tenant: Text,
    templates: Sequence[Text],
    *,
    can: Sequence[Text],
    origin: Text,
    name: Text,
    email: Text | None = None,
    ttl: Duration = 3600,
) -> HttpRequest[str]:
    """Return a token for `<bellcast-template-editor>`: it opens these templates of a tenant (`news-*`) in a page of `origin`.

    `can` are `edit`, `publish`, `test`, `brand` and `html`. `name` is that of the user, for the audit log; tests are sent to
    `email`. It is valid for `ttl` (seconds, "2h" or a timedelta), at most 8 hours."""
    body = drop_none(
        tenant=arguments.name("tenant", tenant),
        templates=arguments.names("templates", templates),
        can=arguments.names("can", can),
        origin=arguments.text("origin", origin),
        name=arguments.text("name", name),
        email=None if email is None else arguments.text("email", email),
        ttl=arguments.seconds("ttl", ttl),
    )
    read = reads(dict[str, Any])
    return HttpRequest(
        "POST", "/v1/editor-tokens", lambda response: str(read(response)["token"]), harmless=True, **json(body)
    )


def end_editor_tokens(tenant: Text) -> HttpRequest[None]:
    """Refuse all editor tokens of a tenant that were made so far."""
    return call("DELETE", "/v1/editor-tokens", NoneType, tenant=arguments.name("tenant", tenant))


def check_provider(
    key: Text,
    *,
    to: Text | None = None,
    values: Mapping[str, Any] | None = None,
    tenant: Text | None = None,
    dry_run: bool = False,
) -> HttpRequest[dict[str, Any]]:
    """Check a provider's credentials, or send a test message to an address. Return `ok`, `error`, `state`, and `steps` with the
    fix of the one that failed. A dry run sends none.
    `values` are tested instead of the stored provider: its fields, such as `channel` and `url`."""
    body = drop_none(
        to=None if to is None else arguments.text("to", to),
        values=None if values is None else arguments.document("values", values),
    )
    address, timeout = f"{path('providers', key=key)}/test", 20.0  # the server tests for 15 s at most
    return call("POST", address, dict[str, Any], body, tenant=tenant, dry_run=dry_run, timeout=timeout)


def create_webhook(
    url: Text, events: Sequence[Text], *, tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Create a webhook. The result has its `secret`, which is not shown again. With the tenant `*`, it receives the
    events of all tenants. A dry run has no secret."""
    body = {"url": arguments.text("url", url), "events": arguments.names("events", events)}
    return call("POST", "/v1/webhooks", dict[str, Any], body, tenant=tenant, dry_run=dry_run)


def webhook(id: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return a webhook."""
    return call("GET", path("webhooks", id=id), dict[str, Any], tenant=tenant)


def change_webhook(
    id: Text,
    *,
    url: Text | None = None,
    events: Sequence[Text] | None = None,
    active: bool | None = None,
    tenant: Text | None = None,
) -> HttpRequest[dict[str, Any]]:
    """Change the given fields of a webhook."""
    body = drop_none(
        url=None if url is None else arguments.text("url", url),
        events=None if events is None else arguments.names("events", events),
        active=None if active is None else arguments.flag("active", active),
    )
    return call("PATCH", path("webhooks", id=id), dict[str, Any], body, tenant=tenant)


def delete_webhook(id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Delete a webhook."""
    return call("DELETE", path("webhooks", id=id), NoneType, tenant=tenant)


def rotate_webhook(id: Text, *, tenant: Text | None = None, dry_run: bool = False) -> HttpRequest[dict[str, Any]]:
    """Replace the secret; the result has the new one. Both sign for 24 hours. A dry run returns an empty one."""
    return call("POST", f"{path('webhooks', id=id)}/rotate", dict[str, Any], tenant=tenant, dry_run=dry_run)


def webhook_attempts(id: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """List the last 20 attempts, the newest first."""
    return call("GET", f"{path('webhooks', id=id)}/attempts", dict[str, Any], tenant=tenant)


def resend_event(
    id: Text, event: Text, *, tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Deliver an event again, by its `webhook-id`."""
    body = {"event": arguments.text("event", event)}
    return call("POST", f"{path('webhooks', id=id)}/resend", dict[str, Any], body, tenant=tenant, dry_run=dry_run)


def replay_events(
    id: Text, since: datetime | str, *, tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Deliver the events since a time again; the result has their number."""
    body: Mapping[str, Any] = {"since": arguments.past_moment("since", since)}
    return call("POST", f"{path('webhooks', id=id)}/replay", dict[str, Any], body, tenant=tenant, dry_run=dry_run)


providers = Objects("providers")
schedules = Objects("schedules")
sources = Objects("sources")
templates = Objects("templates")
types = Objects("types")
webhooks = Objects("webhooks")
