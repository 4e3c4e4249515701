"""Timeline of a notification: decisions, delivery attempts, and the recipient's actions. Pure."""

from collections.abc import Iterator, Sequence

from bellcast.channels.types import OPEN_STATES, NewDecision, RecordedAction, StoredMessage, TimelineEntry
from bellcast.inbox.types.sends import SentItem
from bellcast.kernel import times
from bellcast.live.types import NotificationWrite
from bellcast.preferences.types import CHANNELS

# A message that is due immediately is attempted within this time, unless many are queued.
SOON_MS = 10_000
# States of messages that ended before an attempt.
NEVER_DUE = frozenset({"cancelled", "suppressed", "expired"})
NEXT_ATTEMPT = "the next attempt"
# Names of decision outcomes in the timeline.
OUTCOMES = {"send": "routed", "hold": "held", "skip": "skipped"}


def timeline(
    item: SentItem,
    decisions: Sequence[NewDecision],
    messages: Sequence[StoredMessage],
    actions: Sequence[RecordedAction],
    writes: Sequence[NotificationWrite],
    now: int,
) -> list[TimelineEntry]:
    """Return every entry in order of time; entries of the same time are in order of cause."""
    by_id = {message.id: message for message in messages}
    released = {
        decision.message: decision for decision in decisions if decision.message in by_id and decision.outcome == "skip"
    }
    ordered = sorted(decisions, key=lambda decision: CHANNELS.index(decision.channel))
    accepted = TimelineEntry(at=item.notification.created_at, what="accepted")
    entries = [
        *([accepted] if decisions or item.announcement or not item.has_row else ()),
        *(
            TimelineEntry(
                at=times.to_rfc3339(one.decided_at),
                what="scheduled" if one.outcome == "send" and one.due_at is not None else OUTCOMES[one.outcome],
                detail=None if one.due_at is None else _until(one.due_at),
                channel=one.channel,
                message=one.message,
                rule=one.rule,
                by=one.source,
            )
            for one in ordered
            if one.message not in released or one.due_at
        ),
        *(_inbox_entries(item, now) if item.has_row else ()),
        *(
            TimelineEntry(at=times.to_rfc3339(one.at), what="written", detail=_written(one), channel="inbox")
            for one in writes
        ),
        *(entry for message in messages for entry in _message_entries(message, released.get(message.id))),
        *(
            TimelineEntry(
                at=times.to_rfc3339(one.at),
                what=one.what,
                detail=None if one.until is None else _until(one.until),
                channel="inbox" if one.what == "snoozed" else None,
            )
            for one in actions
        ),
    ]
    return sorted(entries, key=lambda entry: entry.at)


def _inbox_entries(item: SentItem, now: int) -> Iterator[TimelineEntry]:
    notification = item.notification
    expires_at = notification.expires_at
    has_expired = expires_at is not None and times.milliseconds(expires_at) <= now
    happened = {
        "created": notification.created_at,
        "edited": times.to_rfc3339_or_null(item.edited_at),
        "seen": notification.seen_at,
        "read": notification.read_at,
        "archived": notification.archived_at,
        "expired" if has_expired else "expires": expires_at,
    }
    for what, at in happened.items():
        if at is not None:
            yield TimelineEntry(at=at, what=what, channel="inbox")
    if notification.acted is not None:
        yield TimelineEntry(at=notification.acted.at, what="acted", detail=notification.acted.key, channel="inbox")


def _written(write: NotificationWrite) -> str:
    recipients = f" of {write.recipients:,} recipients" if write.recipients > 1 else ""
    connections = "1 connection" if write.connections == 1 else f"{write.connections:,} connections"
    return f"to {connections}{recipients} on node {write.node}"


def _message_entries(message: StoredMessage, skipped: NewDecision | None) -> Iterator[TimelineEntry]:
    """Yield the entries of a message. `skipped` is the decision that ended it at its release."""
    if message.state not in NEVER_DUE and message.state != "held":
        # After a failed round or a retry, `due_at` is later than the first attempt. Unless the message was held, the first
        # attempt followed its creation immediately.
        due_at = message.due_at
        if message.attempts and (first := times.milliseconds(message.attempts[0].at)) < due_at:
            due_at = message.created_at if first - message.created_at < SOON_MS else first
        yield _entry(message, due_at, "queued")
    for attempt in message.attempts:
        parts = (attempt.provider, attempt.outcome, attempt.code, attempt.response)
        detail = " ".join(part for part in parts if part)
        yield _entry(message, times.milliseconds(attempt.at), "attempt", detail=detail)
    if message.state == "queued" and message.attempts:
        yield _entry(message, message.due_at, "scheduled", detail=NEXT_ATTEMPT)
    if message.state in OPEN_STATES:
        return
    if skipped is not None:
        yield _entry(message, skipped.decided_at, message.state, rule=skipped.rule, by=skipped.source)
        return
    ended_at = times.milliseconds(message.attempts[-1].at) if message.attempts else message.due_at
    yield _entry(message, ended_at, message.state, detail=message.reason)


def _entry(
    message: StoredMessage,
    at: int,
    what: str,
    *,
    detail: str | None = None,
    rule: str | None = None,
    by: str | None = None,
) -> TimelineEntry:
    return TimelineEntry(
        at=times.to_rfc3339(at),
        what=what,
        detail=detail,
        channel=message.channel,
        message=message.id,
        rule=rule,
        by=by,
    )


def _until(at: int) -> str:
    return f"until {times.to_rfc3339(at).isoformat(timespec='seconds').replace('+00:00', 'Z')}"
