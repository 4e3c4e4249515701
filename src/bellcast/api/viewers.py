"""Lists for operators with the role viewer: objects and their states, without content and addresses."""

from typing import Any, TypeVar

from msgspec import Struct, structs

from bellcast.api import guards
from bellcast.api.request_body import ApiRequest

T = TypeVar("T")

# Fields with content, and the values that a viewer gets instead.
HIDDEN: dict[str, Any] = {
    **dict.fromkeys(("body", "action_url", "action_text", "icon", "actor", "acted", "reason", "result"), None),
    **dict.fromkeys(("name", "email", "phone", "address"), None),
    **dict.fromkeys(("title", "to"), ""),
    **{name: {} for name in ("data", "content", "settings", "chat")},
    **dict.fromkeys(("actions", "attempts"), ()),
}


def page_for(request: ApiRequest, page: T) -> T:
    """Return a page of a list without the fields that its caller may not read."""
    return page if guards.caller(request).role != "viewer" else _hidden(page)


def _hidden(value: Any) -> Any:
    if isinstance(value, Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return structs.replace(value, **{name: HIDDEN.get(name, _hidden(one)) for name, one in fields.items()})
    return [_hidden(one) for one in value] if isinstance(value, list) else value
