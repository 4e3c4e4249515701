"""The last event of each cache topic."""

from msgspec import Struct

from bellcast.kernel.db.script import Script, Statement
from bellcast.kernel.db.table import StoreTable, read, write


class LastEvent(Struct, frozen=True):
    """The last event of a topic: its name, its data as text, and its time (UTC milliseconds)."""

    name: str
    data: str
    at: int


class LastEvents(StoreTable):
    """The last event of each cache topic."""

    @write()
    def save(self, tenant: str, topic: str, last: LastEvent) -> Script[None]:
        """Replace the last event of a topic."""
        params = {"tenant": tenant, "topic": topic, "name": last.name, "data": last.data, "at": last.at}
        yield Statement("last_event_keep", params)

    @read
    def get(self, tenant: str, topic: str, since: int) -> Script[LastEvent | None]:
        """Return the last event if its time is `since` (UTC milliseconds) or later."""
        params = {"tenant": tenant, "topic": topic, "since": since}
        found = yield Statement("last_event", params)
        return LastEvent(*found[0]) if found else None

    @write()
    def delete_older(self, before: int) -> Script[None]:
        """Delete events older than a time (UTC milliseconds)."""
        yield Statement("last_event_forget", {"before": before})
