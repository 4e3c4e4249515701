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
from tests.unit.auth.world import NOW, PROJECT, Web, clock

from bellcast import calls
from bellcast.calls import Accepted, Call, CallBackend, Handlers, HttpCallback, NoBackend, Refused
from bellcast.errors import HandlerFailed, Invalid, NoHandler, SettingsError, Unavailable
from bellcast.model.identities import Project
from bellcast.ports import Response

URL = "https://shop.example/bell"


class Line:
    """A caller's connection that writes down what is done to it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()

    def _did(self, *what: Any) -> None:
        self.threads.add(threading.get_ident())
        self.done.append(what)

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        self._did("emit", name, args)

    async def publish(self, topic: str, name: str, data: Any) -> None:
        if " " in topic:
            raise Invalid.of("topic", "may not contain spaces")
        self._did("publish", topic, name, data)

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - the port's
        self._did("ask", name, args, timeout)
        return "yes"

    async def join(self, topic: str) -> None:
        self._did("join", topic)

    async def leave(self, topic: str) -> None:
        self._did("leave", topic)

    async def disconnect(self) -> None:
        self._did("disconnect")

    async def close(self, *, reconnect: bool) -> None:
        self._did("close", reconnect)


def call(name: str = "ask", *args: Any, line: Line | None = None, **more: Any) -> Call:
    about = {"recipient": "alice", "connection": "c1", "dialect": "native"} | more
    return Call(line or Line(), name, args, **about)


# --- the call


async def test_a_call_says_what_was_asked_and_by_whom() -> None:
    asked = call("move", {"x": 1}, 2, tenant="acme", roles=["admin"], dialect="socketio", namespace="/game")
    assert (asked.name, asked.args, asked.data) == ("move", ({"x": 1}, 2), {"x": 1})
    assert (asked.recipient, asked.roles, asked.tenant) == ("alice", ("admin",), "acme")
    assert (asked.connection, asked.dialect, asked.namespace) == ("c1", "socketio", "/game")


async def test_a_call_without_more_has_no_data_no_roles_no_tenant_and_the_root_namespace() -> None:
    asked = call("move", tenant="", recipient=None)
    assert (asked.data, asked.args, asked.roles, asked.tenant, asked.namespace) == (None, (), (), None, "/")
    assert (asked.recipient, asked.accepted) == (None, None)


async def test_what_a_handler_does_reaches_the_connection_in_order() -> None:
    line = Line()
    asked = call(line=line)
    await asked.emit("moved", 1, 2)
    await asked.publish("game.7", "moved", {"x": 1})
    assert await asked.ask("sure?", 3, timeout=1) == "yes"
    await asked.join("game.7")
    await asked.leave("game.6")
    await asked.disconnect()
    await asked.close(reconnect=False)
    assert line.done == [
        ("emit", "moved", (1, 2)),
        ("publish", "game.7", "moved", {"x": 1}),
        ("ask", "sure?", (3,), 1),
        ("join", "game.7"),
        ("leave", "game.6"),
        ("disconnect",),
        ("close", False),
    ]


async def test_a_newcomer_may_be_let_in_as_somebody_when_it_connects_and_only_then() -> None:
    newcomer = call("connect", {"ticket": 7}, recipient=None)
    newcomer.accept("alice", roles=["admin"], tenant="acme")
    assert newcomer.accepted == Accepted(recipient="alice", roles=("admin",), tenant="acme")
    newcomer.accept("bob")
    assert newcomer.accepted == Accepted(recipient="bob")
    with pytest.raises(RuntimeError, match="'connect' handler"):
        call("move").accept("alice")


# --- handlers in Python


async def test_a_handlers_return_is_the_reply() -> None:
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


async def test_a_plain_function_runs_in_a_thread_and_still_reaches_the_connection() -> None:
    handlers, line = Handlers(), Line()
    ran_in: list[int] = []

    @handlers.on("report")
    def report(call: Call) -> str:
        ran_in.append(threading.get_ident())
        call.wait(call.emit("working"))
        answer: str = call.wait(call.ask("sure?"))
        return answer

    assert await handlers.dispatch(call("report", line=line)) == "yes"
    assert [what[0] for what in line.done] == ["emit", "ask"]
    assert line.threads == {threading.get_ident()}
    assert ran_in != [threading.get_ident()]


async def test_a_plain_function_that_takes_its_time_holds_up_nobody() -> None:
    handlers = Handlers()
    released = threading.Event()

    @handlers.on("slow")
    def slow(call: Call) -> str:
        return "done" if released.wait(10) else "never released"

    @handlers.on("quick")
    async def quick(call: Call) -> None:
        released.set()

    replies = await asyncio.gather(handlers.dispatch(call("slow")), handlers.dispatch(call("quick")))
    assert replies == ["done", None]


async def test_whatever_can_be_called_can_answer() -> None:
    class Doubling:
        async def __call__(self, call: Call) -> int:
            return int(call.data) * 2

    handlers = Handlers()
    handlers.on("double")(Doubling())
    assert await handlers.dispatch(call("double", 4)) == 8


async def test_a_refusal_reaches_the_caller_with_its_data() -> None:
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
async def test_any_other_exception_is_a_failed_handler_and_tells_nothing(
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
async def test_a_reply_no_client_could_read_is_a_failed_handler(reply: object) -> None:
    handlers = Handlers()
    handlers.on("odd")(lambda call: reply)
    with pytest.raises(HandlerFailed):
        await handlers.dispatch(call("odd"))


async def test_an_unknown_name_has_no_handler() -> None:
    handlers = Handlers()
    handlers.on("known")(lambda call: None)
    assert handlers.has("known")
    assert not handlers.has("unknown")
    with pytest.raises(NoHandler, match="'unknown'"):
        await handlers.dispatch(call("unknown"))


def test_one_name_has_one_handler() -> None:
    handlers = Handlers()
    handlers.on("move")(lambda call: 1)
    with pytest.raises(ValueError, match="'move' has a handler already"):
        handlers.on("move")


def test_clients_enter_the_root_and_the_namespaces_that_were_named() -> None:
    handlers = Handlers(namespaces=["/custom", re.compile(r"/room-\d+")])
    for namespace in ("/", "/custom", "/room-7"):
        assert handlers.has_namespace(namespace)
    for namespace in ("", "/Custom", "/custom/", "/room-7x", "/x/room-7", "/room-"):
        assert not handlers.has_namespace(namespace)
    assert not Handlers().has_namespace("/custom")


def test_a_namespace_without_its_slash_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="begins with a slash"):
        Handlers(namespaces=["custom"])


# --- the app's URL


Answer = Callable[[dict[str, str]], Response | None]


class Shop:
    """The app behind the URL."""

    def __init__(self, status: int = 200, body: Any = None, project: Project = PROJECT) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self.bodies: list[bytes] = []
        self.web = Posted(lambda _: Response(status, {}, raw), self.bodies)
        self.line = Line()
        self.clock = clock()
        self.url = HttpCallback(URL, project, self.web, self.clock)

    async def answer(self, name: str = "move", *args: Any, **more: Any) -> Any:
        return await self.url.dispatch(call(name, *args, line=self.line, **more))


class Posted(Web):
    """A server that keeps the bodies too."""

    def __init__(self, answer: Answer, bodies: list[bytes]) -> None:
        super().__init__(answer)
        self.bodies = bodies

    async def request(
        self, method: str, url: str, *, headers: dict[str, str], body: bytes = b"", **more: Any
    ) -> Response:
        self.bodies.append(body)
        assert more == {"timeout": 5.0}
        return await super().request(method, url, headers=headers, body=body)


async def test_the_url_gets_the_call_as_json() -> None:
    shop = Shop(body={"reply": {"ok": True}})
    assert await shop.answer("move", {"x": 1}, "fast", tenant="acme", roles=["admin"], dialect="socketio") == {
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
    asked = shop.web.asked[0]
    assert (asked["method"], asked["url"], asked["content-type"]) == ("POST", URL, "application/json")


def verifies(asked: dict[str, str], body: bytes, key: bytes) -> bool:
    """The receiver's side, as the Standard Webhooks specification has it."""
    content = b".".join([asked["webhook-id"].encode(), asked["webhook-timestamp"].encode(), body])
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return asked["webhook-signature"] == f"v1,{expected}"


