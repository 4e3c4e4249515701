"""Operations of a kind of object: a list, and objects that are read, written and deleted by their key.

A kind is declared once, as `Resource`. Its methods turn functions into operations: they read the request, call the function,
and answer. What is special about an object is in the function; what is not that plain is an operation of its own.
"""

import functools
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct

from bellcast.documents.store import ShortCache
from bellcast.documents.types import PROJECT
from bellcast.kernel import ids, times
from bellcast.kernel.db.lists import (
    NONE_RECENT,
    KeysetList,
    ListPage,
    ListQuery,
    ListTotal,
    RecentCount,
    RecentCounts,
    RowKey,
)
from bellcast.kernel.errors import BadRequest, Invalid, NotFound
from bellcast.kernel.http import MAX_APP_PAGE_ROWS, ASGIApp, entity_tags, list_parameters, request_body, responses
from bellcast.kernel.http.list_parameters import AppListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.operators.types import ROLES
from bellcast.rest import context, guards, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import ApiEndpoint, Method, Tag, operation
from bellcast.rest.tenants import TenantQuery

B = TypeVar("B")
Q = TypeVar("Q")
T = TypeVar("T")
P = TypeVar("P", bound=Struct)


KEY_PARTS = re.compile(r"\{(\w+):")
# Filters by keys of which each tenant has its own.
UNIQUE_IN_TENANT = ("recipient", "notification", "run", "trigger")


# Maximum characters of a text that is searched in a list: each row compares it at every place of its texts.
MAX_SEARCHED = 100
SearchedText = Annotated[str, Meta(max_length=MAX_SEARCHED)]

# Counts are repeated after this time: the lists of many operators read the store once.
RECENT_SECONDS, RECENT_CACHE_SIZE = 5.0, 20


class ObjectsQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of a list, in the order of its keys."""

    limit: AppListLimit = 100
    after: str | None = None


class DryRunQuery(TenantQuery, frozen=True, kw_only=True):
    """`dry_run` only validates."""

    dry_run: bool = False


class Listing(Struct, Generic[Q], frozen=True):
    """A request for a page of a list: its parameters, and the page of the store that they mean, without filters."""

    request: ApiRequest
    ctx: ApiContext
    query: Q
    list_query: ListQuery


class ResourceCall(Struct, Generic[B], frozen=True):
    """A call of an operation of one object, which reads or changes it: its tenant and key, and the body."""

    request: ApiRequest
    ctx: ApiContext
    tenant: str
    key: tuple[Any, ...]
    body: B
    is_dry_run: bool = False


ReadPage: TypeAlias = Callable[[Listing[Q]], Awaitable[ListPage[Any]]]
KeyOf: TypeAlias = Callable[[ApiRequest], str | tuple[Any, ...]]
# Returns the tenant and the key of the recipient of a session, unless it was revoked.
Session: TypeAlias = Callable[[ApiRequest], Awaitable[tuple[str, str]]]
# A function of one kind, which an operation calls.
RuleFunction: TypeAlias = Callable[[ResourceCall[Any]], Awaitable[T]]
Declared: TypeAlias = Callable[[RuleFunction[T]], ApiEndpoint]
# An object, whether it is new, and what the next write replaces, if it may depend on that.
Written: TypeAlias = tuple[T, bool] | tuple[T, bool, Any]


class Resource:
    """A kind of object. `name` is its plural, in paths and pages; `key_of` checks and returns the key in the path of
    one, a tuple if it has several parts, `tenant_of` the tenant of a request, and `unknown` is the error if there is no
    such object. With a `session`, the tenant and the first part of the key are those of its recipient. The arguments of
    each verb beyond those that it names are promises of its operation, and replace what the verb promises; `reads`
    returns a body that is more than decoded."""

    def __init__(
        self,
        name: str,
        item: str = "",
        key_of: KeyOf | None = None,
        *,
        tag: Tag,
        unknown: str = "",
        tenant_of: Callable[[ApiRequest], str] = tenants.single_tenant,
        session: Session | None = None,
        **promise: Any,
    ) -> None:
        self.name = name
        self.path = f"/v1/{name}"
        self.item_path = f"{self.path}{item}"
        names = KEY_PARTS.findall(item)
        self.key_of = key_of or (lambda request: tuple(request_body.path(request, name) for name in names))
        self.tenant_of = tenant_of
        self.session = session
        self.unknown = unknown
        own: dict[str, Any] = {} if session is None else {"required_scope": "recipient", "query": None}
        self._promise = {"tag": tag, **own, **promise}

    def page(
        self, listed: KeysetList[Any], item_type: Any, *, query: Any = ObjectsQuery, **promise: Any
    ) -> Callable[[ReadPage[Any]], ApiEndpoint]:
        """Make a function the operation that lists objects, and exports them. The filters of the list are parameters. The total is
        counted for lists that a request can filter by more than their key."""
        names = query.__struct_fields__
        by_time = "start" in names and not listed.is_newest_first
        is_searched = bool(listed.leads or listed.filters) or "prefix" in names or by_time
        result_type = page_type(self.name, item_type, is_searched=is_searched)
        declare = self.listing(result_type, query=query, **promise)

        def declared(read: ReadPage[Any]) -> ApiEndpoint:
            @functools.wraps(read)
            async def page(request: ApiRequest, parameters: Any) -> Any:
                of_store = list_query(request, listed, parameters, is_counted=is_searched)
                found = await read(Listing(request, context.of(request), parameters, of_store))
                return answer(result_type, self.name, listed, parameters.tenant, found)

            return declare(page)

        return declared

    def listing(
        self, page_type: type[P], suffix: str = "", *, query: Any, shown: str | None = None, **promise: Any
    ) -> Callable[[Callable[[ApiRequest, Any], Awaitable[P]]], ApiEndpoint]:
        """Make a function the operation that lists objects, and exports them: it gets the parameters, and returns the page. If
        it names the fields that viewers read, as `shown`, they may list the objects too; all other fields are hidden from them."""
        roles = {} if shown is None else {"roles": ROLES}
        of_list = {
            "required_scope": "read",
            "bound_by": "list",
            "is_exported": True,
            **roles,
            **self._promise,
            **promise,
        }
        declare = operation(
            "GET", self.path + suffix, **{**of_list, "query": query, "response_types": {200: page_type}}
        )

        def declared(read: Callable[[ApiRequest, Any], Awaitable[P]]) -> ApiEndpoint:
            @functools.wraps(read)
            async def page(request: ApiRequest) -> ASGIApp:
                listed = await read(request, request_body.query(request, query))
                return responses.json(listed if shown is None else guards.page_for(request, listed, shown))

            return declare(page)

        return declared

    def get(self, item_type: type[T], suffix: str = "", **promise: Any) -> Declared[T | None]:
        """Make a function the operation that reads an object; None is one that does not exist."""
        of_read = {"required_scope": "read", "query": TenantQuery, "response_types": {200: item_type}}
        return self._declare("GET", self.item_path + suffix, None, lambda _, item: self._answer(item), of_read, promise)

    def put(self, body: Any, item_type: type[P], **promise: Any) -> Declared[Written[P]]:
        """Make a function, which returns a written object, its write. What a read adds is ignored."""
        shape = body if isinstance(body, request_body.Shape) else request_body.Shape(body)
        added = frozenset(item_type.__struct_fields__).difference(shape.type.__struct_fields__)
        shape = msgspec.structs.replace(shape, added=added)
        of_write = {"response_types": {200: item_type, 201: item_type}, "refusals": ()}

        def respond(_: ResourceCall[Any], written: Written[T]) -> ASGIApp:
            item, is_new, *content = written
            return responses.json(
                item, 201 if is_new else 200, headers=entity_tags.tagged(*content) if content else None
            )

        return self._declare("PUT", self.item_path, shape, respond, of_write, promise)

    def patch(self, body: Any, item_type: type[T], **promise: Any) -> Declared[T | None]:
        """Make a function the operation that changes an object; None is one that does not exist."""
        of_change = {"response_types": {200: item_type}, "query": TenantQuery}
        return self._declare("PATCH", self.item_path, body, lambda _, item: self._answer(item), of_change, promise)

    def create(self, body: Any, item_type: type[T], **promise: Any) -> Declared[T]:
        """Make a function the operation that creates an object without a key, and returns it."""
        return self._post(self.path, body, item_type, 201, {"refusals": (), **promise})

    def act(
        self, suffix: str, item_type: type[T], *, body: Any = None, status: int = 200, **promise: Any
    ) -> Declared[T | None]:
        """Make a function the operation that does something with an object; None is one that does not exist. A dry run is
        answered with 200."""
        return self._post(self.item_path + suffix, body, item_type, status, promise)

    def delete(self, suffix: str = "", **promise: Any) -> Declared[bool]:
        """Make a function the operation that deletes an object, and returns whether there was one."""
        of_deletion = {"query": TenantQuery, "response_types": {204: None}}

        def respond(_: ResourceCall[Any], item: Any) -> ASGIApp:
            answer = self._answer(item or None)
            return answer if callable(item) else responses.empty()

        return self._declare("DELETE", self.item_path + suffix, None, respond, of_deletion, promise)

    def _post(self, path: str, body: Any, item_type: Any, status: int, promise: dict[str, Any]) -> Declared[Any]:
        can_plan = {"query": DryRunQuery, **self._promise, **promise}["query"] is DryRunQuery
        types = {200: item_type, status: item_type} if can_plan else {status: item_type}

        def respond(call: ResourceCall[Any], item: Any) -> ASGIApp:
            return self._answer(item, 200 if call.is_dry_run else status)

        return self._declare("POST", path, body, respond, {"response_types": types}, promise)

    def _answer(self, item: object, status: int = 200) -> ASGIApp:
        if item is None:
            raise NotFound(self.unknown)
        # A function may also return a response.
        return item if callable(item) else responses.json(item, status)

    def _declare(
        self,
        method: Method,
        path: str,
        body: Any,
        respond: Callable[[ResourceCall[Any], Any], ASGIApp],
        of_verb: dict[str, Any],
        promise: dict[str, Any],
    ) -> Declared[Any]:
        """Declare an operation, which calls the function with the tenant, the key and the body of the request. `body` is a
        type, a Shape with rules, or None."""
        promised: dict[str, Any] = {"required_scope": "manage", "query": DryRunQuery, "refusals": (NotFound,)}
        promised |= {**of_verb, **self._promise, **promise}
        if method in ("PUT", "PATCH") and "If-Match" in promised.get("headers", ()):
            promised["response_headers"] = ("ETag",)
        query, is_optional = promised["query"], promised.get("is_body_optional", False)
        reads = promised.pop("reads", None)
        shape = body if body is None or isinstance(body, request_body.Shape) else request_body.Shape(body)
        body_type = None if shape is None else shape.type
        declare = operation(method, path, body=body_type, **promised)
        can_plan = query is not None and "dry_run" in query.__struct_fields__
        # The query or the body names the tenant.
        names_tenant = query is not None and request_body.TENANT in getattr(body_type, "__struct_fields__", ())

        def declared(rule: RuleFunction[Any]) -> ApiEndpoint:
            @functools.wraps(rule)
            async def respond_to(request: ApiRequest) -> ASGIApp:
                tenant = "" if query is None or self.session is not None else self.tenant_of(request)
                named, sent = () if path == self.path else self.key_of(request), None
                key = (named,) if isinstance(named, str) else named
                if reads is not None:
                    sent = await reads(request)
                elif shape is not None:
                    sent = await request_body.body(request, shape, is_optional=is_optional)
                    if names_tenant:
                        owner = getattr(sent, request_body.TENANT)
                        tenant = tenants.single_tenant(request, None if owner is UNSET else owner)
                if self.session is not None:  # after the body, because the session may be revoked while it arrives
                    tenant, recipient = await self.session(request)
                    key = (recipient, *key)
                is_dry_run = can_plan and request_body.is_dry_run(request)
                call = ResourceCall(request, context.of(request), tenant, key, sent, is_dry_run)
                return respond(call, await rule(call))

            return declare(respond_to)

        return declared


def page_type(name: str, item_type: Any, *, title: str | None = None, is_searched: bool = False) -> Any:
    """Return the type of a page of a list. `name` is the plural of its items, and the field that has them; its singular is the
    `title`. A search can end before a page is full, and the first page has the total."""
    text = f"A page of {name}. Pass `next` as `after` for the next page"
    added: list[Any] = []
    if is_searched:
        text += ", or `scanned_until`, if it is not null, to search further. Only the first page has a `total`"
        added = [("scanned_until", str | None), ("total", ListTotal | None, None)]
    fields = [(name, list[item_type]), ("next", str | None), *added]
    singular = title or name.capitalize().removesuffix("s")
    return msgspec.defstruct(f"{singular}Page", fields, namespace={"__doc__": f"{text}."}, frozen=True)


def list_query(request: ApiRequest, listed: KeysetList[Any], query: Any, *, is_counted: bool) -> ListQuery:
    """Return the page of the store that the parameters of a list mean. With the tenant `*`, of all tenants of the
    caller. Raises Invalid if it is combined with a filter that is only unique within a tenant, and BadRequest for the position of
    another list."""
    owners: Sequence[str] | None = tenants.every(request)
    filters = {name: getattr(query, name, None) for name in (*listed.leads, *listed.filters)}
    if query.tenant != EVERY_TENANT:
        owners = [tenants.single_tenant(request)]
    elif unique := next((name for name in UNIQUE_IN_TENANT if filters.get(name) is not None), None):
        raise Invalid.of("tenant", f"must be one tenant: {unique} is only unique within a tenant")
    created = list_parameters.created(getattr(query, "start", None), getattr(query, "end", None))
    after: RowKey | None = None
    if sent := getattr(query, "after", None):
        after = (sent,)
        if listed.key[0] == "tenant":
            owner, name = list_parameters.key(query.tenant or "", sent)
            own = name.split(":", len(listed.key) - 2)
            after = (owner, *own, *[""] * (len(listed.key) - 1 - len(own)))
        elif listed.is_newest_first and not ids.is_id(sent):
            raise BadRequest(list_parameters.WRONG)
    limit = getattr(query, "limit", MAX_APP_PAGE_ROWS)
    return ListQuery(tenants=owners, after=after, limit=limit, created=created, filters=filters, is_counted=is_counted)


def answer(page_type: type[P], name: str, listed: KeysetList[Any], tenant: str | None, page: ListPage[Any]) -> P:
    """Return a page of a tenant's list, or of all (`*`), as clients see it; `name` is the field with its items."""
    fields = {
        name: page.items,
        "next": cursor(listed, page.next, tenant),
        "scanned_until": cursor(listed, page.scanned_until, tenant),
        "total": page.total,
    }
    return page_type(**{field: value for field, value in fields.items() if field in page_type.__struct_fields__})


