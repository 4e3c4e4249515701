"""The Pusher dialect mounted in another app under another server: stock clients see no difference."""

import json
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.thoroughness import sampled
from tests.wire.pusher_clients import AppEndpoint, bare, node
from tests.wire.test_mounted import HOSTS, MountedServer


@pytest.fixture(scope="module", params=sampled(HOSTS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MountedServer]:
    with MountedServer(tmp_path_factory.mktemp("pusher"), HOSTS[request.param]) as server:
        yield server


def test_pusher_js_subscribes_signs_in_and_receives(server: MountedServer) -> None:
    endpoint = AppEndpoint(server)
    endpoint.user = {"id": "ann"}
    try:
        with node(server, endpoint.url) as page:
            page.connect("a", wsPath="/bell")
            page.subscribe("a", "private-a")
            assert page.subscribe("a", "presence-a")["members"]["count"] == 1
            page.run("signin", "a")
            page.until("user", event="reset")
            app = {"base_url": server.url, "headers": server.as_app()}
            with httpx.Client(**app) as http:
                http.post("/v1/notifications", json={"to": "ann", "title": "Hello"}).raise_for_status()
                http.post("/v1/events", json={"topic": "private-a", "name": "e", "data": {"x": 1}}).raise_for_status()
            assert page.until("user", event="notification")["data"]["unread"] == 1
            assert page.until("event", channel="private-a")["data"] == {"x": 1}
    finally:
        endpoint.close()


def test_close_codes_are_kept(server: MountedServer) -> None:
    with bare(server, "/app/unknown?protocol=7") as client:
        assert client.next()["data"]["code"] == 4001
        with pytest.raises(ConnectionClosed) as closed:
            client.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001


def test_simultaneous_events_are_separate_frames(server: MountedServer) -> None:
    with bare(server) as one, bare(server) as other:
        one.subscribe("presence-b", '{"user_id":"1"}')
        other.subscribe("presence-b", '{"user_id":"2"}')
        assert json.loads(one.next()["data"])["user_id"] == "2"
        other.raw.close()
        assert one.next()["event"] == "pusher_internal:member_removed"
