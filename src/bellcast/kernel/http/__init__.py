"""HTTP without operations: the parts of requests and responses that every room uses, and the types of ASGI 3, the interface
between web servers and applications."""

from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, TypeAlias

# Key in this state: the headers by name, of several equal ones the last. A request looks up ten.
HEADER_VALUES = "header_values"
# Key in a request's extensions: the principal or caller whose credentials were accepted, or None, for the server's protocol.
ACCEPTED = "bellcast.accepted"

Scope: TypeAlias = dict[str, Any]
AsgiMessage: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# The id of the request that this task serves, which events of the live feed share.
CURRENT_ID: ContextVar[str | None] = ContextVar("bellcast_request_id", default=None)

# Items in a page of operators' lists. Larger pages would exceed the 200 ms that a page of the console may take among millions of rows.
MAX_PAGE_ROWS = 200
# Items in a page of lists that apps read completely, such as recipients or messages: they need a fifth of the requests.
MAX_APP_PAGE_ROWS = 1_000
