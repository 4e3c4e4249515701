"""Calls from clients, handled by the app: by Python handlers, or by one URL that receives every call, signed.

`connect` and `disconnect` are calls too."""

from bellcast import ports
from bellcast.calls.backend import CallBackend, NoBackend
from bellcast.calls.call import CONNECT, DISCONNECT, ROOT, Call, CallContext, ConnectAccepted, Refused
from bellcast.calls.callbacks import Callbacks
from bellcast.calls.http_callback import HttpCallback
from bellcast.calls.python_functions import Handlers, load
from bellcast.model.identities import Project

__all__ = [
    "CONNECT",
    "DISCONNECT",
    "ROOT",
    "Call",
    "CallBackend",
    "CallContext",
    "Callbacks",
    "ConnectAccepted",
    "Handlers",
    "HttpCallback",
    "NoBackend",
    "Refused",
    "backend_for",
    "load",
]


def backend_for(
    handlers: Handlers | None, url: str | None, project: Project, http: ports.Http, clock: ports.Clock
) -> CallBackend:
    """Return the call backend: the app's handlers, else its URL, else one that handles no call."""
    if handlers is not None:
        return handlers
    return NoBackend() if url is None else HttpCallback(url, project, http, clock)
