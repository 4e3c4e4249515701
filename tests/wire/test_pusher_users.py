"""Sign-in through pusher-js: the inbox on the user's channel and on aliases, missed changes, watchlists."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.faults.raw_sockets import eventually, live
from tests.servers import ServerProcess
from tests.wire.clients import websocket
from tests.wire.pusher_clients import AppEndpoint, Bare, Node, bare, node, sign

ALIASES = "private-App.Models.User.{recipient},private-provider.{recipient}"
SETTINGS = {"BELLCAST_PUSHER_ALIASES": ALIASES, "BELLCAST_PUSHER_SUBSCRIPTION_COUNT": "off"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("pusher") / "data", SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def endpoint(server: ServerProcess) -> Iterator[AppEndpoint]:
    opened = AppEndpoint(server)
    yield opened
    opened.close()


@pytest.fixture
def page(server: ServerProcess, endpoint: AppEndpoint) -> Iterator[Node]:
    with node(server, endpoint.url) as opened:
        yield opened


def notify(server: ServerProcess, to: Any, title: str = "Hello", **fields: Any) -> str:
    body = {"to": to, "title": title, **fields}
    response = httpx.post(f"{server.url}/v1/notifications", headers=server.as_app(), json=body)
    assert response.status_code == 201, response.text
    sent = response.json()
    return str(sent["announcement"]["id"] if "announcement" in sent else sent["notifications"][0]["id"])


def act(server: ServerProcess, recipient: str, action: str, **selection: Any) -> None:
    url = f"{server.url}/v1/inbox/{action}"
    httpx.post(url, headers=server.as_recipient(recipient), json=selection).raise_for_status()


def signed_in(client: Bare, user: str, **more: Any) -> list[dict[str, Any]]:
    """Sign in, and return the frames that follow."""
    client.sign_in(id=user, **more)
    return [frame for frame in client.frames_until_pong() if frame["event"] != "pusher:signin_success"]


def is_saved(server: ServerProcess, connection: str) -> bool:
    """Return True if the server has saved that the connection has every change of its inbox."""
    query = "SELECT d.revision = i.revision FROM devices d JOIN recipients i ON i.id = d.inbox WHERE d.connection = ?"
    with closing(sqlite3.connect(server.data / "bellcast.db", timeout=60)) as store:
        return store.execute(query, (connection,)).fetchall() == [(1,)]


def acknowledge(client: Bare) -> None:
    """Respond to pings until the server has saved the acknowledged position."""

    def saved() -> bool:
        client.frames_until_pong()
        return is_saved(client.server, client.socket_id)

    assert eventually(saved)


def test_inbox_changes_arrive_on_the_user_channel(server: ServerProcess, endpoint: AppEndpoint, page: Node) -> None:
    endpoint.user = {"id": "ann", "user_info": {"name": "Ann"}}
    page.connect("a")
    page.run("signin", "a")
    assert json.loads(page.until("signed_in")["data"]["user_data"])["id"] == "ann"
    id = notify(server, "ann", "New lead", data={"lead": 7})
    received = page.until("user", event="notification")["data"]
    assert (received["notification"]["id"], received["notification"]["data"], received["unread"]) == (
        id,
        {"lead": 7},
        1,
    )
    act(server, "ann", "read", ids=[id])
    updated = page.until("user", event="notification-update")["data"]
    assert (updated["notification"]["id"], updated["unread"]) == (id, 0)
    for _ in range(2):
        notify(server, "ann")
        page.until("user", event="notification")
    act(server, "ann", "read", all=True)
    assert page.until("user", event="counts")["data"]["unread"] == 0
    httpx.delete(f"{server.url}/v1/inbox/{id}", headers=server.as_recipient("ann")).raise_for_status()
    assert page.until("user", event="notification-delete")["data"]["id"] == id


def test_read_mark_of_another_dialect_moves_every_badge(server: ServerProcess) -> None:
    with bare(server) as client, websocket(server, "both") as bell:
        signed_in(client, "both")
        bell.next()
        id = notify(server, "both")
        assert json.loads(client.until("notification")["data"])["unread"] == 1
        bell.until("notification")
        bell.ask("read", ids=[id])
        assert json.loads(client.until("notification-update")["data"])["unread"] == 0


def test_announcement_arrives_live(server: ServerProcess) -> None:
    with bare(server) as client, bare(server) as alias:
        signed_in(client, "announced")
        alias.subscribe("private-provider.announced")
        alias.frames_until_pong()
        id = notify(server, {"all": True}, "For all")
        assert json.loads(client.until("notification")["data"])["notification"]["id"] == id
        assert json.loads(alias.until("notification")["data"])["notification"]["id"] == id


def test_user_with_a_number_as_id_signs_in_as_text(server: ServerProcess) -> None:
    with bare(server) as client:
        user_data = '{"id":1071,"user_info":{"name":"Ann"}}'
        auth = sign(server, f"{client.socket_id}::user::{user_data}")
        client.send_frame("pusher:signin", {"auth": auth, "user_data": user_data})
        assert json.loads(client.until("pusher:signin_success")["data"])["user_data"] == user_data
        id = notify(server, "1071")
        assert json.loads(client.until("notification")["data"])["notification"]["id"] == id


@pytest.mark.parametrize(
    "user_data",
    [
        '{"id":""}',
        '{"id":7.5}',
        '{"id":true}',
        "{}",
        "[]",
        "nonsense",
        json.dumps({"id": "x" * 129}),
        '{"id":"a\\u0000"}',
    ],
)
def test_invalid_user_closes_with_4009(server: ServerProcess, user_data: str) -> None:
    with bare(server) as client:
        auth = sign(server, f"{client.socket_id}::user::{user_data}")
        client.send_frame("pusher:signin", {"auth": auth, "user_data": user_data})
        assert client.next()["data"]["code"] == 4009
        with pytest.raises(ConnectionClosed) as closed:
            client.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4009


def test_forged_sign_in_closes_the_connection(server: ServerProcess) -> None:
    with bare(server) as client, bare(server) as other:
        auth = sign(server, f'{other.socket_id}::user::{{"id":"ann"}}')
        client.send_frame("pusher:signin", {"auth": auth, "user_data": '{"id":"ann"}'})
        assert client.next()["data"]["code"] == 4009


def test_repeated_sign_in_is_accepted_for_the_same_user_only(server: ServerProcess) -> None:
    with bare(server) as client:
        signed_in(client, "same")
        client.sign_in(id="same")
        assert client.next()["event"] == "pusher:signin_success"
        client.sign_in(id="other")
        assert client.next()["event"] == "pusher:error"
        notify(server, "same")
        assert client.until("notification")["channel"] == "#server-to-user-same"


def test_user_channel_is_open_to_its_user_only(server: ServerProcess) -> None:
    with bare(server) as owner, bare(server) as other:
        signed_in(owner, "owner")
        owner.send_frame("pusher:subscribe", {"channel": "#server-to-user-owner", "auth": ""})
        assert owner.next()["event"] == "pusher_internal:subscription_succeeded"
        signed_in(other, "thief")
        auth = sign(server, f"{other.socket_id}:#server-to-user-owner")
        other.send_frame("pusher:subscribe", {"channel": "#server-to-user-owner", "auth": auth})
        assert json.loads(other.next()["data"])["type"] == "AuthError"
        notify(server, "owner")
        assert [frame["event"] for frame in owner.frames_until_pong() if frame["event"] != "pusher:error"] == [
            "notification"
        ]
        assert [frame["event"] for frame in other.frames_until_pong()] == ["pusher:error"]


def test_inbox_arrives_on_alias_channels_also_in_the_shape_of_laravel(server: ServerProcess, page: Node) -> None:
    page.run("echo", "a", {"broadcaster": "reverb", "key": server.key, **page.options()})
    page.until("state", name="a", state="connected")
    page.run("listen", "a", "private", "App.Models.User.5", ".notification")
    page.run("notification", "a", "App.Models.User.5")
    page.until("subscribed", channel="App.Models.User.5")
    id = notify(server, "5", "Invoice paid", type="invoice-paid", data={"invoice": 9})
    data = page.until("notification", channel="App.Models.User.5")["data"]
    assert (data["id"], data["type"], data["invoice"], data["title"]) == (id, "invoice-paid", 9, "Invoice paid")
    assert page.until("heard", event=".notification")["data"]["unread"] == 1


def test_alias_carries_the_changes_of_its_recipient_only(server: ServerProcess) -> None:
    with bare(server) as client:
        client.subscribe("private-provider.42")
        client.frames_until_pong()
        notify(server, "43")
        id = notify(server, "42")
        act(server, "42", "read", ids=[id])
        received = [(frame["event"], frame["channel"]) for frame in client.frames_until_pong()]
        assert received == [("notification", "private-provider.42"), ("notification-update", "private-provider.42")]


# --- replay


def test_first_sign_in_leads_to_a_reset_with_counters(server: ServerProcess) -> None:
    notify(server, "first")
    with bare(server) as client:
        (received,) = signed_in(client, "first", device="phone")
        assert (received["event"], received["channel"]) == ("reset", "#server-to-user-first")
        assert json.loads(received["data"])["unread"] == 1


def test_missed_changes_are_sent_at_the_next_sign_in(server: ServerProcess) -> None:
    old = notify(server, "away", "old")
    with bare(server) as client:
        signed_in(client, "away", device="phone")
        seen = notify(server, "away", "seen live")
        client.until("notification")
        acknowledge(client)
    new = notify(server, "away", "new")
    act(server, "away", "read", ids=[old])
    with bare(server) as client:
        received = [(frame["event"], json.loads(frame["data"])) for frame in signed_in(client, "away", device="phone")]
        assert [(event, data["notification"]["id"]) for event, data in received] == [
            ("notification", new),
            ("notification-update", old),
        ]
        assert seen not in str(received)
        live = notify(server, "away", "live")
        assert json.loads(client.until("notification")["data"])["notification"]["id"] == live


@pytest.mark.thorough
def test_unacknowledged_change_is_sent_again(server: ServerProcess) -> None:
    for number in range(20):
        user = f"cut{number}"
        with bare(server) as client:
            signed_in(client, user, device="phone")
            acknowledge(client)
            id = notify(server, user)
            client.until("notification")
            client.raw.socket.close()
        assert eventually(lambda: live(server) == 0)
        if not is_saved(server, client.socket_id):
            break  # otherwise a pong was sent just before, which proves nothing about the replay
    with bare(server) as client:
        (received,) = signed_in(client, user, device="phone")
        assert json.loads(received["data"])["notification"]["id"] == id


@pytest.mark.thorough
def test_missed_changes_are_tracked_per_device(server: ServerProcess) -> None:
    with bare(server) as phone, bare(server) as laptop:
        for client, device in ((phone, "phone"), (laptop, "laptop")):
            signed_in(client, "two", device=device)
        acknowledge(phone)
        acknowledge(laptop)
        phone.raw.close()
        id = notify(server, "two")
        laptop.until("notification")
        acknowledge(laptop)
    with bare(server) as phone, bare(server) as laptop:
        (received,) = signed_in(phone, "two", device="phone")
        assert json.loads(received["data"])["notification"]["id"] == id
        assert signed_in(laptop, "two", device="laptop") == []


@pytest.mark.thorough
def test_missed_changes_survive_a_killed_server(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server()
    endpoint = AppEndpoint(server)
    endpoint.user = {"id": "kim"}
    try:
        with node(server, endpoint.url) as page:
            connection = page.connect("a")
            page.run("signin", "a")
            page.until("user", event="reset")
            first = notify(server, "kim", "before")
            page.until("user", event="notification")
            assert eventually(lambda: is_saved(server, connection))
            server.kill()
            server.start()
            second = notify(server, "kim", "after")
            received = page.until("user", event="notification")["data"]
            assert received["notification"]["id"] in (first, second)
            if received["notification"]["id"] == first:
                received = page.until("user", event="notification")["data"]
            assert (received["notification"]["id"], received["unread"]) == (second, 2)
    finally:
        endpoint.close()


# --- watchlists and revocation


def test_watchlist_reports_who_is_online_and_offline(server: ServerProcess, endpoint: AppEndpoint, page: Node) -> None:
    with bare(server) as online:
        signed_in(online, "w1")
        endpoint.user = {"id": "watcher", "watchlist": ["w1", "w2"]}
        page.connect("a")
        page.run("signin", "a")
        assert page.until("online")["ids"] == ["w1"]
        assert page.until("offline")["ids"] == ["w2"]
        with bare(server) as one, bare(server) as two:
            signed_in(one, "w2")
            assert page.until("online")["ids"] == ["w2"]
            signed_in(two, "w2")
        assert page.until("offline")["ids"] == ["w2"]
        assert page.reports("online") == []


def test_watchlist_beyond_the_limit_is_cut_with_an_error(server: ServerProcess) -> None:
    with bare(server) as client, bare(server) as later_user:
        received = signed_in(client, "long", watchlist=[f"x{number}" for number in range(120)])
        assert [one["data"]["code"] for one in received if one["event"] == "pusher:error"] == [4302]
        signed_in(later_user, "x110")
        assert client.frames_until_pong() == []


def test_revocation_closes_pusher_js_permanently(server: ServerProcess, endpoint: AppEndpoint, page: Node) -> None:
    endpoint.user = {"id": "ended"}
    page.connect("a")
    page.run("signin", "a")
    page.until("user", event="reset")
    url = f"{server.url}/v1/recipients/ended/sessions"
    httpx.delete(url, headers=server.as_app()).raise_for_status()
    assert page.until("state", state="disconnected")


# --- the built-in auth endpoints


def sign_for(server: ServerProcess, what: str, headers: dict[str, str], **form: str) -> httpx.Response:
    return httpx.post(f"{server.url}/pusher/{what}", data=form, headers=headers)


def test_built_in_endpoints_authorize_pusher_js_with_a_session_token(server: ServerProcess) -> None:
    headers = server.as_recipient("own", topics=["private-team", "presence-team"], name="Owen")
    with node(server) as page:
        page.connect(
            "a",
            channelAuthorization={"endpoint": f"{server.url}/pusher/auth", "headers": headers},
            userAuthentication={"endpoint": f"{server.url}/pusher/user-auth", "headers": headers},
        )
        page.subscribe("a", "private-team")
        page.subscribe("a", "private-provider.own")
        members = page.subscribe("a", "presence-team")["members"]["members"]
        assert members == {"own": {"name": "Owen"}}
        page.run("subscribe", "a", "private-other")
        assert page.until("refused", channel="private-other")["error"]["status"] == 403
        page.run("signin", "a")
        page.until("signed_in")
        notify(server, "own")
        assert page.until("user", event="notification")["data"]["unread"] == 1


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"socket_id": "1.2", "channel_name": "private-provider.somebody-else"}, 403),
        ({"socket_id": "1.2", "channel_name": "private-encrypted-provider.me"}, 403),
        ({"socket_id": "1:private-x", "channel_name": "private-provider.me"}, 400),
        ({"socket_id": "1.2", "channel_name": "a:b"}, 400),
        ({"socket_id": "1.2"}, 400),
        ({}, 400),
    ],
)
def test_built_in_endpoint_signs_only_channels_of_the_recipient(
    server: ServerProcess, form: dict[str, str], status: int
) -> None:
    assert sign_for(server, "auth", server.as_recipient("me"), **form).status_code == status


def test_built_in_endpoints_refuse_unknown_callers(server: ServerProcess) -> None:
    form = {"socket_id": "1.2", "channel_name": "private-provider.me"}
    assert sign_for(server, "auth", {}, **form).status_code == 401
    assert sign_for(server, "auth", server.as_app(), **form).status_code == 403
    elsewhere = server.as_recipient("me", tenant="acme")
    assert sign_for(server, "auth", elsewhere, **form).status_code == 403
    old = server.as_recipient("gone")
    httpx.delete(f"{server.url}/v1/recipients/gone/sessions", headers=server.as_app())
    assert sign_for(server, "user-auth", old, socket_id="1.2").status_code == 401
