"""Calls to the app's URL: signed requests, and what their responses mean."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from bellcast.calls import Call, CallBackend, ConnectAccepted, Handlers, HttpCallback, Refused
from bellcast.kernel.errors import HandlerFailed, NoHandler, SettingsError, Unavailable
from bellcast.kernel.identities import Project
from bellcast.kernel.outbound import Response
from tests.unit.auth.fakes import NOW, PROJECT, FakeHttp, clock
from tests.unit.calls.test_calls import URL, Recorder, call

Respond = Callable[[dict[str, str]], Response | None]


class Shop:
    """The app behind the callback URL."""

    def __init__(self, status: int = 200, body: Any = None, project: Project = PROJECT) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self.bodies: list[bytes] = []
        self.web = BodyRecordingHttp(lambda _: Response(status, {}, raw), self.bodies)
        self.recorder = Recorder()
        self.clock = clock()
        self.url = HttpCallback(lambda: URL, project, self.web, self.clock)

    async def call_handler(self, name: str = "move", *args: Any, **more: Any) -> Any:
        return await self.url.dispatch(call(name, *args, recorder=self.recorder, **more))


class BodyRecordingHttp(FakeHttp):
    """A server that also records request bodies."""

    def __init__(self, respond: Respond, bodies: list[bytes]) -> None:
        super().__init__(respond)
        self.bodies = bodies

    async def request(
        self, method: str, url: str, *, headers: dict[str, str], body: bytes = b"", **more: Any
    ) -> Response:
        self.bodies.append(body)
        assert more == {"timeout": 5.0}
        return await super().request(method, url, headers=headers, body=body)


async def test_callback_url_receives_the_call_as_json() -> None:
    shop = Shop(body={"reply": {"ok": True}})
    assert await shop.call_handler("move", {"x": 1}, "fast", tenant="acme", roles=["admin"], namespace="/") == {
        "ok": True
    }
    assert json.loads(shop.bodies[0]) == {
        "name": "move",
        "args": [{"x": 1}, "fast"],
        "recipient": "alice",
        "tenant": "acme",
        "roles": ["admin"],
        "connection": "c1",
        "dialect": "native",
        "namespace": "/",
    }
    request = shop.web.requests[0]
    assert (request["method"], request["url"], request["content-type"]) == ("POST", URL, "application/json")


def is_signed(headers: dict[str, str], body: bytes, key: bytes) -> bool:
    """Verify a webhook signature as the Standard Webhooks specification defines it."""
    content = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{expected}"


async def test_callback_requests_are_signed_and_dated() -> None:
    shop = Shop()
    await shop.call_handler()
    await shop.call_handler()
    first, second = shop.web.requests
    assert is_signed(first, shop.bodies[0], PROJECT.secret.encode())
    assert not is_signed(first, shop.bodies[0] + b" ", PROJECT.secret.encode())
    assert not is_signed(first, shop.bodies[0], b"another secret")
    assert first["webhook-timestamp"] == str(NOW // 1000)
    assert first["webhook-id"] != second["webhook-id"]


async def test_standard_webhooks_secret_signs_with_its_decoded_bytes() -> None:
    key = bytes(range(32))
    shop = Shop(project=Project("7", "key", "whsec_" + base64.b64encode(key).decode()))
    await shop.call_handler()
    assert is_signed(shop.web.requests[0], shop.bodies[0], key)
    with pytest.raises(SettingsError, match="BELLCAST_PROJECT"):
        Shop(project=Project("7", "key", "whsec_not base64"))


async def test_events_of_a_callback_response_are_sent_in_order_to_the_caller_or_a_topic() -> None:
    emit = [
        {"name": "moved", "args": [1, 2]},
        {"name": "silent"},
        {"name": "moved", "args": [{"x": 1}], "to": "game.7"},
        {"name": "moved", "args": [1, 2], "to": "game.7"},
        {"name": "over", "to": "game.7"},
    ]
    shop = Shop(body={"reply": 1, "emit": emit})
    assert await shop.call_handler() == 1
    assert shop.recorder.actions == [
        ("emit", "moved", (1, 2)),
        ("emit", "silent", ()),
        ("publish", "game.7", "moved", {"x": 1}),
        ("publish", "game.7", "moved", [1, 2]),
        ("publish", "game.7", "over", None),
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"more": [1]}'])
async def test_response_without_a_reply_field_is_an_empty_reply(body: bytes) -> None:
    assert await Shop(body=body or b"").call_handler() is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {}),
        (302, {}),
        (401, {}),
        (201, {"reply": 1}),
        (200, b"ok"),
        (200, b"\xff"),
        (200, b'"ok"'),
        (200, b"[" * 100_000),
        (200, {"emit": {"name": "x"}}),
        (200, {"emit": [{"args": []}]}),
        (200, {"emit": [{"name": "x", "args": 7}]}),
        (200, {"emit": [{"name": "x", "to": 7}]}),
        (200, {"emit": [{"name": "x", "to": "no topic"}]}),
    ],
)
async def test_malformed_callback_response_fails_the_handler(status: int, body: Any) -> None:
    shop = Shop(status, body)
    with pytest.raises(HandlerFailed):
        await shop.call_handler()
    assert shop.recorder.actions == []


async def test_unreachable_callback_url_fails_the_handler() -> None:
    shop = Shop()
    shop.web.respond = lambda _: None
    with pytest.raises(HandlerFailed, match="'move'"):
        await shop.call_handler()


async def test_callback_status_404_means_no_handler() -> None:
    with pytest.raises(NoHandler):
        await Shop(404).call_handler()


@pytest.mark.parametrize("status", [500, 200, 404])
@pytest.mark.parametrize("name", ["connect", "disconnect"])
async def test_response_to_one_client_does_not_turn_the_handler_off_for_others(status: int, name: str) -> None:
    shop = Shop(status, b"{")
    for _ in range(3):
        assert shop.url.has(name)
        assert await shop.call_handler(name) is None
    assert len(shop.bodies) == 3


@pytest.mark.parametrize("status", [502, 503, 504, None])
async def test_callback_url_that_is_away_is_retried_after_a_delay(status: int | None) -> None:
    shop = Shop(status or 200)
    if status is None:
        shop.web.respond = lambda _: None
    for _ in range(3):
        for name in ("connect", "disconnect"):
            assert shop.url.has(name)
            assert await shop.call_handler(name) is None
    assert len(shop.bodies) == 2
    with pytest.raises(HandlerFailed):
        await shop.call_handler("move")  # other calls are still sent, and report the failure
    shop.clock.advance(10)
    assert await shop.call_handler("connect") is None
    assert len(shop.bodies) == 4
    shop.clock.advance(-3_600)  # set back
    assert await shop.call_handler("connect") is None
    assert len(shop.bodies) == 5


def broken_handlers() -> Handlers:
    """Handlers that accept an identity and then fail."""
    handlers = Handlers(namespaces=["/custom"])

    @handlers.on("connect")
    async def connect(call: Call) -> None:
        call.accept("mallory", roles=["admin"])
        raise KeyError("oops")

    @handlers.on("disconnect")
    async def disconnect(call: Call) -> None:
        raise KeyError("oops")

    return handlers


FAILING: dict[str, Callable[[], CallBackend]] = {
    "a function": broken_handlers,
    "a URL": lambda: Shop(500).url,
    "a URL without JSON": lambda: Shop(body=b"{").url,
}


@pytest.mark.parametrize("app", FAILING.values(), ids=FAILING)
async def test_failed_connect_callback_keeps_known_callers_and_rejects_the_rest(app: Callable[[], CallBackend]) -> None:
    for known in (
        call("connect"),
        call("connect", signs_in_late=True, recipient=None),
        call("disconnect"),
    ):
        assert await app().dispatch(known) is None
        assert known.accepted is None
    for unknown in (
        call("connect", recipient=None),
        call("connect", dialect="socketio", namespace="/custom"),
    ):
        with pytest.raises(Unavailable):
            await app().dispatch(unknown)
        assert unknown.accepted is None


@pytest.mark.parametrize(("status", "refusal"), [(404, Refused), (500, Unavailable)])
async def test_custom_namespace_requires_an_accepting_callback(status: int, refusal: type[Exception]) -> None:
    shop = Shop(status)
    assert shop.url.has_namespace("/custom")
    for _ in range(2):
        assert shop.url.has("connect")
        with pytest.raises(refusal):
            await shop.call_handler("connect", namespace="/custom", dialect="socketio")
    assert await Shop(200).call_handler("connect", namespace="/custom", dialect="socketio") is None


async def test_callback_response_sets_identity_and_topics() -> None:
    identity = {"recipient": "bob", "roles": ["admin"], "tenant": "acme"}
    shop = Shop(body={"accept": identity, "join": ["a", "b"], "leave": ["c"]})
    incoming = call("connect", {"login": "b"}, recorder=shop.recorder)
    assert await shop.url.dispatch(incoming) is None
    assert incoming.accepted == ConnectAccepted(recipient="bob", roles=("admin",), tenant="acme")
    assert shop.recorder.actions == [("join", "a"), ("join", "b"), ("leave", "c")]


async def test_callback_refusal_keeps_the_apps_message_and_data() -> None:
    with pytest.raises(Refused) as refused:
        await Shop(body={"refuse": {"message": "Not you.", "data": {"code": 13}}}).call_handler("connect")
    assert (refused.value.message, refused.value.data) == ("Not you.", {"code": 13})


async def test_accept_in_response_to_another_call_fails_the_handler() -> None:
    with pytest.raises(HandlerFailed):
        await Shop(body={"accept": {"recipient": "bob"}}).call_handler("move")


async def test_callback_request_names_the_namespace() -> None:
    shop = Shop()
    await shop.call_handler("move", dialect="socketio", namespace="/custom")
    assert json.loads(shop.bodies[0])["namespace"] == "/custom"
