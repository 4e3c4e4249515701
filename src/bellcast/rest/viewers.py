"""What callers may not read in responses: content and addresses for operators with the role viewer, and links for
callers without the scope `manage`."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from msgspec import Struct, structs

from bellcast.auth import link_tokens
from bellcast.kernel.http import ASGIApp, AsgiMessage, Receive, Scope, Send
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import Caller
from bellcast.rest import guards

T = TypeVar("T")

# Fields with content, and the values that a viewer gets instead.
HIDDEN: dict[str, Any] = {
    **dict.fromkeys(("body", "action_url", "action_text", "icon", "actor", "acted", "reason", "result", "error"), None),
    **dict.fromkeys(("name", "email", "phone", "address"), None),
    **dict.fromkeys(("title", "to"), ""),
    **{name: {} for name in ("data", "content", "settings", "chat")},
    **dict.fromkeys(("actions", "attempts"), ()),
}
# Fields of workflows and templates that a viewer reads. Their other fields are content.
DEFINITION_FIELDS = frozenset({"key", "tenant", "version", "active", "in_code", "type", "uses", "draft", "managed"})


def page_for(request: ApiRequest, page: T, *, shown: Collection[str] = ()) -> T:
    """Return a page of a list without the fields that its caller may not read. In this list, the fields `shown` do not
    count as content."""
    hidden = {name: one for name, one in HIDDEN.items() if name not in shown}
    return page if guards.caller(request).role != "viewer" else _hidden(page, hidden)


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


def _hidden(value: Any, hidden: Mapping[str, Any]) -> Any:
    if isinstance(value, Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return structs.replace(value, **{name: hidden.get(name, _hidden(one, hidden)) for name, one in fields.items()})
    return [_hidden(one, hidden) for one in value] if isinstance(value, list) else value
