"""Profiles of recipients: their addresses for messages, and their own preferences."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from bellcast.model.identities import Profile
from bellcast.ports import RecipientOfLink
from bellcast.ports.recipients import OwnPreferences
from bellcast.ports.webhooks import WebhookEvent
from bellcast.storage import ensure, rows, webhook_events
from bellcast.storage.script import Row, Script, Statement

# Tolerated clock difference of two nodes: a link issued by one may seem older than the record that another has just
# created.
CLOCK_SKEW_MS = 60_000


def find(tenant: str, keys: Sequence[str]) -> Script[dict[str, Profile]]:
    found = yield Statement("profiles_find", {"tenant": tenant, "keys": rows.to_json(keys)})
    return {row[0]: _profile(row) for row in found}


def preferences(tenant: str, key: str) -> Script[OwnPreferences | None]:
    """Return a recipient's own preferences; None for an unknown recipient, or one without preferences."""
    found = yield Statement("preferences_find", {"tenant": tenant, "key": key})
    return next((OwnPreferences(text.encode(), at) for text, at in found if text is not None), None)


class NewPreferences(Struct, frozen=True):
    """Preferences as JSON, whether they switch off the inbox in some case, the events of their change, and the document
    that they replace: empty for none, None for any."""

    document: bytes
    switches_inbox: bool
    now: int
    events: Sequence[WebhookEvent]
    before: bytes | None


def set_preferences(tenant: str, key: str, new: NewPreferences) -> Script[bool]:
    inbox, _ = yield from ensure.ensure_recipient(tenant, key, new.now)
    return (yield from _write_preferences(inbox, new))


def inbox_of_link(link: RecipientOfLink) -> Script[int | None]:
    """Return the inbox of a link; None if its recipient does not exist, or it was erased or revoked after the link was
    issued.

    The time of the erasure is kept as long as deletion markers. After that, the link is refused if the recipient was
    created again later than the link."""
    params = {"tenant": link.tenant, "key": link.recipient, "issued_at": link.issued_at}
    params |= {"ends_with_sessions": int(link.ends_with_sessions), "created_by": link.issued_at + CLOCK_SKEW_MS}
    params |= ensure.digests(link.tenant, link.recipient)
    found = yield Statement("recipient_of_link", params)
    return int(found[0][0]) if found else None


def set_preferences_by_link(link: RecipientOfLink, new: NewPreferences) -> Script[bool | None]:
    inbox = yield from inbox_of_link(link)
    return None if inbox is None else (yield from _write_preferences(inbox, new))


def _write_preferences(inbox: int, new: NewPreferences) -> Script[bool]:
    params = {
        "inbox": inbox,
        "preferences": new.document.decode(),
        "switches_inbox": int(new.switches_inbox),
        "before": (new.before or b"").decode(),
        "any_before": int(new.before is None),
        "now": new.now,
    }
    if not (yield Statement("preferences_write", params)):
        return False
    yield from webhook_events.add(new.events, new.now)
    return True


def any_inbox_switch(tenant: str) -> Script[bool]:
    return bool((yield Statement("inbox_switches", {"tenant": tenant})))


def _profile(row: Row) -> Profile:
    key, name, email, phone, chat, locale, timezone, roles, data, document = row
    return Profile(
        key=key,
        name=name,
        email=email,
        phone=phone,
        chat=rows.chat_addresses(chat),
        locale=locale,
        timezone=timezone,
        roles=rows.texts(roles),
        data=msgspec.json.decode(data),
        preferences=None if document is None else document.encode(),
    )
