"""Lists that are read in pages, by the key of their rows: of one tenant, of several, or of all."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from msgspec import Struct

from bellcast.kernel import ids
from bellcast.kernel.db.script import AFTER_ALL_KEYS, Params, Row, Script, Statement
from bellcast.kernel.ids import NEWEST

T = TypeVar("T")
U = TypeVar("U")
RowKey: TypeAlias = tuple[str, ...]

# Maximum rows that one request examines. SQLite takes about 80 ms; causes of failures 0.5 s of CPU time if all reasons
# differ, in pages between which other requests run.
MAX_SCANNED_ROWS = 20_000


class CreatedRange(NamedTuple):
    """A range of creation times (UTC milliseconds): from `since` to before `until`."""

    since: int
    until: int


ANY_TIME = CreatedRange(0, 2**62)

# In a pattern of LIKE.
WILDCARD = re.compile(r"[\\%_]")


def containing(text: str | None) -> dict[str, str | None]:
    """Return the filter `text` of a list, for rows that contain a text; without one, for all."""
    return {"text": "%" + WILDCARD.sub(r"\\\g<0>", text) + "%" if text else None}


class ListTotal(Struct, frozen=True):
    """The total number of items of all pages. Without `exact`, `value` is a lower bound."""

    value: int
    exact: bool


class RecentCount(NamedTuple):
    """A number of recent rows, the time of the last one (UTC milliseconds), and how many of them failed."""

    value: int
    last_at: int | None
    failed: int = 0

    def plus(self, other: "RecentCount") -> "RecentCount":
        last_at = max(self.last_at or 0, other.last_at or 0) or None
        return RecentCount(self.value + other.value, last_at, self.failed + other.failed)


NONE_RECENT = RecentCount(0, None)
# By the tenant of the rows, None for all that were counted, and by the key of the object that they belong to.
RecentCounts: TypeAlias = Mapping[tuple[str | None, str], RecentCount]

# Rows examined at first, which take 2 ms; for most filters, they contain a full page.
FIRST_SCANNED_ROWS = 1_000
# Maximum count: counting reads one index entry per item, which takes some milliseconds.
MAX_COUNTED_ITEMS = 20_000


class ListQuery(Struct, frozen=True, kw_only=True):
    """A page of a list: at most `limit` items after the key `after`, created in a time range.

    `tenants` are the owners of its items; None means all tenants. Only keys that begin with `prefix` are listed: in one tenant
    they are a range, among those of all they are compared. `filters` has values by the names of the list's filters, and
    of the parameters of its WHERE.
    With `is_counted`, the first page has a total."""

    tenants: Sequence[str] | None = None
    after: RowKey | None = None
    limit: int = 100
    prefix: str = ""
    created: CreatedRange = ANY_TIME
    filters: Mapping[str, Any] = {}
    is_counted: bool = False


class ListPage(NamedTuple, Generic[T]):
    """Items of a list. `next` is the key of the last one if more follow. If the page was not full when its last row was
    examined, `scanned_until` is the key of that row. The first page has a total."""

    items: list[T]
    next: RowKey | None = None
    scanned_until: RowKey | None = None
    total: ListTotal | None = None

    def of(self, items: list[U]) -> "ListPage[U]":
        """Return the page with other items, such as those that clients see."""
        return ListPage(items, self.next, self.scanned_until, self.total)


class KeysetList(Struct, Generic[T], frozen=True):
    """A list of a `.sql` file: the columns of its key, and the function that converts its rows. A key that begins with the
    tenant has the tenants of a list one after the other; other keys mix them.

    With a filter, a page examines at most MAX_SCANNED_ROWS rows, unless an index of one tenant's rows begins with it. Of these
    `leads`, the first that is given is used."""

    name: str
    key: tuple[str, ...]
    convert: Callable[[Row], T]
    is_newest_first: bool = False
    leads: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()

    def page(self, query: ListQuery) -> Script[ListPage[T]]:
        """Read a page, with the total if it is the first."""
        found, end = yield from self._rows(query)
        shown, has_next, total = found[: query.limit], len(found) > query.limit, None
        if query.is_counted and query.after is None:
            total = ListTotal(len(shown) + has_next, exact=not has_next and end is None)
            if has_next:
                total = yield from self._total(query)
        following = shown[-1][: len(self.key)] if has_next else None
        return ListPage([self.convert(row) for row in shown], following, end, total)

    def _rows(self, query: ListQuery) -> Script[tuple[list[Row], RowKey | None]]:
        """Return the rows of a page and one more if more follow, and the last examined key if the page is not full."""
        if query.tenants is None or len(query.tenants) == 1:
            tenant = None if query.tenants is None else query.tenants[0]
            return (yield from self._scan(query, tenant, query.after, query.limit + 1))
        found: list[Row] = []
        if self.key[0] == "tenant":
            after = query.after or ("",)
            for tenant in sorted(one for one in query.tenants if one >= after[0]):
                start = query.after if tenant == after[0] else None
                some, end = yield from self._scan(query, tenant, start, query.limit + 1 - len(found))
                found += some
                if end is not None or len(found) > query.limit:
                    return found, end
            return found, None
        parts = []
        for tenant in query.tenants:
            parts.append((yield from self._scan(query, tenant, query.after, query.limit + 1)))
        return merge(parts, lambda row: row[: len(self.key)], query.limit, is_newest_first=self.is_newest_first)

    def _scan(
        self, query: ListQuery, tenant: str | None, after: RowKey | None, limit: int
    ) -> Script[tuple[list[Row], RowKey | None]]:
        """Read rows of a tenant, or of all. If the filters left out so many that the limit was not reached, return the last
        examined key too."""
        name, params = self._statement(query, tenant, after)
        params["limit"] = limit
        if not self._is_filtered(query, tenant):
            return (yield Statement(name, params)), None
        found, last = [], []
        for examined in (FIRST_SCANNED_ROWS, MAX_SCANNED_ROWS):
            skipped = min(examined, MAX_SCANNED_ROWS) - 1
            last = yield Statement(f"{name}_last", {**params, "skipped": skipped}, heavy=True)
            found = yield Statement(name, params | self._until(last, tenant), heavy=True)
            if not last or len(found) >= limit:
                return found, None
        owner = () if tenant is None or self.key[0] != "tenant" else (tenant,)
        return found, (*owner, *last[0])

    def _total(self, query: ListQuery) -> Script[ListTotal]:
        """Count the rows; with filters, those that match among the rows that a page may examine."""
        value = 0
        for tenant in query.tenants if query.tenants is not None else (None,):
            name, params = self._statement(query, tenant, None)
            params["limit"], counted = MAX_COUNTED_ITEMS + 1 - value, "total"
            last: Sequence[Row] = ()
            if self._is_filtered(query, tenant):
                examined = {**params, "skipped": MAX_SCANNED_ROWS - 1}
                last = yield Statement(f"{name}_last", examined, heavy=True)
                params, counted = params | self._until(last, tenant), "matching"
            ((number,),) = yield Statement(f"{name}_{counted}", params, heavy=True)
            value += number
            if last or value > MAX_COUNTED_ITEMS:
                return ListTotal(min(value, MAX_COUNTED_ITEMS), exact=False)
        return ListTotal(value, exact=True)

    def _until(self, last: Sequence[Row], tenant: str | None) -> dict[str, Any]:
        """Return the bound of a statement that examines rows up to a key."""
        return {f"until_{column}": one for row in last for column, one in zip(self._columns(tenant), row, strict=True)}

    def _statement(self, query: ListQuery, tenant: str | None, after: RowKey | None) -> tuple[str, dict[str, Any]]:
        """Return the name of a tenant's statement, or of the one of all, and its parameters but the limit."""
        columns, created = self._columns(tenant), query.created
        bounds: dict[str, Any] = {"after": after or ("",) * len(self.key), "until": (AFTER_ALL_KEYS,) * len(self.key)}
        if query.prefix and (tenant is not None or self.key[0] != "tenant"):
            # Below all keys that begin with the prefix, and above practically all others below them.
            last = ord(query.prefix[-1]) - 1
            before = "\ud7ff" if 0xD800 <= last <= 0xDFFF else chr(last)
            bounds = {
                "after": (max(bounds["after"][-1], query.prefix[:-1] + before + AFTER_ALL_KEYS),),
                "until": (query.prefix + AFTER_ALL_KEYS,),
            }
        if self.is_newest_first:
            range = ids.id_range(after[0] if after else NEWEST, *created)
            bounds = {"after": (range["before"],), "until": (range["since"],)}
        keys = {
            f"{name}_{column}": one
            for name, key in bounds.items()
            for column, one in zip(columns, key[-len(columns) :], strict=True)
        }
        scope = "" if tenant is None else f"_of_{self._lead(query, tenant) or 'tenant'}"
        prefixed = {"first": query.prefix, "last": query.prefix + AFTER_ALL_KEYS}
        filters = {**dict.fromkeys((*self.leads, *self.filters)), **query.filters, **prefixed, **created._asdict()}
        return f"{self.name}{scope}", {**filters, **keys, "tenant": tenant}

    def _is_filtered(self, query: ListQuery, tenant: str | None) -> bool:
        """Return whether rows are compared one by one: with a filter other than the lead of their index, with the creation time,
        unless it is part of the key, or with a prefix among the keys of all tenants."""
        lead = self._lead(query, tenant)
        return (
            any(query.filters.get(name) is not None for name in (*self.leads, *self.filters) if name != lead)
            or (query.created != ANY_TIME and not self.is_newest_first)
            or (bool(query.prefix) and tenant is None and self.key[0] == "tenant")
        )

    def _lead(self, query: ListQuery, tenant: str | None) -> str | None:
        return None if tenant is None else next((one for one in self.leads if query.filters.get(one) is not None), None)

    def _columns(self, tenant: str | None) -> tuple[str, ...]:
        return self.key if tenant is None else tuple(column for column in self.key if column != "tenant")


