"""Types of ASGI 3, the interface between web servers and applications."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

# Key in this state: the headers by name, of several equal ones the last. A request looks up ten.
HEADER_VALUES = "header_values"
# Key in a request's extensions: the principal or caller whose credentials were accepted, for the server's protocol.
ACCEPTED = "bellcast.accepted"

Scope: TypeAlias = dict[str, Any]
AsgiMessage: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
