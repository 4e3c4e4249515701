"""The recipients' own preferences."""

from collections.abc import Sequence

from bellcast.kernel.db.engine import StoreTable, on_table, read, write_to_recipient
from bellcast.kernel.db.script import Script, Statement
from bellcast.recipients import store as recipients
from bellcast.recipients.types import OwnPreferences, RecipientOfLink
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks.types import WebhookEvent

# Tolerated clock difference of two nodes: a link issued by one may seem older than the record that another has just
# created.
CLOCK_SKEW_MS = 60_000


def find(tenant: str, key: str) -> Script[OwnPreferences]:
    """Return a recipient's own preferences; those of an unknown recipient are None."""
    found = yield Statement("preferences_find", {"tenant": tenant, "key": key})
    return next(
        (OwnPreferences(text.encode(), at) for text, at in found if text is not None), OwnPreferences(None, None)
    )


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
        began: int | None = None,
        events: Sequence[WebhookEvent] = (),
        before: bytes = b"",
        link: RecipientOfLink | None = None,
        is_own: bool = False,
    ) -> Script[bool | None]:
        """Replace a recipient's own preferences, changed `now`; creates the recipient, unless the request `is_own`. Raises TenantErased
        if the tenant was erased since the request `began`. `switches_inbox`: they switch off the inbox in some case. `events` are
        committed with them. `before` is the document that was read, empty if there was none: if the stored one differs, return
        False and write neither preferences nor events. By a link, no recipient is created: return None, and write nothing, if the
        link is not accepted."""
        if link is None:
            inbox: int | None = yield from recipients.inbox_to_write(
                tenant, key, now if began is None else began, is_own=is_own
            )
        else:
            inbox = yield from _inbox_of_link(link)
        if inbox is None:
            return None
        params = {"inbox": inbox, "preferences": document.decode(), "before": before.decode(), "now": now}
        if not (yield Statement("preferences_write", {**params, "switches_inbox": int(switches_inbox)})):
            return False
        yield from webhook_events.add(events, now)
        return True

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
    params |= recipients.digests(link.tenant, link.recipient)
    found = yield Statement("recipient_of_link", params)
    return int(found[0][0]) if found else None
