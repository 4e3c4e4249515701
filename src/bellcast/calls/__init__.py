"""Calls from clients, handled by the app: by Python handlers, or by one URL that receives every call, signed.

`connect` and `disconnect` are calls too."""

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
from bellcast.calls.callbacks import Callbacks, Handlers, HttpCallback, load

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
    "load",
]
