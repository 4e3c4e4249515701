"""Revoked cookie sessions: every endpoint readmits a user whom the app still recognizes, and no other."""

from collections.abc import Iterator

import httpx
import pytest

from tests.servers import ServerProcess
from tests.wire.app_server import AppServer, running_app
from tests.wire.clients import Stream
from tests.wire.test_sessions import SHOP, Sessions, cookie


@pytest.fixture(scope="module")
def app() -> Iterator[AppServer]:
    with running_app(Sessions()) as app:
        yield app


@pytest.fixture(scope="module")
def server(app: AppServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    environ = {"BELLCAST_SESSION_URL": app.url, "BELLCAST_ORIGINS": SHOP}
    with ServerProcess(tmp_path_factory.mktemp("cookies") / "data", environ) as server:
        yield server


def inbox(server: ServerProcess) -> int:
    return httpx.get(f"{server.url}/v1/inbox", headers=cookie("of-alice"), timeout=30).status_code


def end_sessions(server: ServerProcess) -> None:
    url = f"{server.url}/v1/recipients/alice/sessions"
    assert httpx.delete(url, headers=server.as_app(), timeout=30).status_code == 204


@pytest.mark.thorough
def test_app_is_queried_again_after_a_revocation(server: ServerProcess, app: AppServer) -> None:
    assert inbox(server) == 200
    for _ in range(3):
        end_sessions(server)
        before = len(app.requests)
        assert [inbox(server), inbox(server)] == [200, 200]
        assert len(app.requests) == before + 1


def test_stream_is_closed_on_revocation_and_can_reconnect(server: ServerProcess) -> None:
    page = Stream(server.url, "/v1/stream", cookie("of-alice"))
    assert page.next()["type"] == "ready"
    end_sessions(server)
    assert page.until("close")["reason"] == "revoked"
    reconnected = Stream(server.url, "/v1/stream", cookie("of-alice"))
    assert reconnected.next()["type"] == "ready"
    page.close()
    reconnected.close()
