"""The WebSocket of hand-written notification systems, with the session cookie of a user."""

import asyncio
import queue
import threading

import pytest

RESPONSE_SECONDS = 20.0


class Socket:
    """A client of NotificationSocket in this process. The application runs in its own thread."""

    def __init__(self, cookies, **headers):
        named = {
            "host": "testserver",
            "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        } | headers
        self._scope = {
            "type": "websocket",
            "path": "/ws/notifications/",
            "headers": [
                (name.encode(), value.encode())
                for name, values in named.items()
                for value in ([values] if isinstance(values, str) else values)
            ],
        }
        self._sent = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._incoming = asyncio.Queue()
        self._thread = threading.Thread(target=self._run)
        self.put("websocket.connect")
        self._thread.start()

    def _run(self):
        from bellcast.contrib.django.asgi import NotificationSocket

        async def send(message):
            self._sent.put(message)

        self._loop.run_until_complete(NotificationSocket.as_asgi()(self._scope, self._incoming.get, send))

    def put(self, type, **fields):
        self._loop.call_soon_threadsafe(self._incoming.put_nowait, {"type": type, **fields})

    def next(self):
        return self._sent.get(timeout=RESPONSE_SECONDS)

    def next_json(self):
        import json

        return json.loads(self.next()["text"])

    def close(self):
        self.put("websocket.disconnect")
        self._thread.join(RESPONSE_SECONDS)
        self._loop.close()


@pytest.fixture
def connect():
    opened = []

    def connect(client=None, **headers):
        cookies = {name: morsel.value for name, morsel in client.cookies.items()} if client else {}
        opened.append(Socket(cookies, **headers))
        return opened[-1]

    yield connect
    for socket in opened:
        socket.close()


@pytest.fixture
def signed_in(shop):
    from django.test import Client

    client = Client()
    client.force_login(shop.nadia)
    return client


def test_socket_sends_notifications_and_counts(shop, signed_in, connect, relay):
    from bellcast.contrib.django import NotificationService
    from tests.django.test_rest import FIELDS

    socket = connect(signed_in, origin="http://testserver")
    assert socket.next()["type"] == "websocket.accept"
    assert socket.next_json() == {"type": "notification_count", "count": 0}
    NotificationService.send_notification(shop.nadia, "New sale", "Text", "sale", metadata={"id": 7})
    relay()
    notification = socket.next_json()
    assert (notification["type"], list(notification["data"])) == ("notification", FIELDS)
    assert (notification["data"]["title"], notification["data"]["metadata"]) == ("New sale", {"id": 7})
    assert socket.next_json() == {"type": "notification_count", "count": 1}
    NotificationService.mark_all_as_read(shop.nadia)
    assert socket.next_json() == {"type": "notification_count", "count": 0}
    socket.put("websocket.receive", text="ping")
    assert socket.next() == {"type": "websocket.send", "text": "pong"}
    socket.put("websocket.receive", text='{"type": "ping"}')
    assert socket.next_json() == {"type": "pong"}


def test_session_is_found_in_cookies_with_headers_of_their_own(signed_in, connect):
    """Over HTTP/2, a client may send them so."""
    socket = connect(cookie=[f"sessionid={signed_in.cookies['sessionid'].value}", "theme=dark"])
    assert socket.next()["type"] == "websocket.accept"
    assert socket.next_json() == {"type": "notification_count", "count": 0}


def test_separators_of_unicode_do_not_end_a_line(shop, signed_in, connect, relay):
    from bellcast.contrib.django import NotificationService

    socket = connect(signed_in)
    assert socket.next()["type"] == "websocket.accept"
    assert socket.next_json()["type"] == "notification_count"
    text = "one\u2028two\u2029three\x85four"
    NotificationService.send_notification(shop.nadia, "Pasted", "Text", metadata={"text": text})
    relay()
    assert socket.next_json()["data"]["metadata"] == {"text": text}


def fail_at_first(monkeypatch, error):
    """Let the first attempt to follow an inbox fail."""
    from bellcast.contrib.django import identity

    errors, original = [error], identity.session_token

    def session_token(*args):
        if errors:
            raise errors.pop()
        return original(*args)

    monkeypatch.setattr(identity, "session_token", session_token)


def test_socket_waits_for_an_unavailable_server_that_signs_its_tokens(shop, signed_in, connect, monkeypatch):
    from bellcast.client import Unavailable

    fail_at_first(monkeypatch, Unavailable("no response"))
    socket = connect(signed_in)
    assert socket.next()["type"] == "websocket.accept"
    assert socket.next_json() == {"type": "notification_count", "count": 0}


def test_unforeseen_error_ends_the_socket(shop, signed_in, monkeypatch):
    from bellcast.contrib.django.asgi import NotificationSocket

    fail_at_first(monkeypatch, ZeroDivisionError())
    scope = {"type": "websocket", "path": "/ws/notifications/", "headers": [], "user": shop.nadia}

    async def serve():
        incoming, sent = asyncio.Queue(), asyncio.Queue()
        incoming.put_nowait({"type": "websocket.connect"})
        async with asyncio.timeout(RESPONSE_SECONDS):
            await NotificationSocket.as_asgi()(scope, incoming.get, sent.put)

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(serve())
    assert raised.group_contains(ZeroDivisionError)


def test_socket_beside_django_has_its_path_and_django_all_others(shop, monkeypatch):
    from bellcast.contrib.django import relaying
    from bellcast.contrib.django.asgi import NotificationSocket

    async def pages(scope, receive, send):
        await send({"type": f"page {scope['path']}"})

    async def serve(application, *messages, **scope):
        incoming, sent = asyncio.Queue(), []
        for type in messages:
            incoming.put_nowait({"type": type})

        async def send(message):
            sent.append((message["type"], message.get("code")))

        async with asyncio.timeout(RESPONSE_SECONDS):
            await application({"headers": [(b"host", b"testserver")], **scope}, incoming.get, send)
        return sent

    finished = []
    monkeypatch.setattr(relaying, "finish", lambda: finished.append(True))
    application = NotificationSocket.beside(pages, "/live/")
    assert asyncio.run(serve(application, type="http", path="/sales/")) == [("page /sales/", None)]
    connected = asyncio.run(serve(application, "websocket.connect", type="websocket", path="/live/"))
    assert connected == [("websocket.accept", None), ("websocket.close", 4401)]
    below = {"type": "websocket", "root_path": "/app", "path": "/app/live/"}
    assert asyncio.run(serve(application, "websocket.connect", **below)) == connected
    other = asyncio.run(serve(application, "websocket.connect", type="websocket", path="/ws/notifications/"))
    assert other == [("websocket.close", 1000)]
    assert finished == []
    asyncio.run(serve(application, "lifespan.startup", "lifespan.shutdown", type="lifespan"))
    assert finished == [True]


def test_anonymous_socket_is_closed(shop, connect):
    socket = connect()
    assert [socket.next(), socket.next()] == [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 4401}]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://[", "http://[::1", "http://testserver@evil.example", ""]
)
def test_socket_of_another_site_is_refused(signed_in, connect, origin):
    socket = connect(signed_in, origin=origin)
    assert socket.next() == {"type": "websocket.close", "code": 403}


