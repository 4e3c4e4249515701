"""A dialect that is one folder and one line of wiring follows an inbox through a real server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import ServerProcess

HANDLERS = "tests.unit.live.example_dialect.server:handlers"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data: Path = tmp_path_factory.mktemp("lines") / "data"
    with ServerProcess(data, {"BELLCAST_HANDLERS": HANDLERS}) as server:
        yield server


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=server.as_app(), timeout=30) as client:
        yield client


def notify(client: httpx.Client, recipient: str, title: str) -> None:
    response = client.post("/v1/notifications", json={"to": recipient, "type": "t", "title": title})
    assert response.status_code == 201, response.text


def lines(response: httpx.Response) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in response.iter_lines() if line)


def test_inbox_is_followed_and_resumed(server: ServerProcess, client: httpx.Client) -> None:
    headers = server.as_recipient("alice")
    with client.stream("GET", "/v1/lines", headers=headers) as response:
        received = lines(response)
        assert next(received)["type"] == "reset"
        notify(client, "alice", "first")
        first = next(received)
        assert (first["type"], first["notification"]["title"]) == ("notification", "first")
        [one] = client.get("/v1/connections").json()["connections"]
        assert (one["recipient"], one["protocol"], one["transport"]) == ("alice", "lines", "http")
    notify(client, "alice", "second")
    with client.stream("GET", f"/v1/lines?position={first['position']}", headers=headers) as response:
        missed = next(lines(response))
        assert (missed["type"], missed["notification"]["title"]) == ("notification", "second")


def test_revoked_session_is_closed(server: ServerProcess, client: httpx.Client) -> None:
    with client.stream("GET", "/v1/lines", headers=server.as_recipient("bob")) as response:
        received = lines(response)
        assert next(received)["type"] == "reset"
        assert client.delete("/v1/recipients/bob/sessions").is_success
        assert next(received) == {"type": "close", "code": 4401, "reason": "revoked"}
        assert next(received, None) is None


def test_request_without_credentials_is_refused(server: ServerProcess) -> None:
    assert httpx.get(f"{server.url}/v1/lines", timeout=30).status_code == 401
