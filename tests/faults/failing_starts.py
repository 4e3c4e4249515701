"""Handlers of a server with an injected bug: connections of some recipients and devices fail while they start."""

from typing import Any

import bellcast
from bellcast.inbox import inboxes
from bellcast.live.hub import subscriptions
from bellcast.live.pusher import signed_in_users
from bellcast.recipients.store import Devices

AT_INBOX, AT_TOPICS, AT_DEVICE = "fails-at-inbox", "fails-at-topics", "fails-at-device"

handlers = bellcast.Handlers()
original_enter, original_authorize, original_register = inboxes.enter, subscriptions.authorize_topics, Devices.register


class MistakeError(Exception):
    """An error that the server does not handle."""


async def failing_enter(engines: Any, principal: Any, *arguments: Any) -> Any:
    if principal.recipient == AT_INBOX:
        raise MistakeError
    return await original_enter(engines, principal, *arguments)


async def failing_authorize(store: Any, principal: Any, *arguments: Any) -> Any:
    if principal.recipient == AT_TOPICS:
        raise MistakeError
    return await original_authorize(store, principal, *arguments)


async def failing_register(self: Any, reached: Any, *arguments: Any) -> Any:
    if reached.device == signed_in_users._digest(AT_DEVICE):
        raise MistakeError
    return await original_register(self, reached, *arguments)


inboxes.enter = failing_enter
subscriptions.authorize_topics = failing_authorize
Devices.register = failing_register
