import asyncio
import base64
import hashlib
import hmac
import json
import re
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.auth.fakes import NOW, PROJECT, FakeHttp, clock

from bellcast import calls
from bellcast.calls import Call, CallBackend, ConnectAccepted, Handlers, HttpCallback, Refused
from bellcast.errors import HandlerFailed, Invalid, NoHandler, SettingsError, Unavailable
from bellcast.model.identities import Project
from bellcast.ports import Response

URL = "https://shop.example/bell"


class Recorder:
    """A caller's connection that records the handler's actions."""

    def __init__(self) -> None:
        self.actions: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()

    def _record(self, *action: Any) -> None:
        self.threads.add(threading.get_ident())
        self.actions.append(action)

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        self._record("emit", name, args)

    async def publish(self, topic: str, name: str, data: Any) -> None:
        if " " in topic:
            raise Invalid.of("topic", "may not contain spaces")
        self._record("publish", topic, name, data)

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - the port's
        self._record("ask", name, args, timeout)
        return "yes"

    async def join(self, topic: str) -> None:
        self._record("join", topic)

    async def leave(self, topic: str) -> None:
        self._record("leave", topic)

    async def disconnect(self) -> None:
        self._record("disconnect")

    async def close(self, *, reconnect: bool) -> None:
        self._record("close", reconnect)


def call(name: str = "ask", *args: Any, recorder: Recorder | None = None, **fields: Any) -> Call:
    defaults = {"recipient": "alice", "connection": "c1", "dialect": "native"} | fields
    return Call(recorder or Recorder(), name, args, **defaults)


# --- the call


async def test_call_carries_the_request_and_its_caller() -> None:
    incoming = call("move", {"x": 1}, 2, tenant="acme", roles=["admin"], dialect="socketio", namespace="/game")
    assert (incoming.name, incoming.args, incoming.data) == ("move", ({"x": 1}, 2), {"x": 1})
    assert (incoming.recipient, incoming.roles, incoming.tenant) == ("alice", ("admin",), "acme")
    assert (incoming.connection, incoming.dialect, incoming.namespace) == ("c1", "socketio", "/game")


async def test_call_without_fields_has_no_data_roles_or_tenant_and_the_root_namespace() -> None:
    incoming = call("move", tenant="", recipient=None)
    assert (incoming.data, incoming.args, incoming.roles, incoming.tenant, incoming.namespace) == (
        None,
        (),
        (),
        None,
        "/",
    )
    assert (incoming.recipient, incoming.accepted) == (None, None)


async def test_handler_actions_reach_the_connection_in_order() -> None:
    recorder = Recorder()
    incoming = call(recorder=recorder)
    await incoming.emit("moved", 1, 2)
    await incoming.publish("game.7", "moved", {"x": 1})
    assert await incoming.ask("sure?", 3, timeout=1) == "yes"
    await incoming.join("game.7")
    await incoming.leave("game.6")
    await incoming.disconnect()
    await incoming.close(reconnect=False)
    assert recorder.actions == [
        ("emit", "moved", (1, 2)),
        ("publish", "game.7", "moved", {"x": 1}),
        ("ask", "sure?", (3,), 1),
        ("join", "game.7"),
        ("leave", "game.6"),
        ("disconnect",),
        ("close", False),
    ]


async def test_connect_handler_may_accept_an_identity_and_other_handlers_may_not() -> None:
    incoming = call("connect", {"ticket": 7}, recipient=None)
    incoming.accept("alice", roles=["admin"], tenant="acme")
    assert incoming.accepted == ConnectAccepted(recipient="alice", roles=("admin",), tenant="acme")
    incoming.accept("bob")
    assert incoming.accepted == ConnectAccepted(recipient="bob")
    with pytest.raises(RuntimeError, match="'connect' handler"):
        call("move").accept("alice")


# --- handlers in Python


