"""Chat messages through Apprise, a library for about 130 services (`bellcast[apprise]`)."""

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from bellcast.kernel import concurrency
from bellcast.kernel.outbound import DeliveryError
from bellcast.providers.types import AcceptedMessage, AddressKind, OutgoingMessage, Provider, Setup

SCHEME = "apprise+"
# Placeholder in the URL for the recipient's chat id, percent-encoded.
RECIPIENT = "{to}"
# Maximum calls of a provider, one thread each: several times the slots of a provider, so that only calls that hang reach it.
MAX_CALLS = 100


class AppriseProvider(Provider):
    """A provider for chat ids of recipients, or for the fixed target of a URL without `{to}`: `apprise+URL`, with a URL of
    Apprise. Raises ValueError for one that it cannot use."""

    kinds: Sequence[AddressKind] = ("telegram",)
    server = None

    def __init__(self, setup: Setup) -> None:
        if not setup.may_read_files:
            # Apprise's plugins open their own connections, so no guard can keep them from private addresses.
            raise ValueError("of Apprise must be in BELLCAST_CHAT: its connections cannot be kept to public addresses")
        try:
            self._library: Any = importlib.import_module("apprise")
        except ImportError:
            raise ValueError("needs the package apprise: pip install 'bellcast[apprise]'") from None
        self._url = setup.url.strip().removeprefix(SCHEME)
        self._timeout = setup.timeout
        self._calls = 0  # with those that have timed out, whose threads nothing can end
        if self.connection("0") is None:
            raise ValueError("is not a URL that Apprise supports")

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Send in a thread, because Apprise blocks. It reports no reasons, so every failure is treated as temporary."""
        if self._calls >= MAX_CALLS:
            raise DeliveryError("too many calls of Apprise have not returned", is_temporary=True)

        def notify() -> bool:
            connection = self.connection(message.to)
            return connection is not None and bool(connection.notify(body=message.content["text"], title=""))

        def finish(call: asyncio.Future[bool]) -> None:
            self._calls -= 1
            call.exception()  # avoids a warning after a timeout, when nothing reads the result

        self._calls += 1
        call = concurrency.start_thread("apprise", notify)
        call.add_done_callback(finish)
        try:
            async with asyncio.timeout(self._timeout):
                is_sent = await asyncio.shield(call)
        except TimeoutError:
            raise DeliveryError("Apprise took too long", is_temporary=True, is_timeout=True) from None
        if not is_sent:
            raise DeliveryError("Apprise could not deliver the message", is_temporary=True)
        return AcceptedMessage("ok")

    def connection(self, to: str) -> Any:
        """Return Apprise's object for a chat id; None for an unusable URL."""
        return self._library.Apprise.instantiate(self._url.replace(RECIPIENT, quote(to, safe="")))
