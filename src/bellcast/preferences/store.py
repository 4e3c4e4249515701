"""The recipients' own preferences."""

from collections.abc import Sequence

from bellcast.kernel.db.script import Script, Statement
from bellcast.kernel.db.table import StoreTable, on_table, read, write, write_to_recipient
from bellcast.recipients.store import ensure
from bellcast.recipients.types import OwnPreferences, RecipientOfLink
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks.types import WebhookEvent

# Tolerated clock difference of two nodes: a link issued by one may seem older than the record that another has just
# created.
CLOCK_SKEW_MS = 60_000


def find(tenant: str, key: str) -> Script[OwnPreferences | None]:
    """Return a recipient's own preferences; None for an unknown recipient, or one without preferences."""
    found = yield Statement("preferences_find", {"tenant": tenant, "key": key})
    return next((OwnPreferences(text.encode(), at) for text, at in found if text is not None), None)


class OwnPreferencesTable(StoreTable):
    """The recipients' own preferences, as JSON."""

    get = read(on_table(find))

    @write_to_recipient
    def put(
        self,
        tenant: str,
        key: str,
        document: bytes,
        now: int,
        *,
        switches_inbox: bool,
        events: Sequence[WebhookEvent] = (),
        before: bytes | None = None,
    ) -> Script[bool]:
        """Replace a recipient's own preferences, changed `now`; creates the recipient. `switches_inbox`: they switch
        off the inbox in some case. `events` are committed with them. `before` is the document that was read, empty if
        there was none: if the stored one differs, return False and write neither preferences nor events."""
        inbox, _ = yield from ensure.ensure_recipient(tenant, key, now)
        return (yield from _write(inbox, document, now, events, before, switches_inbox=switches_inbox))

    @write(locks=lambda link, *_, **__: [(link.tenant, link.recipient)])
    def put_by_link(
        self,
        link: RecipientOfLink,
        document: bytes,
        now: int,
        *,
        switches_inbox: bool,
        events: Sequence[WebhookEvent] = (),
        before: bytes | None = None,
    ) -> Script[bool | None]:
        """Like `put`, but never creates a recipient. Return None, and write nothing, if the link is not accepted."""
        inbox = yield from _inbox_of_link(link)
        if inbox is None:
            return None
        return (yield from _write(inbox, document, now, events, before, switches_inbox=switches_inbox))

    @read
    def accepts_link(self, link: RecipientOfLink) -> Script[bool]:
        """True if the recipient exists, and neither the recipient nor its tenant was erased, nor the link revoked with
        the sessions, after the link was issued."""
        return (yield from _inbox_of_link(link)) is not None

    @read
    def any_switches_inbox(self, tenant: str) -> Script[bool]:
        """True if a recipient of the tenant switches off the inbox in some case."""
        return bool((yield Statement("inbox_switches", {"tenant": tenant})))


def _inbox_of_link(link: RecipientOfLink) -> Script[int | None]:
    """Return the inbox of a link; None if its recipient does not exist, or it was erased or revoked after the link was
    issued.

    The time of the erasure is kept as long as deletion markers. After that, the link is refused if the recipient was
    created again later than the link."""
    params = {"tenant": link.tenant, "key": link.recipient, "issued_at": link.issued_at}
    params |= {"ends_with_sessions": int(link.ends_with_sessions), "created_by": link.issued_at + CLOCK_SKEW_MS}
    params |= ensure.digests(link.tenant, link.recipient)
    found = yield Statement("recipient_of_link", params)
    return int(found[0][0]) if found else None


def _write(
    inbox: int, document: bytes, now: int, events: Sequence[WebhookEvent], before: bytes | None, *, switches_inbox: bool
) -> Script[bool]:
    """Write the preferences of an inbox in place of `before`: empty for none, None for any."""
    params = {
        "inbox": inbox,
        "preferences": document.decode(),
        "switches_inbox": int(switches_inbox),
        "before": (before or b"").decode(),
        "any_before": int(before is None),
        "now": now,
    }
    if not (yield Statement("preferences_write", params)):
        return False
    yield from webhook_events.add(events, now)
    return True
