"""What clients ask, the app answers: handlers in Python, or one URL that gets every call, signed.

`connect` and `disconnect` are calls too."""

from bellcast import ports
from bellcast.calls.answerer import Answerer, NoAnswerer
from bellcast.calls.call import CONNECT, DISCONNECT, ROOT, Accepted, Call, CallPort, Refused
from bellcast.calls.functions import Handlers, load
from bellcast.calls.url import HandlerUrl
from bellcast.model.people import Project

__all__ = [
    "CONNECT",
    "DISCONNECT",
    "ROOT",
    "Accepted",
    "Answerer",
    "Call",
    "CallPort",
    "HandlerUrl",
    "Handlers",
    "NoAnswerer",
    "Refused",
    "answers",
    "load",
]


def answers(
    handlers: Handlers | None, url: str | None, project: Project, http: ports.Http, clock: ports.Clock
) -> Answerer:
    """Whoever answers calls here: the app's handlers, else its URL, else nobody."""
    if handlers is not None:
        return handlers
    return NoAnswerer() if url is None else HandlerUrl(url, project, http, clock)