def merge(
    parts: Sequence[tuple[list[T], RowKey | None]], key_of: Callable[[T], RowKey], limit: int, *, is_newest_first: bool
) -> tuple[list[T], RowKey | None]:
    """Return the items of several searches in order, and the last key that all of them have examined if there are not more
    items than `limit`; None if all have ended. A part is the items of a search and its last examined key."""
    first = max if is_newest_first else min
    end = first((key for _, key in parts if key is not None), default=None)
    # Beyond the end of one search, its items may be missing.
    found = [one for items, _ in parts for one in items if end is None or first(key_of(one), end) == key_of(one)]
    found.sort(key=key_of, reverse=is_newest_first)
    return found, None if len(found) > limit else end


def recent(statement: str, since: int, tenants: Sequence[str] | None, most: int) -> Script[tuple[list[Row], bool]]:
    """Return the newest rows since a time (UTC milliseconds) of a statement, each with the number for which it stands first, at
    most `most` of all tenants or together of these, and whether these are all."""
    limit, found, is_exact = most // max(1, len(tenants or ())), list[Row](), True
    for tenant in (None,) if tenants is None else tenants:
        params = {"before": NEWEST, "since": ids.uuid7_floor(since), "most": limit, "tenant": tenant}
        rows = yield Statement(statement if tenant is None else f"{statement}_of_tenant", params, heavy=True)
        found += rows
        is_exact &= sum(row[0] for row in rows) < limit
    return found, is_exact


