"""Changes of a recipient's own preferences, published to its connections and to webhooks."""

from collections.abc import Callable

import msgspec

from bellcast.engines import Engines
from bellcast.kernel.errors import NotFound, Unavailable
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.preferences.types import Preferences, PreferencesChanged
from bellcast.recipients.types import RecipientOfLink

# Attempts of a change, which merges into the stored preferences. Of concurrent changes, one succeeds in each round.
MAX_CHANGE_ROUNDS = 100


async def change_preferences(
    engines: Engines,
    tenant: str,
    key: str,
    change: Callable[[bytes | None], Preferences],
    link: RecipientOfLink | None = None,
) -> tuple[Preferences, int]:
    """Replace a recipient's own preferences with the result of a function of them; the recipient need not exist yet.
    Return them, and the time of the change (UTC milliseconds). By a link, raises NotFound if its recipient does not
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
            tenant, key, document, now, switches_inbox=switches, events=events, before=before or b"", link=link
        )
        if is_written is None:
            raise NotFound("This link is no longer valid.")
        if is_written:
            engines.router.forget()
            engines.router.messages_added()
            await engines.broker.publish(PreferencesChanged(tenant, key, preferences))
            return preferences, now
    raise Unavailable("The preferences are being changed by too many requests.")
