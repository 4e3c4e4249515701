"""Parameters of lists: `limit`, `from`, `to` and `after`, the cursor of a position. Only the inbox, the events of a topic and the
verification of the audit log have other limits."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar
from urllib.parse import quote, unquote

import msgspec
from msgspec import Meta, Struct

from bellcast.kernel import ids, times
from bellcast.kernel.db.lists import ANY_TIME, CreatedRange
from bellcast.kernel.errors import BadRequest
from bellcast.kernel.field_limits import ANY_TENANT
from bellcast.kernel.http import MAX_APP_PAGE_ROWS, MAX_PAGE_ROWS
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.times import Moment

T = TypeVar("T")

ListLimit = Annotated[int, Meta(ge=1, le=MAX_PAGE_ROWS)]
AppListLimit = Annotated[int, Meta(ge=1, le=MAX_APP_PAGE_ROWS)]
# UTC milliseconds and an id.
MOMENT = re.compile(r"([0-9]{1,15})~(.+)")
# The parameter `after` of a list by time and id.
AfterMoment = Annotated[str, Meta(extra_json_schema={"pattern": f"^({MOMENT.pattern})?$"})]
WRONG = "`after` is not a cursor of this list: use `next` of a page."


class TimeRangeQuery(Struct, frozen=True, kw_only=True):
    """Selects items of a tenant that were created at `from` or later, and before `to`."""

    tenant: Annotated[str | None, ANY_TENANT] = None
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")

    @property
    def created(self) -> CreatedRange:
        """The range of creation times."""
        return created(self.start, self.end)

    @property
    def one_tenant(self) -> str | None:
        """The tenant; None for all, in lists without a default tenant."""
        return None if self.tenant == EVERY_TENANT else self.tenant

    def includes(self, created_at: int) -> bool:
        """True if an item that was created then is in the range."""
        return self.created.since <= created_at < self.created.until


class ShortListQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of a short list, which is read as a whole, after a name or an id."""

    limit: ListLimit = 200
    after: str = ""


def created(start: Moment | None, end: Moment | None) -> CreatedRange:
    """Return the range of the filters `from` and `to`."""
    return CreatedRange(
        ANY_TIME.since if start is None else max(0, times.milliseconds(start)),
        ANY_TIME.until if end is None else max(0, times.milliseconds(end)),
    )


def split(rows: Sequence[T], limit: int, position: Callable[[T], str]) -> tuple[list[T], str | None]:
    """Return the items of a page and the position of the next one, None on the last page. One more than `limit` items
    must have been read."""
    shown = list(rows[:limit])
    return shown, position(shown[-1]) if len(rows) > limit else None


def item_id(after: str | None) -> str | None:
    """Return the id of a position in a list by id, None for its beginning. Raises BadRequest."""
    if after and not ids.is_id(after):
        raise BadRequest(WRONG)
    return after or None


def of_moment(at: int, id: str) -> str:
    """Return the position of an item by its time (UTC milliseconds) and its id."""
    return f"{at}~{id}"


def moment(after: str) -> tuple[int, str]:
    """Return the time and the id of a position. Raises BadRequest."""
    found = MOMENT.fullmatch(after)
    if found is None:
        raise BadRequest(WRONG)
    return int(found[1]), found[2]


def of_key(tenant: str, key: str, *, is_in_every: bool) -> str:
    """Return the position of an item by its key, and in a list of all tenants also by its tenant."""
    return f"{quote(tenant, safe='')}/{key}" if is_in_every else key


def key(tenant: str, after: str) -> tuple[str, str]:
    """Return the tenant and the key of a position in the list of a tenant, or of all (`*`). Raises BadRequest."""
    if tenant != EVERY_TENANT:
        return tenant, after
    owner, slash, name = after.partition("/")
    if not slash and after:
        raise BadRequest(WRONG)
    return unquote(owner), name
