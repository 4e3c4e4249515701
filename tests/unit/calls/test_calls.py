import asyncio
import json
import re
import sys
import textwrap
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bellcast import calls
from bellcast.calls import MAX_BODY, Call, Callbacks, ConnectAccepted, Handlers, Refused
from bellcast.kernel.errors import HandlerFailed, Invalid, NoHandler, SettingsError
from bellcast.kernel.outbound import sign, signing_key
from tests.unit.auth.fakes import PROJECT, FakeHttp, clock

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


@pytest.mark.parametrize("missing", [None, "", " ", True])
async def test_connect_handler_accepts_no_recipient_without_an_id(missing: Any) -> None:
    incoming = call("connect", recipient=None)
    with pytest.raises(HandlerFailed, match="expects the id of a recipient"):
        incoming.accept(missing)
    assert incoming.accepted is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"roles": "admin"}, "expects a list of roles, got 'admin'"),
        ({"roles": ["admin", 7]}, "expects a list of roles, got .'admin', 7."),
        ({"tenant": 7}, "expects the key of a tenant, got 7"),
    ],
)
async def test_connect_handler_accepts_only_a_list_of_texts_as_roles_and_a_text_as_tenant(
    names: dict[str, Any], message: str
) -> None:
    incoming = call("connect", recipient=None)
    with pytest.raises(HandlerFailed, match=message):
        incoming.accept("alice", **names)
    assert incoming.accepted is None


async def test_connect_handler_accepts_a_number_as_the_id_that_it_reads_as() -> None:
    incoming = call("connect", recipient=None)
    incoming.accept(7)
    assert incoming.accepted is not None
    assert incoming.accepted.recipient == "7"


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


@pytest.mark.parametrize("refusal", [("no", object()), ("\udce9", None)], ids=["data", "message"])
async def test_refusal_that_cannot_be_encoded_is_a_failure_of_the_handler(refusal: tuple[str, Any]) -> None:
    handlers = Handlers()

    @handlers.on("move")
    async def move(call: Call) -> None:
        raise Refused(refusal[0], data=refusal[1])

    with pytest.raises(HandlerFailed):  # the caller would get no reply
        await handlers.dispatch(call("move"))


@pytest.mark.parametrize("topic", [7, None, "\udce9"])
async def test_topic_that_is_no_text_is_refused_in_the_handler(topic: Any) -> None:
    recorder = Recorder()
    incoming = call(recorder=recorder)
    with pytest.raises(HandlerFailed, match="name of a topic"):
        await incoming.join(topic)
    with pytest.raises(HandlerFailed, match="name of a topic"):
        await incoming.publish(topic, "moved")
    assert recorder.actions == []


async def test_event_of_a_connect_handler_that_cannot_be_encoded_fails_before_the_connection_depends_on_it() -> None:
    recorder = Recorder()
    incoming = call("connect", recorder=recorder)
    with pytest.raises(TypeError):
        await incoming.emit("welcome", object())
    await incoming.emit("welcome", b"binary", {"x": 1})
    assert recorder.actions == [("emit", "welcome", (b"binary", {"x": 1}))]


async def test_wait_in_an_async_handler_is_an_error_instead_of_a_deadlock() -> None:
    handlers, recorder = Handlers(), Recorder()

    @handlers.on("report")
    async def report(call: Call) -> None:
        call.wait(call.emit("working"))

    with pytest.raises(HandlerFailed):
        await handlers.dispatch(call("report", recorder=recorder))
    assert recorder.actions == []


@pytest.mark.parametrize("moment", ["9" * 400, "9" * 5000, "1e3", ""])
def test_callback_with_an_unreadable_time_is_refused(moment):
    headers = {"webhook-id": "call_1", "webhook-timestamp": moment, "webhook-signature": "v1,x"}
    assert Callbacks({}, "secret").answer(headers, b"{}")[0] == 401


async def test_callbacks_are_an_asgi_app() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield body[:9]
        yield body[9:]

    body, moment = b'{"name": "double", "args": [4]}', 1_800_000_000
    headers = sign([signing_key("secret")], "call_1", moment, body)
    callbacks = Callbacks({"double": lambda call: call.data * 2}, "secret", clock=lambda: float(moment))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(callbacks), base_url="http://app") as http:
        response = await http.post("/bell-calls", content=parts(), headers=headers)
        unsigned = await http.post("/bell-calls", content=body)
    assert (response.status_code, response.json()["reply"]) == (200, 8)
    assert (unsigned.status_code, unsigned.headers["content-type"]) == (401, "application/json")


@pytest.mark.parametrize("name", ["connect", "move"])
async def test_callbacks_answer_a_call_whose_handler_fails(name: str) -> None:
    def fail(_: Call) -> None:
        raise RuntimeError("a secret of the app")

    body, moment = json.dumps({"name": name}).encode(), 1_800_000_000
    headers = sign([signing_key("secret")], "call_1", moment, body)
    callbacks = Callbacks({name: fail}, "secret", clock=lambda: float(moment))
    status, response = await callbacks.answer_async(headers, body)
    assert (status, list(response), "secret" in response["detail"]) == (500, ["detail"], False)


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_callbacks_refuse_other_scopes_than_http(kind: str) -> None:
    async def unused(*message: object) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match=f"^Callbacks serves HTTP requests, not {kind}$"):
        await Callbacks({}, "secret")({"type": kind}, unused, unused)


async def test_callbacks_read_a_body_of_limited_size() -> None:
    read = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 2 * MAX_BODY:
            read += 1_000_000
            yield bytes(1_000_000)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(Callbacks({}, "secret")), base_url="http://app") as http:
        refused = await http.post("/bell-calls", content=parts())
    assert (refused.status_code, refused.json()["detail"]) == (413, f"The body has more than {MAX_BODY} bytes.")
    assert read <= MAX_BODY + 1_000_000


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


# --- the backend


async def test_url_that_is_removed_handles_no_calls() -> None:
    urls: list[str | None] = [URL]
    absent = calls.HttpCallback(lambda: urls[-1], PROJECT, FakeHttp(), clock())
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
