"""What clients ask, the app answers: handlers in Python, or one URL that gets every call, signed.

`connect` and `disconnect` are calls too."""

from bellcast import ports
from bellcast.calls.backend import CallBackend, NoBackend
from bellcast.calls.call import CONNECT, DISCONNECT, ROOT, Accepted, Call, CallContext, Refused
from bellcast.calls.http_callback import HttpCallback
from bellcast.calls.python_functions import Handlers, load
from bellcast.model.identities import Project

__all__ = [
    "CONNECT",
    "DISCONNECT",
    "ROOT",
    "Accepted",
    "Call",
    "CallBackend",
    "CallContext",
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
    """Whoever answers calls here: the app's handlers, else its URL, else nobody."""
    if handlers is not None:
        return handlers
    return NoBackend() if url is None else HttpCallback(url, project, http, clock)
