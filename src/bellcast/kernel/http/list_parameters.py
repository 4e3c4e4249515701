"""Parameters of lists: `limit`, `from` and `to`. Only the inbox, the events of a topic and the verification of the audit log have
other limits."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bellcast.kernel import times
from bellcast.kernel.db.lists import ANY_TIME, CreatedRange
from bellcast.kernel.field_limits import ANY_TENANT
from bellcast.kernel.http.pages import MAX_APP_PAGE_ROWS, MAX_PAGE_ROWS
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.times import Moment

ListLimit = Annotated[int, Meta(ge=1, le=MAX_PAGE_ROWS)]
AppListLimit = Annotated[int, Meta(ge=1, le=MAX_APP_PAGE_ROWS)]


class TimeRangeQuery(Struct, frozen=True, kw_only=True):
    """Selects items of a tenant that were created at `from` or later, and before `to`."""

    tenant: Annotated[str | None, ANY_TENANT] = None
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")

    @property
    def created_since(self) -> int:
        """Start in UTC milliseconds; 0 without one."""
        return 0 if self.start is None else max(0, times.milliseconds(self.start))

    @property
    def created_before(self) -> int | None:
        """End in UTC milliseconds."""
        return None if self.end is None else max(0, times.milliseconds(self.end))

    @property
    def one_tenant(self) -> str | None:
        """The tenant; None for all, in lists without a default tenant."""
        return None if self.tenant == EVERY_TENANT else self.tenant

    def includes(self, created_at: int) -> bool:
        """True if an item that was created then is in the range."""
        return self.created_since <= created_at and (self.created_before is None or created_at < self.created_before)


def created(start: Moment | None, end: Moment | None) -> CreatedRange:
    """Return the range of the filters `from` and `to`."""
    return CreatedRange(
        ANY_TIME.since if start is None else max(0, times.milliseconds(start)),
        ANY_TIME.until if end is None else max(0, times.milliseconds(end)),
    )