async def test_handler_return_value_is_the_reply() -> None:
    handlers = Handlers()

    @handlers.on("double")
    async def double(call: Call) -> int:
        return int(call.data) * 2

    @handlers.on("pair")
    async def pair(call: Call) -> tuple[Any, ...]:
        return call.data, call.recipient

    @handlers.on("nothing")
    async def nothing(call: Call) -> None:
        await call.emit("heard")

    assert await handlers.dispatch(call("double", 21)) == 42
    assert await handlers.dispatch(call("pair", 1)) == (1, "alice")
    assert await handlers.dispatch(call("nothing")) is None
    assert await double(call("double", 2)) == 4  # the decorator leaves the function as it was


async def test_plain_function_runs_in_a_thread_and_still_reaches_the_connection() -> None:
    handlers, recorder = Handlers(), Recorder()
    ran_in: list[int] = []

    @handlers.on("report")
    def report(call: Call) -> str:
        ran_in.append(threading.get_ident())
        call.wait(call.emit("working"))
        reply: str = call.wait(call.ask("sure?"))
        return reply

    assert await handlers.dispatch(call("report", recorder=recorder)) == "yes"
    assert [action[0] for action in recorder.actions] == ["emit", "ask"]
    assert recorder.threads == {threading.get_ident()}
    assert ran_in != [threading.get_ident()]


async def test_slow_plain_function_blocks_no_other_handler() -> None:
    handlers = Handlers()
    released = threading.Event()

    @handlers.on("slow")
    def slow(call: Call) -> str:
        return "done" if released.wait(60) else "never released"

    @handlers.on("quick")
    async def quick(call: Call) -> None:
        released.set()

    replies = await asyncio.gather(handlers.dispatch(call("slow")), handlers.dispatch(call("quick")))
    assert replies == ["done", None]


async def test_any_callable_can_be_a_handler() -> None:
    class Doubling:
        async def __call__(self, call: Call) -> int:
            return int(call.data) * 2

    handlers = Handlers()
    handlers.on("double")(Doubling())
    assert await handlers.dispatch(call("double", 4)) == 8


async def test_refusal_reaches_the_caller_with_its_data() -> None:
    handlers = Handlers()

    @handlers.on("connect")
    async def connect(call: Call) -> None:
        raise Refused("not today", data={"retry": False})

    with pytest.raises(Refused) as caught:
        await handlers.dispatch(call("connect"))
    assert (caught.value.message, caught.value.data, str(caught.value)) == ("not today", {"retry": False}, "not today")


