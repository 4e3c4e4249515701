"""Lists for operators with the role viewer: objects and their states, without content and addresses."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from msgspec import Struct, structs

from bellcast.api import guards
from bellcast.api.request_body import ApiRequest

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
DEFINITION_FIELDS = frozenset({"key", "tenant", "version", "active", "type", "uses"})


def page_for(request: ApiRequest, page: T, *, shown: Collection[str] = ()) -> T:
    """Return a page of a list without the fields that its caller may not read. In this list, the fields `shown` do not
    count as content."""
    hidden = {name: one for name, one in HIDDEN.items() if name not in shown}
    return page if guards.caller(request).role != "viewer" else _hidden(page, hidden)


def definitions_for(request: ApiRequest, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return workflows or templates of a list as its caller may read them."""
    if guards.caller(request).role != "viewer":
        return items
    return [{name: one if name in DEFINITION_FIELDS else _emptied(one) for name, one in item.items()} for item in items]


def _emptied(value: Any) -> Any:
    return type(value)() if isinstance(value, list | dict) else None


def _hidden(value: Any, hidden: Mapping[str, Any]) -> Any:
    if isinstance(value, Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return structs.replace(value, **{name: hidden.get(name, _hidden(one, hidden)) for name, one in fields.items()})
    return [_hidden(one, hidden) for one in value] if isinstance(value, list) else value
