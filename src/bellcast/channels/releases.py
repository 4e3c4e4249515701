"""Decide again about a held message when it is due, because preferences, addresses and suppressions may have changed, and
queue messages on request: those that failed, and simulated ones."""

from msgspec.structs import replace

from bellcast.channels import addresses, decision_inputs
from bellcast.channels.catalog import Catalog
from bellcast.channels.store.messages import Messages
from bellcast.channels.store.suppressions import Suppressions
from bellcast.channels.types import (
    NO_CONTENT,
    RETRYABLE_STATES,
    MessageUpdate,
    NewDecision,
    StoredMessage,
    with_outcome,
)
from bellcast.engines import Engines
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import Conflict
from bellcast.preferences.decision import AddressProblem, Decision
from bellcast.recipients.store import Recipients

# The reason stored with a queued message that was simulated before.
RELEASED = "released"
# Channels in which a recipient has one address.
SINGLE_ADDRESS = ("email", "sms")


async def decide(db: Engine, catalog: Catalog, message: StoredMessage, now: int) -> StoredMessage | MessageUpdate:
    """Return the held message with the recipient's current address if it may be sent now, else the update that ends it
    or holds it again."""
    workflow = None if message.run is None else await Messages(db).workflow_of(message.run)
    inputs = await decision_inputs.read(
        db,
        catalog,
        message.tenant,
        message.type,
        [message.recipient],
        (message.channel,),
        workflow,
    )
    profile = inputs.profile(message.recipient)
    is_digest_due = message.reason == "digest"
    # A due digest does not wait for the next one.
    is_in_time = is_digest_due or message.digest is not None
    decision = inputs.decide(profile, message.channel, message.priority, now, is_digest_due=is_in_time)
    if decision.outcome == "send":
        # A new e-mail address or number replaces the old one; a removed device or chat is not replaced.
        current = inputs.addresses(profile, message.channel)
        if message.address in current:
            return message
        if message.channel in SINGLE_ADDRESS and current:
            return replace(message, address=current[0])
        return MessageUpdate(message=with_outcome(message, state="cancelled", reason="no_address"))
    if decision.outcome == "hold":
        # Quiet hours can follow the time of a digest, but a digest is due only once.
        reason = "digest" if is_digest_due else decision.rule
        changed = with_outcome(message, state="held", reason=reason, due_at=decision.at or now)
    else:
        state = "suppressed" if decision.rule == "suppressed" else "cancelled"
        changed = with_outcome(message, state=state, reason=decision.rule)
    return MessageUpdate(message=changed, decision=_record(changed, decision, now))


async def recheck(db: Engine, message: StoredMessage, now: int) -> StoredMessage | MessageUpdate:
    """Return an attempted message, a retried one with the address that its recipient has now if its channel has one
    address, or the update that ends it if its address was suppressed or removed."""
    rule: AddressProblem | None = None
    if not message.rounds and message.channel in SINGLE_ADDRESS:
        profile = (await Recipients(db).profiles(message.tenant, [message.recipient])).get(message.recipient)
        # A test of a template is sent to an operator, who may be a recipient without an address.
        if profile is not None and (message.notification is not None or message.digest is not None):
            rule = addresses.problem(profile, message.channel, frozenset())
            message = replace(message, address=next(iter(addresses.usable(profile, message.channel)), message.address))
    if rule is None and await Suppressions(db).find(message.tenant, [(message.channel, message.address)]):
        rule = "suppressed"
    if rule is None:
        return message
    ended = with_outcome(message, state="suppressed" if rule == "suppressed" else "cancelled", reason=rule)
    return MessageUpdate(message=ended, decision=_record(ended, Decision("skip", rule, None, None), now))


async def retry(engines: Engines, message: StoredMessage, *, is_dry_run: bool) -> None:
    """Queue a message that failed or bounced again, or its digest. Raises Conflict."""
    if message.state not in RETRYABLE_STATES:
        raise Conflict(f"Only messages that failed or bounced can be retried; this one is {message.state}.")
    if message.content == NO_CONTENT:
        raise Conflict(
            "This message has no content, because its template could not be rendered: correct the template or the data, "
            "then send the notification again."
        )
    if is_dry_run:
        return
    id = message.digest or message.id
    if not await Messages(engines.db).retry(message.tenant, [id], engines.clock.now()):
        raise Conflict("This message was retried in the meantime, or its notification was recalled.")
    engines.router.wake_jobs()


async def release(engines: Engines, message: StoredMessage, *, is_dry_run: bool) -> None:
    """Queue a simulated message, or its digest, for its channel's providers. Raises Conflict."""
    if message.state != "simulated":
        raise Conflict(f"Only simulated messages can be released; this one is {message.state}.")
    if message.reason is not None:
        raise Conflict("The notification of this message was recalled.")
    if is_dry_run:
        return
    if not await Messages(engines.db).release(message.tenant, message.digest or message.id, engines.clock.now()):
        raise Conflict("This message was released in the meantime, or its notification was recalled.")
    engines.router.wake_jobs()


def is_held(message: StoredMessage) -> bool:
    """True for a message that was held and not attempted yet, or was simulated before its release."""
    has_waited = message.due_at > message.created_at and not message.rounds and not message.attempts
    return has_waited or message.reason == RELEASED


def _record(message: StoredMessage, decision: Decision, now: int) -> NewDecision | None:
    if message.notification is None:
        return None
    place = message.tenant, message.notification, message.recipient, message.channel
    return decision_inputs.record(decision, place, now, message)
