"""Calls from clients, handled by the app: by Python handlers, or by one URL that receives every call, signed.

`connect` and `disconnect` are calls too."""

from collections.abc import Callable

from bellcast.calls.call import (
    CONNECT,
    DISCONNECT,
    ROOT,
    Call,
    CallBackend,
    CallContext,
    ConnectAccepted,
    ConnectRequest,
    Refused,
)
from bellcast.calls.callbacks import Callbacks, Handlers, load
from bellcast.calls.http_callback import HttpCallback
from bellcast.kernel.clock import Clock
from bellcast.kernel.identities import Project
from bellcast.kernel.outbound.port import Http

__all__ = [
    "CONNECT",
    "DISCONNECT",
    "ROOT",
    "Call",
    "CallBackend",
    "CallContext",
    "Callbacks",
    "ConnectAccepted",
    "ConnectRequest",
    "Handlers",
    "HttpCallback",
    "Refused",
    "backend_for",
    "load",
]


def backend_for(
    handlers: Handlers | None, url: Callable[[], str | None], project: Project, http: Http, clock: Clock
) -> CallBackend:
    """Return the call backend: the app's handlers, else the configured callback URL."""
    return HttpCallback(url, project, http, clock) if handlers is None else handlers
