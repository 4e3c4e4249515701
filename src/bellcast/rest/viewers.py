"""What callers may read in responses: operators with the role viewer only fields that are neither content nor personal, and
callers without the scope `manage` no links."""

from collections.abc import Collection
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args

from msgspec import Struct, structs

from bellcast.auth import link_tokens
from bellcast.kernel.http import ASGIApp, AsgiMessage, Receive, Scope, Send
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import Caller
from bellcast.rest import guards

P = TypeVar("P", bound=Struct)

# Fields that a viewer reads in every list.
ALWAYS_SHOWN = frozenset({"id", "key", "tenant", "created_at"})
# Fields of workflows and templates that a viewer reads. Their other fields are content.
DEFINITION_FIELDS = frozenset(
    {"key", "tenant", "version", "active", "in_code", "type", "uses", "draft", "managed", "updated_at"}
    | {"published_by", "recent_runs"}
)


def page_for(request: ApiRequest, page: P, shown: str) -> P:
    """Return a page of a list as its caller may read it: a viewer reads of its items only the fields that are `shown`."""
    if guards.caller(request).role != "viewer":
        return page
    names = ALWAYS_SHOWN.union(shown.split())
    lists = {name: one for name in page.__struct_fields__ if isinstance(one := getattr(page, name), list)}
    return structs.replace(page, **{name: _shown(one, names) for name, one in lists.items()})


def definitions_for(request: ApiRequest, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return workflows or templates of a list as its caller may read them."""
    if guards.caller(request).role != "viewer":
        return items
    return [
        {
            name: one if name in DEFINITION_FIELDS else type(one)() if isinstance(one, list | dict) else None
            for name, one in item.items()
        }
        for item in items
    ]


def may_use_links(request: ApiRequest) -> bool:
    """Return whether the caller may change preferences, as the holder of a link in a message can."""
    caller: Caller | None = request.scope["state"].get("caller")
    return caller is None or "manage" in caller.scopes


def response_for(request: ApiRequest, response: ASGIApp) -> ASGIApp:
    """Return a response without the tokens of links, unless the caller may use them."""
    if may_use_links(request):
        return response

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        async def hide(message: AsgiMessage) -> None:
            # Each part of a stream has whole rows. The live feed can be a WebSocket.
            if body := message.get("body"):
                message = {**message, "body": link_tokens.hide(body)}
            elif text := message.get("text"):
                message = {**message, "text": link_tokens.hide(text.encode()).decode()}
            await send(message)

        await response(scope, receive, hide)

    return respond


def _shown(value: Any, names: Collection[str]) -> Any:
    """Return an item in which only these fields are shown. The others are null, or empty if they cannot be null."""
    if isinstance(value, Struct):
        nullable = _nullable(type(value))
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        hidden = {name: None if name in nullable else type(one)() for name, one in fields.items() if name not in names}
        return structs.replace(value, **{name: _shown(one, names) for name, one in fields.items()} | hidden)
    return [_shown(one, names) for one in value] if isinstance(value, list) else value


@cache
def _nullable(type: type[Struct]) -> frozenset[str]:
    """Return the fields of a type that can be null."""
    return frozenset(one.name for one in structs.fields(type) if one.type is Any or NoneType in get_args(one.type))