@pytest.mark.parametrize(
    "failure", [KeyError("my secret"), Invalid.of("x", "my secret"), SystemError(), TimeoutError()]
)
async def test_unexpected_exception_fails_the_handler_and_discloses_nothing(
    failure: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = Handlers()

    @handlers.on("fail")
    async def fail(call: Call) -> None:
        raise failure

    with pytest.raises(HandlerFailed) as caught:
        await handlers.dispatch(call("fail"))
    assert "secret" not in caught.value.detail
    assert type(failure).__name__ in capsys.readouterr().out  # the log


@pytest.mark.parametrize("reply", [object(), {1: object()}, lambda: 1, {object(): 1}])
async def test_unencodable_reply_fails_the_handler(reply: object) -> None:
    handlers = Handlers()
    handlers.on("odd")(lambda call: reply)
    with pytest.raises(HandlerFailed):
        await handlers.dispatch(call("odd"))


async def test_unknown_name_has_no_handler() -> None:
    handlers = Handlers()
    handlers.on("known")(lambda call: None)
    assert handlers.has("known")
    assert not handlers.has("unknown")
    with pytest.raises(NoHandler, match="'unknown'"):
        await handlers.dispatch(call("unknown"))


def test_second_handler_for_a_name_is_rejected() -> None:
    handlers = Handlers()
    handlers.on("move")(lambda call: 1)
    with pytest.raises(ValueError, match="'move' is already registered"):
        handlers.on("move")


def test_clients_may_enter_the_root_and_declared_namespaces_only() -> None:
    handlers = Handlers(namespaces=["/custom", re.compile(r"/room-\d+")])
    for namespace in ("/", "/custom", "/room-7"):
        assert handlers.has_namespace(namespace)
    for namespace in ("", "/Custom", "/custom/", "/room-7x", "/x/room-7", "/room-"):
        assert not handlers.has_namespace(namespace)
    assert not Handlers().has_namespace("/custom")


def test_namespace_without_a_slash_is_rejected() -> None:
    with pytest.raises(ValueError, match="begin with a slash"):
        Handlers(namespaces=["custom"])


# --- the app's URL


Respond = Callable[[dict[str, str]], Response | None]


class Shop:
    """The app behind the callback URL."""

    def __init__(self, status: int = 200, body: Any = None, project: Project = PROJECT) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self.bodies: list[bytes] = []
        self.web = BodyRecordingHttp(lambda _: Response(status, {}, raw), self.bodies)
        self.recorder = Recorder()
        self.clock = clock()
        self.url = HttpCallback(URL, project, self.web, self.clock)

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
    assert await shop.call_handler("move", {"x": 1}, "fast", tenant="acme", roles=["admin"], dialect="socketio") == {
        "ok": True
    }
    assert json.loads(shop.bodies[0]) == {
        "name": "move",
        "args": [{"x": 1}, "fast"],
        "recipient": "alice",
        "tenant": "acme",
        "roles": ["admin"],
        "connection": "c1",
        "dialect": "socketio",
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


async def test_connection_callbacks_pause_for_a_minute_after_a_404() -> None:
    shop = Shop(404)
    for name in ("connect", "disconnect"):
        assert shop.url.has(name)
        assert await shop.call_handler(name) is None
        assert not shop.url.has(name)
        shop.clock.advance(60)
        assert shop.url.has(name)


async def test_failing_callback_url_is_retried_after_a_delay() -> None:
    shop = Shop(500)
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
        call("connect", dialect="pusher", recipient=None),
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
        assert shop.url.has("connect", "/custom")
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


# --- the backend


async def test_backend_is_the_handlers_or_that_of_the_present_url() -> None:
    handlers = Handlers()
    assert calls.backend_for(handlers, lambda: URL, PROJECT, FakeHttp(), clock()) is handlers
    urls: list[str | None] = [URL]
    absent = calls.backend_for(None, lambda: urls[-1], PROJECT, FakeHttp(), clock())
    assert absent.has("move")
    assert absent.has_namespace("/custom")
    urls.append(None)
    assert not absent.has("move")
    assert absent.has_namespace("/")
    assert not absent.has_namespace("/custom")
    with pytest.raises(NoHandler, match="BELLCAST_HANDLERS or BELLCAST_HANDLER_URL"):
        await absent.dispatch(call())


@pytest.fixture
def app_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that contains the app's package."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "corner_shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "bells.py").write_text(
        textwrap.dedent("""
            from bellcast.calls import Handlers
            handlers = Handlers()
            class Inner:
                handlers = Handlers()
            number = 7
        """)
    )
    (package / "broken.py").write_text("import no_such_module_anywhere")
    (package / "raising.py").write_text("raise OSError('no database')")
    return tmp_path


@pytest.fixture(autouse=True)
def fresh_imports() -> Any:
    """Remove the app's modules from `sys.modules` after each test."""
    yield
    for name in [name for name in sys.modules if name.startswith("corner_shop")]:
        del sys.modules[name]


@pytest.mark.usefixtures("app_folder")
def test_handlers_load_by_name_from_the_working_directory() -> None:
    assert isinstance(calls.load("corner_shop.bells:handlers"), Handlers)
    assert isinstance(calls.load("corner_shop.bells:Inner.handlers"), Handlers)
    assert calls.load("corner_shop.bells:handlers") is calls.load("corner_shop.bells:handlers")


@pytest.mark.usefixtures("app_folder")
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("corner_shop.missing:handlers", "ModuleNotFoundError"),
        ("corner_shop.bells:missing", "AttributeError"),
        ("corner_shop.bells:number", "must be bellcast.Handlers, got int"),
        ("corner_shop.bells:Handlers", "got type"),
        ("corner_shop.broken:handlers", "no_such_module_anywhere"),
        ("corner_shop.raising:handlers", "OSError: no database"),
    ],
)
def test_unloadable_handlers_stop_the_start_with_the_reason(target: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        calls.load(target)
    assert caught.value.detail.startswith("BELLCAST_HANDLERS: corner_shop")
    assert reason in caught.value.detail