def cursor(listed: KeysetList[Any], key: RowKey | None, tenant: str | None) -> str | None:
    """Return the position of a key: `email:ann@example.com`, in a list of all tenants `acme/email:ann@example.com`."""
    if key is None or listed.key[0] != "tenant":
        return None if key is None else ":".join(key)
    owner, *own = key
    return list_parameters.of_key(owner, ":".join(own), is_in_every=tenant == EVERY_TENANT)


class Recent(Struct, frozen=True):
    """How many there were in the last 24 hours, a lower bound if it is not `exact`, and the time of the last one. Lists repeat
    counts after five seconds, except those of event sources. The newest 20,000 sends of all tenants are counted. The events of a
    source are counted by the hour, without those of the hour in which the 24 hours began. Each process stores its own every five
    seconds, and loses those that it has not stored if it is killed. It counts the events of 1,000 sources between two writes;
    after more, no count of a day is `exact`. The project's sources count the events of all tenants, and only lists that include
    the project have the field."""

    value: int
    exact: bool
    last_at: datetime | None


# What there was in the last 24 hours, by its name and by the tenants of which it was read, None for all.
RecentCache = ShortCache[tuple[str, tuple[str, ...] | None], Any]


async def read_recent(
    ctx: ApiContext,
    name: str,
    tenants: Sequence[str] | None,
    read: Callable[[int, Sequence[str] | None], Awaitable[T]],
) -> T:
    """Read what these tenants, or all, had since a time, unless it was read before."""
    of, since = None if tenants is None else tuple(tenants), ctx.engines.clock.now() - times.DAY_MS
    found: T = await ctx[RecentCache].get((name, of), lambda: read(since, of))
    return found


def recent_of_object(counts: RecentCounts, tenants: Sequence[str] | None, owner: str, key: str) -> RecentCount:
    """Return the count of an object. One of the project has that of all tenants, of those that the list is of."""
    of = (owner,) if owner != PROJECT else (None,) if tenants is None else tenants
    total = NONE_RECENT
    for tenant in of:
        total = total.plus(counts.get((tenant, key), NONE_RECENT))
    return total