def recent_counts(statement: str, since: int, tenants: Sequence[str] | None) -> Script[tuple[RecentCounts, bool]]:
    """Like `recent`, with the number of rows by object."""
    rows, is_exact = yield from recent(statement, since, tenants, MAX_SCANNED_ROWS)
    counts = dict[tuple[str | None, str], RecentCount]()
    for number, tenant, key, *others in rows:
        for owner in (tenant, None):
            counts[owner, key] = RecentCount(number, *others).plus(counts.get((owner, key), NONE_RECENT))
    return counts, is_exact


# --- lists of other statements, whose filters examine a bounded number of rows


def by_id(name: str, params: Params) -> Script[tuple[Sequence[Row], str | None]]:
    """Run the statement `…_page`, bounded by the id that the statement `…_last` finds. Return its rows, newest first, and the last
    examined id if more may follow."""
    first = yield from newest(name, params, FIRST_SCANNED_ROWS)
    return first if first[1] is None else (yield from newest(name, params, MAX_SCANNED_ROWS))


def newest(name: str, params: Params, scanned: int) -> Script[tuple[Sequence[Row], str | None]]:
    """Like `by_id`, with one bound."""
    skipped = min(scanned, MAX_SCANNED_ROWS) - 1
    last = yield Statement(f"{name}_last", {**params, "skipped": skipped}, heavy=True)
    bound = last[0][0] if last else params["since"]
    found = yield Statement(f"{name}_page", {**params, "since": bound}, heavy=True)
    return found, bound if last and len(found) < params["limit"] else None


def count_by_id(name: str, params: Params) -> Script[ListTotal]:
    """Count with the statement `…_total`, bounded by the id that the statement `…_last` finds. The count is exact if there is no
    older row."""
    last = yield Statement(f"{name}_last", {**params, "skipped": MAX_SCANNED_ROWS - 1}, heavy=True)
    ((number,),) = yield Statement(
        f"{name}_total", {**params, "since": last[0][0] if last else params["since"]}, heavy=True
    )
    return ListTotal(int(number), exact=not last)