async def test_the_url_can_tell_who_asked_and_when() -> None:
    shop = Shop()
    await shop.answer()
    await shop.answer()
    first, second = shop.web.asked
    assert verifies(first, shop.bodies[0], PROJECT.secret.encode())
    assert not verifies(first, shop.bodies[0] + b" ", PROJECT.secret.encode())
    assert not verifies(first, shop.bodies[0], b"another secret")
    assert first["webhook-timestamp"] == str(NOW // 1000)
    assert first["webhook-id"] != second["webhook-id"]


async def test_a_secret_in_standard_webhooks_own_writing_signs_with_its_bytes() -> None:
    key = bytes(range(32))
    shop = Shop(project=Project("7", "key", "whsec_" + base64.b64encode(key).decode()))
    await shop.answer()
    assert verifies(shop.web.asked[0], shop.bodies[0], key)
    with pytest.raises(SettingsError, match="BELLCAST_PROJECT"):
        Shop(project=Project("7", "key", "whsec_not base64"))


async def test_what_the_url_emits_goes_out_before_the_reply_to_the_caller_or_a_topic() -> None:
    emit = [
        {"name": "moved", "args": [1, 2]},
        {"name": "silent"},
        {"name": "moved", "args": [{"x": 1}], "to": "game.7"},
        {"name": "moved", "args": [1, 2], "to": "game.7"},
        {"name": "over", "to": "game.7"},
    ]
    shop = Shop(body={"reply": 1, "emit": emit})
    assert await shop.answer() == 1
    assert shop.line.done == [
        ("emit", "moved", (1, 2)),
        ("emit", "silent", ()),
        ("publish", "game.7", "moved", {"x": 1}),
        ("publish", "game.7", "moved", [1, 2]),
        ("publish", "game.7", "over", None),
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"more": [1]}'])
async def test_an_answer_without_a_reply_is_an_empty_one(body: bytes) -> None:
    assert await Shop(body=body or b"").answer() is None


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
async def test_an_app_that_answers_anything_else_has_failed(status: int, body: Any) -> None:
    shop = Shop(status, body)
    with pytest.raises(HandlerFailed):
        await shop.answer()
    assert shop.line.done == []


async def test_an_app_that_is_away_has_failed() -> None:
    shop = Shop()
    shop.web.answer = lambda _: None
    with pytest.raises(HandlerFailed, match="'move'"):
        await shop.answer()


async def test_an_app_that_knows_no_such_call_says_404() -> None:
    with pytest.raises(NoHandler):
        await Shop(404).answer()


async def test_the_url_is_asked_about_comings_until_it_says_that_nobody_answers_them() -> None:
    shop = Shop(404)
    for name in ("connect", "disconnect"):
        assert shop.url.has(name)
        assert await shop.answer(name) is None
        assert not shop.url.has(name)
        shop.clock.advance(60)
        assert shop.url.has(name)


async def test_a_url_that_fails_is_left_alone_for_a_moment() -> None:
    shop = Shop(500)
    for _ in range(3):
        for name in ("connect", "disconnect"):
            assert shop.url.has(name)
            assert await shop.answer(name) is None
    assert len(shop.bodies) == 2
    with pytest.raises(HandlerFailed):
        await shop.answer("move")  # whoever asks something is told
    shop.clock.advance(10)
    assert await shop.answer("connect") is None
    assert len(shop.bodies) == 4


def broken() -> Handlers:
    """An app whose handlers say who it is, and fail then."""
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
    "a function": broken,
    "a URL": lambda: Shop(500).url,
    "a URL that says no JSON": lambda: Shop(body=b"{").url,
}


