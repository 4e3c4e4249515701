"""Changes of a recipient's own preferences, published to its connections and to webhooks."""

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from bellcast.context import Context
from bellcast.kernel.errors import NotFound, Unavailable
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.preferences.types import Preferences, PreferencesChanged
from bellcast.recipients.types import RecipientOfLink

# Attempts of a change, which merges into the stored preferences. Of concurrent changes, one succeeds in each round.
MAX_CHANGE_ROUNDS = 100


async def change_preferences(
    engines: Context, tenant: str, key: str, change: Callable[[bytes | None], Preferences]
) -> tuple[Preferences, int]:
    """Replace a recipient's own preferences with the result of a function of them; the recipient need not exist yet.
    Return them, and the time of the change (UTC milliseconds)."""
    write = partial(OwnPreferencesTable(engines.db).put, tenant, key)
    return await _change_preferences(engines, tenant, key, change, write)


async def change_preferences_by_link(
    engines: Context, link: RecipientOfLink, change: Callable[[bytes | None], Preferences]
) -> tuple[Preferences, int]:
    """Replace the preferences of a link's recipient with the result of a function of them. Return them, and the time of
    the change (UTC milliseconds). Raises NotFound if the recipient does not exist, or was erased after the link was
    issued."""
    write = partial(OwnPreferencesTable(engines.db).put_by_link, link)
    return await _change_preferences(engines, link.tenant, link.recipient, change, write)


async def _change_preferences(
    engines: Context,
    tenant: str,
    key: str,
    change: Callable[[bytes | None], Preferences],
    write: Callable[..., Awaitable[bool | None]],
) -> tuple[Preferences, int]:
    for _ in range(MAX_CHANGE_ROUNDS):
        stored = await OwnPreferencesTable(engines.db).get(tenant, key)
        before = None if stored is None else stored.document
        preferences = change(before)
        changed = {"recipient": key, "preferences": msgspec.to_builtins(preferences)}
        events = await engines.webhooks.events(tenant, "preferences.changed", [changed])
        document, switches = msgspec.json.encode(preferences), preferences.switches_inbox
        now = engines.clock.now()
        is_written = await write(document, now, switches_inbox=switches, events=events, before=before or b"")
        if is_written is None:
            raise NotFound("This link is no longer valid.")
        if is_written:
            engines.router.forget()
            engines.router.messages_added()
            await engines.broker.publish(PreferencesChanged(tenant, key, preferences))
            return preferences, now
    raise Unavailable("The preferences are being changed by too many requests.")
