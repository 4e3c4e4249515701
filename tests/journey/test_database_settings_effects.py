"""Changed settings of messages and Pusher apply to the next message and event."""

from typing import Any

import httpx
import pytest

from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.wire.pusher_clients import bare

# Nothing listens there, which is a temporary failure.
UNREACHABLE = "smtp://127.0.0.1:9?from=bells@example.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with ServerProcess(tmp_path_factory.mktemp("effects") / "data", {"BELLCAST_HTTP_ALLOW": "127.0.0.1"}) as server:
        yield server


def call(server: ServerProcess, method: str, path: str, body: Any = None) -> Any:
    response = httpx.request(method, f"{server.url}{path}", headers=server.as_app(), json=body, timeout=30)
    assert response.is_success, response.text
    return response.json() if response.content else None


def change(server: ServerProcess, **body: Any) -> None:
    call(server, "PATCH", "/v1/settings", {"revision": call(server, "GET", "/v1/settings")["revision"], **body})


def email_to(server: ServerProcess, recipient: str, **fields: Any) -> dict[str, Any]:
    """Send an e-mail, and return its message."""
    call(server, "PUT", f"/v1/recipients/{recipient}", {"email": f"{recipient}@example.com"})
    body = {"to": recipient, "channels": ["email"], **(fields or {"title": "Hello"})}
    sent = call(server, "POST", "/v1/notifications", body)
    id = sent["notifications"][0]["id"]
    (message,) = call(server, "GET", f"/v1/messages?notification={id}")["messages"]
    return dict(message)


def test_language_of_recipients_without_one_is_changed(server: ServerProcess) -> None:
    email = {"subject": "Welcome", "text": "Hello"}
    german = {"email": {"subject": "Willkommen", "text": "Hallo"}}
    call(server, "PUT", "/v1/templates/welcome", {"email": email, "translations": {"de": german}})

    def subject() -> Any:
        return email_to(server, "lena", template="welcome")["content"]["subject"]

    assert subject() == "Welcome"
    change(server, set={"locale": "de"})
    assert eventually(lambda: subject() == "Willkommen")  # tenants are cached for a second
    change(server, reset=["locale"])
    assert eventually(lambda: subject() == "Welcome")


def test_time_zone_of_recipients_without_one_is_changed(server: ServerProcess) -> None:
    call(server, "PUT", "/v1/recipients/tom", {"email": "tom@example.com"})
    call(server, "PATCH", "/v1/recipients/tom/preferences", {"quiet_hours": {"start": "00:00", "end": "23:59"}})

    def quiet_until() -> str:
        return str(email_to(server, "tom")["due_at"][11:16])

    assert quiet_until() == "23:59"
    change(server, set={"timezone": "Asia/Tokyo"})
    assert eventually(lambda: quiet_until() == "14:59")
    change(server, reset=["timezone"])


def test_channels_are_simulated_although_they_have_a_provider(server: ServerProcess) -> None:
    call(server, "PUT", "/v1/providers/mail", {"channel": "email", "url": UNREACHABLE})
    change(server, set={"simulate": "email"})
    assert email_to(server, "sim")["state"] == "simulated"
    change(server, reset=["simulate"])
    message = email_to(server, "sim")
    assert message["state"] != "simulated"
    call(server, "DELETE", "/v1/providers/mail")


def test_retries_are_as_many_and_as_soon_as_set(server: ServerProcess) -> None:
    call(server, "PUT", "/v1/providers/mail", {"channel": "email", "url": UNREACHABLE})
    change(server, set={"retries": "100ms,100ms"})
    message = email_to(server, "rita")

    def state() -> dict[str, Any]:
        return dict(call(server, "GET", f"/v1/messages/{message['id']}"))

    assert eventually(lambda: state()["state"] == "failed")  # by default, the second attempt is after 10 s
    assert len(state()["attempts"]) == 3
    change(server, reset=["retries"])
    call(server, "DELETE", "/v1/providers/mail")


def test_inbox_changes_are_published_on_the_changed_channel(server: ServerProcess) -> None:
    change(server, set={"pusher_aliases": "private-user.{recipient}"})
    with bare(server) as client:
        client.subscribe("private-user.paul")
        call(server, "POST", "/v1/notifications", {"to": "paul", "title": "Hello"})
        frames = [client.next()]
        while "Hello" not in str(frames[-1].get("data")):
            frames.append(client.next())
        assert frames[-1]["channel"] == "private-user.paul"
    change(server, reset=["pusher_aliases"])
