"""Changes of a recipient's own preferences, published to its connections and to webhooks, and of the defaults."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from bellcast.documents.store import Documents
from bellcast.documents.types import MAX_CHANGE_ROUNDS, MAX_OBJECT_KEY
from bellcast.engines import Engines
from bellcast.inbox.types import NO_TYPE, NotificationType
from bellcast.kernel import validation
from bellcast.kernel.clock import request_time
from bellcast.kernel.errors import FieldError, NotFound, Unavailable
from bellcast.kernel.limits import Limits
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.preferences.types import (
    DEFAULTS_KEY,
    DEFAULTS_KIND,
    MAX_ENTRIES,
    Preferences,
    PreferencesChanged,
    decode,
    name_errors,
)
from bellcast.recipients.types import RecipientOfLink

# Unknown workflows in one error. Each is a query, and a recipient's own request may name any.
SHOWN_UNKNOWN = 10


def errors(value: Preferences, before: Preferences, types: Mapping[str, NotificationType]) -> validation.FieldErrors:
    """Yield the errors of preferences that replace others, given the rules of the types."""
    for field in ("types", "workflows", "digest", "muted"):
        # Links in e-mails may have added more: the other preferences must stay changeable.
        if len(getattr(value, field)) > max(MAX_ENTRIES, len(getattr(before, field))):
            yield FieldError(field, f"must have at most {MAX_ENTRIES} entries")
    for name, until in value.muted.items():
        if until is not True:
            yield from validation.moment(f"muted.{name[:100]}", until)
    # Switches that turn off a required channel. Those that were stored before the type required it may stay: they have no
    # effect.
    for name, switches in value.types.items():
        rules, stored = types.get(name, NO_TYPE), before.types.get(name, {})
        for channel, is_on in switches.items():
            if is_on not in (True, stored.get(channel)) and rules.requires(channel):
                yield FieldError(f"types.{name[:100]}.{channel}", "is required and cannot be switched off")


async def check_workflows(
    switches: object, before: bytes | None, limits: Limits, find: Callable[[str], Awaitable[object]]
) -> None:
    """Raise Invalid for unknown workflows, which `find` does not return, unless the previous document names them: they may
    have been deleted since. The limits of Preferences refuse names that no workflow can have."""
    if not isinstance(switches, dict):
        return
    known = decode(before).workflows
    unknown: list[FieldError] = []
    for name, channels in switches.items():
        if channels is None or name in known or any(name_errors("workflows", name, MAX_OBJECT_KEY, limits)):
            continue
        if await find(name) is None:
            unknown.append(FieldError(f"workflows.{name}", "names an unknown workflow"))
        if len(unknown) == SHOWN_UNKNOWN:
            break
    validation.check(unknown)


async def change_preferences(
    engines: Engines,
    tenant: str,
    key: str,
    change: Callable[[bytes | None], Preferences],
    link: RecipientOfLink | None = None,
    *,
    is_own: bool = False,
) -> tuple[Preferences, int]:
    """Replace a recipient's own preferences with the result of a function of them; the recipient need not exist yet.
    Return them, and the time of the change (UTC milliseconds). If the request `is_own`, raises SessionRevoked if the recipient was
    erased after its session was checked. By a link, raises NotFound if its recipient does not
    exist, or was erased after the link was issued."""
    table = OwnPreferencesTable(engines.db)
    for _ in range(MAX_CHANGE_ROUNDS):
        before = (await table.get(tenant, key)).document
        preferences = change(before)
        changed = {"recipient": key, "preferences": msgspec.to_builtins(preferences)}
        events = await engines.webhooks.events(tenant, "preferences.changed", [changed])
        document, switches = msgspec.json.encode(preferences), preferences.switches_inbox
        now = engines.clock.now()
        is_written = await table.put(
            tenant,
            key,
            document,
            now,
            began=request_time(engines.clock),
            switches_inbox=switches,
            events=events,
            before=before or b"",
            link=link,
            is_own=is_own,
        )
        if is_written is None:
            raise NotFound("This link is no longer valid.")
        if is_written:
            engines.router.forget()
            engines.router.wake_jobs()
            await engines.broker.publish(PreferencesChanged(tenant, key, preferences))
            return preferences, now
    raise Unavailable("The preferences are being changed by too many requests.")


async def change_defaults(
    engines: Engines, tenant: str, change: Callable[[bytes | None], Awaitable[Preferences]], *, is_dry_run: bool
) -> Preferences:
    """Replace the defaults of a tenant or the project with the result of a function of them, and return it."""
    documents = Documents(engines.db)
    for _ in range(MAX_CHANGE_ROUNDS):
        stored = await documents.get(DEFAULTS_KIND, tenant, DEFAULTS_KEY)
        before = None if stored is None else stored.body
        preferences = await change(before)
        if is_dry_run:
            return preferences
        body, now = msgspec.json.encode(preferences), request_time(engines.clock, before)
        if await documents.change(DEFAULTS_KIND, tenant, DEFAULTS_KEY, before, body, now):
            engines.router.forget()
            return preferences
    raise Unavailable("The defaults are being changed by too many requests.")


async def delete_defaults(engines: Engines, tenant: str, check: Callable[[Preferences], None]) -> bool:
    """Delete the defaults of a tenant or the project that pass the check; return whether there were any."""
    documents, now = Documents(engines.db), engines.clock.now()
    while (stored := await documents.get(DEFAULTS_KIND, tenant, DEFAULTS_KEY)) is not None:
        check(decode(stored.body))
        if await documents.change(DEFAULTS_KIND, tenant, DEFAULTS_KEY, stored.body, None, now):
            engines.router.forget()
            return True
    return False