@pytest.mark.parametrize("app", FAILING.values(), ids=FAILING)
async def test_of_a_newcomer_on_whom_the_app_has_no_word_a_session_decides(app: Callable[[], CallBackend]) -> None:
    for known in (call("connect"), call("connect", dialect="pusher", recipient=None), call("disconnect")):
        assert await app().dispatch(known) is None
        assert known.accepted is None
    for stranger in (call("connect", recipient=None), call("connect", dialect="socketio", namespace="/custom")):
        with pytest.raises(Unavailable):
            await app().dispatch(stranger)
        assert stranger.accepted is None


@pytest.mark.parametrize(("status", "refusal"), [(404, Refused), (500, Unavailable)])
async def test_a_namespace_of_the_apps_is_entered_by_its_word_alone(status: int, refusal: type[Exception]) -> None:
    shop = Shop(status)
    assert shop.url.has_namespace("/custom")
    for _ in range(2):
        assert shop.url.has("connect", "/custom")
        with pytest.raises(refusal):
            await shop.answer("connect", namespace="/custom", dialect="socketio")
    assert await Shop(200).answer("connect", namespace="/custom", dialect="socketio") is None


async def test_the_url_says_who_a_newcomer_is_and_what_it_follows() -> None:
    word = {"recipient": "bob", "roles": ["admin"], "tenant": "acme"}
    shop = Shop(body={"accept": word, "join": ["a", "b"], "leave": ["c"]})
    asked = call("connect", {"login": "b"}, line=shop.line)
    assert await shop.url.dispatch(asked) is None
    assert asked.accepted == Accepted(recipient="bob", roles=("admin",), tenant="acme")
    assert shop.line.done == [("join", "a"), ("join", "b"), ("leave", "c")]


