"""The contract of the HTTP client, on a real server."""

import asyncio
import contextlib
import gc
import gzip
import itertools
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpcore
import pytest

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.outbound.guard import AddressGuard
from bellcast.kernel.outbound.http import HttpClient
from bellcast.kernel.outbound.transport import MAX_RESPONSE_BYTES, trusted
from tests.certificates import self_signed
from tests.servers import free_port

Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A server that records each request and responds with given bytes."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.response: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.after_response: Respond | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *lines = head.decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (header.partition(": ") for header in lines if header)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((line, headers, body))
                writer.write(self.response)
                if self.after_response is not None:
                    await self.after_response(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def respond_with(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
        self.response = "\r\n".join([*lines, "", ""]).encode() + body


async def start_server(server: Server, context: ssl.SSLContext | None = None) -> asyncio.Server:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    return listener


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with await start_server(server):
        yield server


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


# --- requests and responses


async def test_request_is_sent_unchanged(server: Server, http: HttpClient) -> None:
    server.respond_with(b"{}")
    await http.request(
        "POST", f"{server.url}/bell?x=1", headers={"webhook-id": "7", "cookie": "d=\xe4"}, body=b'{"a":1}'
    )
    line, headers, body = server.requests[0]
    assert (line, body) == ("POST /bell?x=1 HTTP/1.1", b'{"a":1}')
    assert (headers["webhook-id"], headers["cookie"]) == ("7", "d=\xe4")
    assert (headers["user-agent"], headers["accept-encoding"]) == ("bellcast", "identity")


async def test_credentials_of_the_url_are_sent_as_basic_authentication(server: Server, http: HttpClient) -> None:
    await http.request("GET", f"{server.url}/".replace("//", "//me:p%40ss@", 1), headers={"accept": "text/plain"})
    _, headers, _ = server.requests[0]
    assert (headers["authorization"], headers["accept"]) == ("Basic bWU6cEBzcw==", "text/plain")
    assert headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(("method", "length"), [("POST", "0"), ("GET", None)])
async def test_request_without_a_body_has_a_length_only_if_its_method_needs_one(
    server: Server, http: HttpClient, method: str, length: str | None
) -> None:
    await http.request(method, server.url, headers={})
    assert server.requests[0][1].get("content-length") == length


async def test_response_is_returned_whole(server: Server, http: HttpClient) -> None:
    server.respond_with(b"nobody", "X-Reason: none", status="401 Unauthorized")
    response = await http.request("GET", server.url, headers={})
    assert (response.status, response.body, response.headers["x-reason"]) == (401, b"nobody", "none")


async def test_redirect_is_returned_and_not_followed(server: Server, http: HttpClient) -> None:
    server.respond_with(b"", f"Location: {server.url}/elsewhere", status="302 Found")
    assert (await http.request("GET", server.url, headers={})).status == 302
    assert len(server.requests) == 1


async def test_cookies_are_not_shared_between_requests(server: Server, http: HttpClient) -> None:
    server.respond_with(b"", "Set-Cookie: sessionid=alice; Path=/")
    await http.request("GET", server.url, headers={"cookie": "sessionid=old"})
    await http.request("GET", server.url, headers={})
    await http.request("GET", server.url, headers={"cookie": "sessionid=bob"})
    assert [headers.get("cookie") for _, headers, _ in server.requests] == ["sessionid=old", None, "sessionid=bob"]


async def test_proxy_in_the_environment_is_ignored(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    client = HttpClient()
    assert (await client.request("GET", server.url, headers={})).status == 204
    await client.close()


async def test_concurrent_requests_get_their_own_responses(server: Server, http: HttpClient) -> None:
    server.respond_with(b"x" * 1_000)
    responses = await asyncio.gather(*(http.request("GET", f"{server.url}/{n}", headers={}) for n in range(50)))
    assert {len(response.body) for response in responses} == {1_000}
    assert len({line for line, _, _ in server.requests}) == 50


async def test_concurrent_first_requests_create_one_client(
    server: Server, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: list[httpcore.AsyncConnectionPool] = []
    create = http._new_pool
    monkeypatch.setattr(http, "_new_pool", lambda: created.append(create()) or created[-1])
    await asyncio.gather(*[http.request("GET", server.url, headers={}) for _ in range(20)])
    assert len(created) == 1


# --- bounds


async def test_response_of_a_mebibyte_is_read_and_a_larger_one_refused(server: Server, http: HttpClient) -> None:
    server.respond_with(b"x" * MAX_RESPONSE_BYTES)
    assert len((await http.request("GET", server.url, headers={})).body) == MAX_RESPONSE_BYTES
    server.respond_with(b"x" * (MAX_RESPONSE_BYTES + 1))
    with pytest.raises(Unavailable, match="more than 1048576"):
        await http.request("GET", server.url, headers={})


async def test_endless_response_is_aborted(server: Server, http: HttpClient) -> None:
    async def send_forever(writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    server.response, server.after_response = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", send_forever
    with pytest.raises(Unavailable, match="more than"):
        await http.request("GET", server.url, headers={})


PARTS = {
    "tiny chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "interim responses": (b"", b"HTTP/1.1 100 \r\n\r\n"),
    "HTTP/2 pings": (b"\0\0\0\4\0\0\0\0\0", b"\0\0\x08\6\0\0\0\0\0" + bytes(8)),
}


@pytest.mark.parametrize("parts", PARTS)
async def test_response_of_many_small_parts_is_aborted(server: Server, parts: str) -> None:
    """Each part takes the event loop longer than the peer; a megabyte of tiny chunks took 20 s."""
    server.response, part = PARTS[parts]
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while not writer.is_closing():
            writer.write(part * 1000)
            await writer.drain()
            sent += 1000

    server.after_response = flood
    http = HttpClient(http2=parts.startswith("HTTP/2"))
    with pytest.raises(Unavailable, match="more than 131072 bytes besides the body"):
        await http.request("GET", server.url, headers={}, timeout=60)
    await http.close()
    assert sent < 1_000_000


BROKEN = {
    "data of no stream": (b"\0\0\1\0\0\0\0\0\0x", "cannot be reached"),
    "headers that HPACK cannot decode": (b"\0\0\1\1\4\0\0\0\1\xff", "cannot be reached"),
    "status without digits": (b"\0\0\x0c\1\5\0\0\0\1\0\7:status\2xx", "status of its response"),
    "status of 20 digits": (b"\0\0\x1e\1\5\0\0\0\1\0\7:status\x14" + b"9" * 20, "status of its response"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_http2_frame_is_the_peers_fault(server: Server, name: str) -> None:
    frame, expected = BROKEN[name]
    server.response = b"\0\0\0\4\0\0\0\0\0" + frame

    async def once(writer: asyncio.StreamWriter) -> None:
        server.response = b""  # the client's preface has a second blank line

    server.after_response = once
    http = HttpClient(http2=True)
    with pytest.raises(Unavailable, match=expected) as caught:
        await http.request("GET", server.url, headers={})
    await http.close()
    assert "its request" not in caught.value.detail


async def test_compressed_response_is_not_decompressed(server: Server, http: HttpClient) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    server.respond_with(bomb, "Content-Encoding: gzip")
    assert (await http.request("GET", server.url, headers={})).body == bomb


async def test_dripping_response_is_aborted_at_the_timeout(server: Server, http: HttpClient) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    server.response, server.after_response = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", drip
    with pytest.raises(Unavailable, match=r"did not respond within 0\.3 s"):
        async with asyncio.timeout(60):  # a timeout per read would never end
            await http.request("GET", server.url, headers={}, timeout=0.3)


async def test_silent_server_is_given_up_at_the_timeout(server: Server, http: HttpClient) -> None:
    server.response = b""
    with pytest.raises(Unavailable, match="did not respond"):
        await http.request("GET", server.url, headers={}, timeout=0.1)


# --- failures


@pytest.mark.parametrize("response", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"])
async def test_broken_response_is_unavailable(server: Server, http: HttpClient, response: bytes) -> None:
    async def close(writer: asyncio.StreamWriter) -> None:
        writer.close()

    server.response, server.after_response = response, close
    with pytest.raises(Unavailable, match="cannot be reached"):
        await http.request("GET", server.url, headers={})


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://nowhere.invalid/",
        f"http://{'a' * 64}.example/",
        "http://[::1/",
        "ftp://127.0.0.1/",
        "//127.0.0.1/",
        "",
        "http://127.0.0.1:99999/",
        "http://\x00/",
    ],
)
async def test_unreachable_url_is_unavailable(http: HttpClient, url: str) -> None:
    with pytest.raises(Unavailable):
        await http.request("GET", url, headers={}, timeout=2)


async def test_secrets_of_the_url_are_not_in_the_error(http: HttpClient) -> None:
    with pytest.raises(Unavailable) as caught:
        await http.request("GET", "http://me:password@127.0.0.1:1/hook/token?key=value", headers={})
    assert caught.value.detail.startswith("http://127.0.0.1:1 cannot be reached")
    assert not any(secret in caught.value.detail for secret in ("password", "token", "value"))


# --- DNS rebinding

REBINDING, ALLOWED, PRIVATE = "rebinding.test", "127.0.0.2", "127.0.0.1"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answers", list(itertools.product((ALLOWED, PRIVATE), repeat=3)))
async def test_name_that_changes_its_address_never_leads_to_a_refused_one(
    scheme: str, answers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lookup of the name returns the next address. Both addresses have a server on the same port."""
    connected, resolve, left = list[str](), socket.getaddrinfo, list(answers)

    def look_up(host: object, *args: Any, **options: Any) -> Any:
        return resolve((left.pop(0) if left else PRIVATE) if host == REBINDING else host, *args, **options)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer.get_extra_info("sockname")[0])
        await reader.read(1)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with await asyncio.start_server(accept, (PRIVATE, ALLOWED), port := free_port()):
        client = HttpClient(AddressGuard([ALLOWED]))
        for _ in range(2):
            with contextlib.suppress(Unavailable):
                await client.request("POST", f"{scheme}://{REBINDING}:{port}/", headers={}, timeout=5)
        await client.close()
    assert PRIVATE not in connected
    lookups = 2 if scheme == "http" else 1  # plain HTTP is checked before the connection, too
    assert bool(connected) >= (set(answers[:lookups]) == {ALLOWED})


# --- TLS


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    return self_signed(tmp_path)


async def test_untrusted_certificate_is_refused(authority: tuple[Path, ssl.SSLContext], http: HttpClient) -> None:
    server = Server()
    async with await start_server(server, authority[1]):
        with pytest.raises(Unavailable, match=r"certificate is not accepted: self.signed"):
            await http.request("GET", f"https://127.0.0.1:{server.port}", headers={})
    assert server.requests == []


async def test_expired_certificate_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem, context = self_signed(tmp_path, valid_hours=-1)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    trusted.cache_clear()
    server, client = Server(), HttpClient()
    async with await start_server(server, context):
        with pytest.raises(Unavailable, match=r"its certificate is not accepted: certificate has expired\. Renew it"):
            await client.request("GET", f"https://127.0.0.1:{server.port}", headers={})
    await client.close()


async def test_installed_authority_is_trusted_for_its_own_names_only(
    authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, context = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))  # the path of the operator's certificate authorities
    trusted.cache_clear()
    server, client = Server(), HttpClient()
    async with await start_server(server, context):
        assert (await client.request("GET", f"https://127.0.0.1:{server.port}", headers={})).status == 204
        with pytest.raises(Unavailable, match=r"Hostname mismatch.+ Use a host name that it has"):
            await client.request("GET", f"https://localhost:{server.port}", headers={})
    await client.close()
    assert len(server.requests) == 1


# --- memory


def exchanges() -> list[httpcore.Request | httpcore.Response]:
    # By type(): isinstance() also reads `__class__`, for which lazy objects of other tests load what they stand for.
    return [item for item in gc.get_objects() if issubclass(type(item), httpcore.Request | httpcore.Response)]


@pytest.mark.parametrize("size", [2, MAX_RESPONSE_BYTES + 1], ids=["small", "too large"])
async def test_finished_request_leaves_no_garbage(server: Server, http: HttpClient, size: int) -> None:
    """The server's collector runs rarely, and cookies may have 60 KB."""
    server.respond_with(b"x" * size)
    gc.collect()
    gc.disable()
    earlier = exchanges()  # of other tests in this process
    try:
        for _ in range(3):
            with contextlib.suppress(Unavailable):
                await http.request("GET", server.url, headers={"cookie": "x" * 60_000})
        for _ in range(10):  # the loop closes an unfinished generator in one of its next turns
            await asyncio.sleep(0)
        leftover = [item for item in exchanges() if not any(item is one for one in earlier)]
    finally:
        gc.enable()
    assert len(server.requests) == 3
    assert leftover == []


@pytest.mark.parametrize("end", ["\n", "\x00", " ", "€"])
@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
async def test_forbidden_value_of_a_header_is_not_sent_or_in_the_error(server: Server, http2: bool, end: str) -> None:
    http = HttpClient(http2=http2)
    with pytest.raises(Unavailable, match="header that HTTP forbids") as caught:
        await http.request("GET", server.url, headers={"authorization": f"Bearer SECRET{end}"})
    await http.close()
    assert "SECRET" not in caught.value.detail
    assert server.requests == []


async def test_host_that_cannot_be_decoded_is_an_error(http: HttpClient) -> None:
    with pytest.raises(Unavailable, match="The URL cannot be reached"):
        await http.request("GET", "https://xn--/", headers={})


async def test_guard_that_the_pool_does_not_accept_sends_no_request(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later httpcore could name the parameter otherwise. The request must not be sent without the guard."""

    def pool_without_network(
        *,
        ssl_context: object,
        http1: bool,
        http2: bool,
        max_connections: int,
        max_keepalive_connections: int,
        keepalive_expiry: float,
    ) -> None: ...

    monkeypatch.setattr(httpcore, "AsyncConnectionPool", pool_without_network)
    client = HttpClient(AddressGuard(["127.0.0.1"]))
    with pytest.raises(TypeError, match="network_backend"):
        await client.request("GET", server.url, headers={})
    assert server.requests == []


def test_first_request_imports_in_a_thread_while_the_event_loop_continues() -> None:
    script = """
import asyncio, sys, threading
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.outbound.http import HttpClient

class Recorder:
    threads = {}

    def find_spec(self, name, path=None, target=None):
        self.threads[name] = threading.current_thread() is threading.main_thread()

async def request():
    try:
        await HttpClient().request("GET", "http://127.0.0.1:1/", headers={})
    except Unavailable:
        pass

sys.meta_path.insert(0, Recorder())
asyncio.run(request())
assert "httpx" in Recorder.threads and "bellcast.kernel.outbound.transport" in Recorder.threads
print([name for name, is_main in Recorder.threads.items() if is_main and name.split(".")[0] in ("httpx", "httpcore", "h2")])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"
