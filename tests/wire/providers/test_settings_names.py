"""Names in the settings are resolved in threads that do not delay the end of the process."""

import asyncio
from typing import Any

import pytest

from bellcast.kernel.outbound.http import HttpClients
from bellcast.providers import smtp
from tests.smtp_server import smtp_server
from tests.vendor_server import vendor_server


async def test_names_of_servers_are_not_resolved_by_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop joins its threads at the end: a name server that does not respond would delay it."""

    async def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the event loop resolves a name")

    loop, clients = asyncio.get_running_loop(), HttpClients()
    async with smtp_server() as mailbox, vendor_server() as vendor:
        monkeypatch.setattr(loop, "getaddrinfo", refuse)
        monkeypatch.setattr(loop, "run_in_executor", refuse)
        url = f"smtp://localhost:{mailbox.port}?from=shop@example.com"
        await smtp.SMTPProvider(url, connect=clients.resolver.connect).check()
        response = await clients.trusted.request("GET", f"http://localhost:{vendor.port}/", headers={})
        assert response.status == 200
        await clients.close()
        monkeypatch.undo()
