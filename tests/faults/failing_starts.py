"""Handlers of a server with an injected bug: connections of some recipients and devices fail while they start."""

from typing import Any

import bellcast
from bellcast.inbox import views
from bellcast.live import topic_access
from bellcast.live.pusher import signed_in_users
from bellcast.storage.devices import Devices

AT_INBOX, AT_TOPICS, AT_DEVICE = "fails-at-inbox", "fails-at-topics", "fails-at-device"

handlers = bellcast.Handlers()
enter, admitted, arrive = views.enter, topic_access.authorize_topics, Devices.register


class MistakeError(Exception):
    """An error that the server does not handle."""


async def failing_enter(engines: Any, principal: Any, *more: Any) -> Any:
    if principal.recipient == AT_INBOX:
        raise MistakeError
    return await enter(engines, principal, *more)


async def failing_admitted(store: Any, principal: Any, *more: Any) -> Any:
    if principal.recipient == AT_TOPICS:
        raise MistakeError
    return await admitted(store, principal, *more)


async def failing_arrive(self: Any, reached: Any, *more: Any) -> Any:
    if reached.device == signed_in_users._digest(AT_DEVICE):
        raise MistakeError
    return await arrive(self, reached, *more)


views.enter = failing_enter
topic_access.authorize_topics = failing_admitted
Devices.register = failing_arrive  # type: ignore[method-assign]
