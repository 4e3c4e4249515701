"""Fixtures that pytest loads from an installed Bellcast. Server modules are not imported before a test uses them."""

import sys
from collections.abc import Iterator
from types import NoneType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bellcast.testing import FakeBellcast, LocalServer


@pytest.fixture(scope="session")
def bellcast_server() -> Iterator["LocalServer"]:
    """A real Bellcast in this process: `bellcast_server.sync_client.notify("alice", title="Hello")`."""
    from bellcast.testing import LocalServer

    with LocalServer() as server:
        yield server


@pytest.fixture(scope="session")
def _bellcast_fake_server() -> Iterator["LocalServer"]:
    from bellcast.testing import LocalServer

    with LocalServer() as server:
        yield server


@pytest.fixture
def bellcast_fake(_bellcast_fake_server: "LocalServer", monkeypatch: pytest.MonkeyPatch) -> Iterator["FakeBellcast"]:
    """A client that records: `.sent`, `.events`, `.sent_to()`, `.clear()`, `.fail_with()`. Clients that your code
    creates with `Bellcast()` or `AsyncBellcast()` during the test record there too."""
    from bellcast.client import AsyncBellcast, Bellcast
    from bellcast.client.request import call, path
    from bellcast.testing import FakeBellcast, RecordingTransport

    transport = RecordingTransport(_bellcast_fake_server)
    bell = FakeBellcast(_bellcast_fake_server, transport)

    def recording(original: Any) -> Any:
        """Return a constructor that uses the recording transport, regardless of address and secret."""

        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            if kwargs.get("transport") is None:
                args, kwargs = ("http://127.0.0.1", _bellcast_fake_server.credentials), {"transport": transport}
            original(self, *args, **kwargs)

        return init

    for client in (Bellcast, AsyncBellcast):
        monkeypatch.setattr(client, "__init__", recording(client.__init__))
    yield bell
    bell.close()
    # The next test starts with empty inboxes.
    send = _bellcast_fake_server.sync_client.sender.send
    for kind, key, deleted in (
        ("tenants", "key", "tenants"),
        ("announcements", "id", "notifications"),
        ("recipients", "key", "recipients"),
    ):
        while listed := send(call("GET", path(kind), dict[str, Any]))[kind]:
            for one in listed:
                send(call("DELETE", path(deleted, one[key]), NoneType))


@pytest.fixture(autouse=True)
def _clear_django_notifications() -> None:
    """Start each test with an empty `bellcast.contrib.django.testing.sent`, in projects that use it."""
    if (testing := sys.modules.get("bellcast.contrib.django.testing")) is not None:
        testing.clear()