async def test_the_url_refuses_in_its_own_words() -> None:
    with pytest.raises(Refused) as refused:
        await Shop(body={"refuse": {"message": "Not you.", "data": {"code": 13}}}).answer("connect")
    assert (refused.value.message, refused.value.data) == ("Not you.", {"code": 13})


async def test_only_a_newcomer_is_accepted() -> None:
    with pytest.raises(HandlerFailed):
        await Shop(body={"accept": {"recipient": "bob"}}).answer("move")


async def test_the_url_is_told_the_namespace_where_there_are_several() -> None:
    shop = Shop()
    await shop.answer("move", dialect="socketio", namespace="/custom")
    assert json.loads(shop.bodies[0])["namespace"] == "/custom"


# --- who answers


def answerer(handlers: Handlers | None, url: str | None) -> CallBackend:
    return calls.backend_for(handlers, url, PROJECT, Web(), clock())


async def test_the_apps_handlers_answer_or_its_url_or_nobody() -> None:
    handlers = Handlers()
    assert answerer(handlers, None) is handlers
    assert isinstance(answerer(None, URL), HttpCallback)
    nobody = answerer(None, None)
    assert isinstance(nobody, NoBackend)
    assert not nobody.has("move")
    assert nobody.has_namespace("/")
    assert not nobody.has_namespace("/custom")
    with pytest.raises(NoHandler, match="BELLCAST_HANDLERS or BELLCAST_HANDLER_URL"):
        await nobody.dispatch(call())


@pytest.fixture
def app_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the app in it, where the server is started."""
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
def forgotten() -> Any:
    """Each test imports anew."""
    yield
    for name in [name for name in sys.modules if name.startswith("corner_shop")]:
        del sys.modules[name]


@pytest.mark.usefixtures("app_folder")
def test_handlers_are_found_by_their_name_from_the_folder_the_server_starts_in() -> None:
    assert isinstance(calls.load("corner_shop.bells:handlers"), Handlers)
    assert isinstance(calls.load("corner_shop.bells:Inner.handlers"), Handlers)
    assert calls.load("corner_shop.bells:handlers") is calls.load("corner_shop.bells:handlers")


@pytest.mark.usefixtures("app_folder")
@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("corner_shop.missing:handlers", "ModuleNotFoundError"),
        ("corner_shop.bells:missing", "AttributeError"),
        ("corner_shop.bells:number", "must be bellcast.Handlers, got int"),
        ("corner_shop.bells:Handlers", "got type"),
        ("corner_shop.broken:handlers", "no_such_module_anywhere"),
        ("corner_shop.raising:handlers", "OSError: no database"),
    ],
)
def test_handlers_that_cannot_be_loaded_stop_the_start_with_the_reason(target: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        calls.load(target)
    assert caught.value.detail.startswith("BELLCAST_HANDLERS: corner_shop")
    assert says in caught.value.detail
