"""What happened to a notification: its timeline, and plain sentences of why a recipient got it or did not get it through a channel.
Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from urllib.parse import quote
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import asdict, replace

from bellcast.channels.types import (
    OPEN_STATES,
    ChannelExplanation,
    DeliveryVerdict,
    Explanation,
    Fact,
    NewDecision,
    RecordedAction,
    SimulationCause,
    State,
    StoredMessage,
    SuggestedAction,
    TimelineEntry,
)
from bellcast.inbox.types.sends import SentItem
from bellcast.kernel import times
from bellcast.live.types import NotificationWrite
from bellcast.preferences.decision import Decision
from bellcast.preferences.types import CHANNELS, Channel

NAMES: dict[Channel, str] = {
    "inbox": "inbox item",
    "email": "e-mail",
    "sms": "text message",
    "push": "push notification",
    "chat": "chat message",
}
PLURALS: dict[Channel, str] = {
    "inbox": "inbox items",
    "email": "e-mails",
    "sms": "text messages",
    "push": "push notifications",
    "chat": "chat messages",
}
# The document that switches something off.
OWNERS = {
    "tenant": "the tenant's defaults switch off",
    "project": "the project's defaults switch off",
    "type": "its type switches off",
}
HOLDERS = {
    "recipient": "the recipient's",
    "tenant": "the tenant's",
    "project": "the project's",
}
# The verdict of a run that has failed or has not ended, by the verdict of its channels.
FAILED_RUN: dict[DeliveryVerdict, DeliveryVerdict] = {"delivered": "partly_delivered", "nothing_sent": "not_delivered"}
OPEN_RUN: dict[DeliveryVerdict, DeliveryVerdict] = {"delivered": "waiting", "nothing_sent": "waiting"}
ADDRESSES = {
    "no_address": "the recipient has no address for it",
    "invalid_address": "the recipient's address is not one: an e-mail address needs an @ and a domain, a phone number a + and the country",
    "suppressed": "the recipient's address is suppressed, after a bounce, a complaint or by hand",
}
# What needs a provider, and the setting with it. Browsers and chat webhooks need none.
PROVIDERS: dict[Channel, tuple[str, str]] = {
    "email": ("e-mails", "BELLCAST_EMAIL"),
    "sms": ("text messages", "BELLCAST_SMS"),
    "push": ("push notifications to this app", "BELLCAST_PUSH"),
    "chat": ("messages to `chat.telegram`", "BELLCAST_CHAT"),
}
ENDINGS: dict[State, str] = {
    "held": "waits until {at}",
    "queued": "is due at {at}",
    "sending": "is being sent",
    "sent": "was accepted by the provider {provider} at {at}; no delivery receipt has arrived",
    "delivered": "was delivered to {to}",
    "simulated": "was simulated, not sent",
    "bounced": "was refused for {to}: {reason}",
    "failed": "could not be delivered: {reason}",
    "suppressed": "was not sent, because {to} is suppressed",
    "cancelled": "was cancelled before it was sent: {reason}",
    "expired": "was not sent, because the notification expired first",
}
SECONDS = "%Y-%m-%d %H:%M:%S"  # the first attempts are 10 s and 30 s apart
# A queued message whose last attempt failed.
RETRIED = "could not be sent at {at}: {reason}. The next attempt is due at {next_at}"
CANCELLED = {
    "recalled": "the notification was recalled",
    "seen": "the recipient had seen the inbox item",
    "read": "the recipient had read the inbox item",
}


class SubjectNames(Struct, frozen=True):
    """The names in an explanation: that of the recipient, and that of the type of the notification, if it has one."""

    recipient: str
    type: str | None


def explain_now(decisions: Sequence[tuple[Channel, Decision]], about: SubjectNames, zone: ZoneInfo) -> Explanation:
    """Explain what would happen to a notification that is sent now."""
    explained = []
    for channel, decision in decisions:
        text, reason = f"The {NAMES[channel]} would be sent immediately", None
        if decision.outcome == "skip":
            reason = _reason(channel, decision.rule, decision.by, about)
            text = f"The {NAMES[channel]} would not be sent, because {reason}"
        elif decision.outcome == "hold":
            text = f"The {NAMES[channel]} would wait {_hold(decision.rule, decision.by, decision.at, zone)}"
        elif decision.rule == "required":
            text += " because its type requires it"
        explained.append(
            ChannelExplanation(
                channel=channel,
                outcome=decision.outcome,
                rule=decision.rule,
                by=decision.by,
                at=times.to_rfc3339_or_null(decision.at),
                text=f"{text}.",
                reason=reason,
            )
        )
    return joined(explained)


def explain_sent(
    decisions: Sequence[NewDecision], messages: Sequence[StoredMessage], about: SubjectNames, zone: ZoneInfo
) -> Explanation:
    """Explain the decisions for a notification and the results of its messages."""
    by_id = {message.id: message for message in messages}
    # A held message is decided again at its release: the last decision counts.
    last = {decision.channel: decision for decision in decisions}
    explained = []
    for decision in sorted(last.values(), key=lambda decision: CHANNELS.index(decision.channel)):
        message, reason = by_id.get(decision.message or ""), None
        if decision.outcome == "skip":
            reason = _reason(decision.channel, decision.rule, decision.source, about)
        explained.append(
            ChannelExplanation(
                channel=decision.channel,
                outcome=decision.outcome,
                rule=decision.rule,
                by=decision.source,
                at=times.to_rfc3339_or_null(decision.due_at),
                text=_did(decision, message, reason, zone),
                message=decision.message,
                state=None if message is None else message.state,
                provider=message.attempts[-1].provider if message is not None and message.attempts else None,
                reason=reason,
            )
        )
    return joined(explained)


# Why a run skipped a step before any rule was applied.
SKIPPED_BY_WORKFLOW = {"condition": "the condition of its step did not hold", "branch": "its branch was not taken"}


def explain_undecided(channel: Channel, reason: str | None) -> ChannelExplanation:
    """Explain a step that was skipped or failed before any rule was applied."""
    rule = reason if reason in SKIPPED_BY_WORKFLOW else None  # other reasons are error texts
    because = f"its step failed: {reason}" if rule is None else SKIPPED_BY_WORKFLOW[rule]
    text = f"The {NAMES[channel]} was not sent, because {because}."
    return ChannelExplanation(channel=channel, outcome="skip", rule=rule, by=None, at=None, text=text, reason=because)


def joined(channels: list[ChannelExplanation]) -> Explanation:
    """Combine explanations, and join their sentences."""
    results = {one.result for one in channels}
    verdict: DeliveryVerdict = "waiting" if results else "nothing_sent"
    if len(results) == 1:
        (verdict,) = results
    elif "delivered" in results:
        verdict = "partly_delivered"
    return Explanation(verdict=verdict, text=" ".join(one.text for one in channels), channels=channels)


def with_run(explanation: Explanation, run: str, *, is_failed: bool) -> Explanation:
    """Add that the run of the last notification failed or goes on: not everything has been delivered."""
    verdicts = FAILED_RUN if is_failed else OPEN_RUN
    action = SuggestedAction("Open the run.", "GET", f"/v1/runs/{run}")
    verdict = verdicts.get(explanation.verdict, explanation.verdict)
    return replace(explanation, verdict=verdict, actions=[*explanation.actions, action])


def with_actions(
    explanation: Explanation,
    recipient: str,
    type: str | None = None,
    *,
    simulated: Mapping[Channel, SimulationCause],
    messages: Collection[StoredMessage] = (),
) -> Explanation:
    """Add the requests that may change the outcomes of the channels, and name those without a provider."""
    key, channels, actions = quote(recipient, safe=""), [], []
    refused = {one.id for one in messages if one.attempts and one.attempts[-1].outcome == "permanent"}
    for one in explanation.channels:
        if one.message in refused and one.state == "failed" and one.channel != "push":
            text = "Correct the recipient's address, if the provider refused it."
            actions.append(SuggestedAction(text, "PATCH", f"/v1/recipients/{key}"))
        elif one.provider is not None and one.state in ("queued", "failed"):
            path = f"/v1/providers/{quote(one.provider, safe='')}/test"
            actions.append(SuggestedAction("Test the provider that did not accept the message.", "POST", path))
        if (action := _action(one, key, type)) is not None:
            actions.append(action)
        is_wanted = one.outcome != "skip" or one.rule in ADDRESSES
        waiting = () if one.channel in ("push", "chat") else (None, *OPEN_STATES)
        if is_wanted and one.state in ("simulated", *waiting):
            one = replace(one, simulated=simulated.get(one.channel))
        if one.simulated == "no_provider":
            name, setting = PROVIDERS[one.channel]
            hint = f"No provider delivers {name}, so they are only stored: set {setting}, or add a provider with `bellcast provider put`."
            one = replace(one, text=f"{one.text} {hint}", hint=hint)
            actions.append(SuggestedAction(f"Add a provider of {name}.", "PUT", f"/v1/providers/{one.channel}"))
        channels.append(one)
    return replace(joined(channels), facts=explanation.facts, actions=list(dict.fromkeys(actions)))


def _action(channel: ChannelExplanation, key: str, type: str | None) -> SuggestedAction | None:
    if channel.state == "failed" and channel.message is not None:
        return SuggestedAction("Retry the message.", "POST", f"/v1/messages/{channel.message}/retry")
    if channel.state in ("bounced", "suppressed") or channel.rule == "suppressed":
        return SuggestedAction("Find the suppressed address, and remove it from the list.", "GET", "/v1/suppressions")
    if channel.outcome == "send":
        return None
    if channel.rule in ("no_address", "invalid_address"):
        if channel.channel == "push":
            return SuggestedAction("Register a browser or an app.", "POST", f"/v1/recipients/{key}/push-endpoints")
        return SuggestedAction("Set the recipient's address.", "PATCH", f"/v1/recipients/{key}")
    if channel.by == "recipient" or channel.rule == "muted":
        return SuggestedAction("Change the recipient's preferences.", "PATCH", f"/v1/recipients/{key}/preferences")
    if channel.by == "type" and type is not None:
        return SuggestedAction("Change the notification type.", "PUT", f"/v1/types/{quote(type, safe='')}")
    if channel.by in ("tenant", "project"):
        return SuggestedAction(f"Change the {channel.by}'s default preferences.", "PATCH", "/v1/preference-defaults")
    return None


def _did(decision: NewDecision, message: StoredMessage | None, reason: str | None, zone: ZoneInfo) -> str:
    name = NAMES[decision.channel]
    if reason is not None:
        waited = "" if message is None else f"waited until {times.describe(message.due_at, zone)} and was then "
        return f"The {name} {waited or 'was '}not sent, because {reason}."
    if decision.channel == "inbox":
        return "The notification was put into the inbox."
    if decision.outcome == "hold":
        held = f"The {name} was held {_hold(decision.rule, decision.source, decision.due_at, zone)}"
        return f"{held}." if message is None or message.state == "held" else f"{held}. It {_ending(message, zone)}."
    return f"The {name} was routed." if message is None else f"The {name} {_ending(message, zone)}."


def _reason(channel: Channel, rule: str | None, by: str | None, about: SubjectNames) -> str:
    """Return why a channel was skipped, as the end of a sentence."""
    if rule in ADDRESSES:
        return ADDRESSES[rule]
    if rule == "muted":
        return f"this type or everything is muted for {about.recipient}"
    of = {"type": f" of the type {about.type}" if about.type else " of this type", "workflow": " of this workflow"}
    what = f"{PLURALS[channel]}{of.get(rule or '', '')}"
    if by == "recipient":
        return f"{what} are switched off for {about.recipient}"
    return f"{OWNERS.get(by or '', 'a preference switches off')} {what}"


def _hold(rule: str | None, by: str | None, at: int | None, zone: ZoneInfo) -> str:
    what = "digest" if rule == "digest" else "quiet hours"
    verb = "for" if rule == "digest" else "for the end of"
    until = "" if at is None else f", until {times.describe(at, zone)}"
    return f"{verb} {HOLDERS.get(by or '', 'the')} {what}{until}"


def _ending(message: StoredMessage, zone: ZoneInfo) -> str:
    last = message.attempts[-1] if message.attempts else None
    if last is not None and message.state == "queued":
        # The provider's own words; without a response, the kind of failure.
        response = " ".join(part for part in (last.code, last.response) if part).rstrip(".")
        return RETRIED.format(
            at=times.describe(times.milliseconds(last.at), zone, digits=SECONDS),
            reason=f"{last.provider}{' responded' if last.code else ':'} {response or f'{last.outcome} failure'}",
            next_at=times.describe(message.due_at, zone, digits=SECONDS),
        )
    at = times.milliseconds(last.at) if last is not None and message.state == "sent" else message.due_at
    reason = CANCELLED.get(message.reason or "", message.reason) if message.state == "cancelled" else message.reason
    return ENDINGS[message.state].format(
        at=times.describe(at, zone),
        provider=message.provider,
        to=message.address,
        reason=(reason or "no reason was given").rstrip("."),
    )


def facts_of(item: SentItem, entries: Sequence[TimelineEntry], about: SubjectNames) -> list[Fact]:
    """Return the timeline of a notification as facts, each with a text for readers."""
    shown, facts = item.notification, []
    for entry in entries:
        name = "" if entry.channel is None else NAMES[entry.channel]
        words = f"{name} {entry.what}".strip()
        if entry.what == "skipped" and entry.channel is not None:
            text = f"{name} not sent: {_reason(entry.channel, entry.rule, entry.by, about)}"
        elif entry.what == "held":
            text = f"{name} held {_hold(entry.rule, entry.by, None, times.UTC_ZONE)}, {entry.detail}"
        elif entry.rule == "required":
            text = f"{name} {entry.what}, because its type requires it"
        else:
            text = words if entry.detail is None else f"{words}: {entry.detail}"
        facts.append(Fact(**asdict(entry), notification=shown.id, title=shown.title, type=shown.type, text=text))
    return facts


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
        *(_write_entry(one) for one in writes),
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


def _write_entry(write: NotificationWrite) -> TimelineEntry:
    recipients = f" of {write.recipients:,} recipients" if write.recipients > 1 else ""
    connections = "1 connection" if write.connections == 1 else f"{write.connections:,} connections"
    detail = f"to {connections}{recipients} on node {write.node}"
    return TimelineEntry(at=times.to_rfc3339(write.at), what="written", detail=detail, channel="inbox")


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