@pytest.mark.parametrize(
    ("origin", "is_trusted"),
    [
        ("https://shop.example.com", True),
        ("https://example.com", True),
        ("https://app.example.org:8443", True),
        ("http://shop.example.com", False),
        ("https://shop.example.com.evil.example", False),
        ("https://app.example.org", False),
    ],
)
def test_socket_of_a_trusted_origin_is_accepted(signed_in, connect, origin, is_trusted):
    from django.test import override_settings

    with override_settings(CSRF_TRUSTED_ORIGINS=["https://*.example.com", "https://app.example.org:8443"]):
        opened = connect(signed_in, origin=origin).next()
    assert opened["type"] == ("websocket.accept" if is_trusted else "websocket.close")


def test_socket_of_an_opaque_origin_is_refused_without_a_host(signed_in, connect):
    socket = connect(signed_in, origin="null", host="")
    assert socket.next() == {"type": "websocket.close", "code": 403}


def test_socket_survives_deeply_nested_json(signed_in, connect):
    socket = connect(signed_in)
    assert socket.next()["type"] == "websocket.accept"
    assert socket.next_json()["type"] == "notification_count"
    socket.put("websocket.receive", text="[" * 500_000)
    socket.put("websocket.receive", text="ping")
    assert socket.next() == {"type": "websocket.send", "text": "pong"}


def test_sign_out_closes_the_socket(signed_in, connect):
    socket = connect(signed_in)
    assert socket.next()["type"] == "websocket.accept"
    assert socket.next_json()["type"] == "notification_count"
    signed_in.logout()
    assert socket.next() == {"type": "websocket.close", "code": 4401}


def test_sockets_share_the_certificates(signed_in, connect, monkeypatch):
    import ssl

    contexts = []
    create = ssl.create_default_context
    monkeypatch.setattr(
        ssl, "create_default_context", lambda *args, **named: contexts.append(1) or create(*args, **named)
    )
    for _ in range(3):
        socket = connect(signed_in)
        assert socket.next()["type"] == "websocket.accept"
        assert socket.next_json() == {"type": "notification_count", "count": 0}
    assert len(contexts) <= 1
