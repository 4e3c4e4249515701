"""The Http port: every promise of it on a real server, and the guard that keeps requests out of the inside."""

import asyncio
import datetime
import gzip
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bellcast.errors import Unavailable
from bellcast.outbound import addresses
from bellcast.outbound import http as outbound
from bellcast.outbound.http import MAX_ANSWER, HttpxClient

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A server that writes down each request and answers with the bytes it is given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.then: Answer | None = None
        self.names: list[str | None] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines if one)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.asked.append((line, headers, body))
                writer.write(self.answer)
                if self.then is not None:
                    await self.then(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def says(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
        self.answer = "\r\n".join([*lines, "", ""]).encode() + body


async def listening(server: Server, context: ssl.SSLContext | None = None) -> asyncio.Server:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    return listener


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with await listening(server):
        yield server


@pytest.fixture
async def http() -> AsyncIterator[HttpxClient]:
    client = HttpxClient(guarded=False)
    yield client
    await client.close()


@pytest.fixture
async def guarded() -> AsyncIterator[HttpxClient]:
    client = HttpxClient(guarded=True)
    yield client
    await client.close()


# --- a request and its answer


async def test_a_request_arrives_as_it_was_given(server: Server, http: HttpxClient) -> None:
    server.says(b"{}")
    await http.request(
        "POST", f"{server.url}/bell?x=1", headers={"webhook-id": "7", "cookie": "d=\xe4"}, body=b'{"a":1}'
    )
    line, headers, body = server.asked[0]
    assert (line, body) == ("POST /bell?x=1 HTTP/1.1", b'{"a":1}')
    assert (headers["webhook-id"], headers["cookie"]) == ("7", "d=\xe4")
    assert (headers["user-agent"], headers["accept-encoding"]) == ("bellcast", "identity")


async def test_an_answer_comes_back_whole(server: Server, http: HttpxClient) -> None:
    server.says(b"nobody", "X-Reason: none", status="401 Unauthorized")
    answer = await http.request("GET", server.url, headers={})
    assert (answer.status, answer.body, answer.headers["x-reason"]) == (401, b"nobody", "none")


async def test_a_redirect_is_an_answer_and_is_not_followed(server: Server, http: HttpxClient) -> None:
    server.says(b"", f"Location: {server.url}/elsewhere", status="302 Found")
    assert (await http.request("GET", server.url, headers={})).status == 302
    assert len(server.asked) == 1


async def test_one_persons_cookies_never_travel_with_anothers_request(server: Server, http: HttpxClient) -> None:
    server.says(b"", "Set-Cookie: sessionid=alice; Path=/")
    await http.request("GET", server.url, headers={"cookie": "sessionid=old"})
    await http.request("GET", server.url, headers={})
    await http.request("GET", server.url, headers={"cookie": "sessionid=bob"})
    assert [headers.get("cookie") for _, headers, _ in server.asked] == ["sessionid=old", None, "sessionid=bob"]


async def test_a_proxy_in_the_environment_is_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    client = HttpxClient(guarded=False)
    assert (await client.request("GET", server.url, headers={})).status == 204
    await client.close()


async def test_many_at_once_get_each_its_own_answer(server: Server, http: HttpxClient) -> None:
    server.says(b"x" * 1_000)
    answers = await asyncio.gather(*(http.request("GET", f"{server.url}/{n}", headers={}) for n in range(50)))
    assert {len(answer.body) for answer in answers} == {1_000}
    assert len({line for line, _, _ in server.asked}) == 50


# --- bounds


async def test_an_answer_of_a_mebibyte_is_read_and_a_byte_more_is_not(server: Server, http: HttpxClient) -> None:
    server.says(b"x" * MAX_ANSWER)
    assert len((await http.request("GET", server.url, headers={})).body) == MAX_ANSWER
    server.says(b"x" * (MAX_ANSWER + 1))
    with pytest.raises(Unavailable, match="more than 1048576"):
        await http.request("GET", server.url, headers={})


async def test_an_endless_answer_ends(server: Server, http: HttpxClient) -> None:
    async def forever(writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    server.answer, server.then = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", forever
    with pytest.raises(Unavailable, match="more than"):
        await http.request("GET", server.url, headers={})


async def test_a_compressed_answer_does_not_unfold_in_memory(server: Server, http: HttpxClient) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    server.says(bomb, "Content-Encoding: gzip")
    assert (await http.request("GET", server.url, headers={})).body == bomb


async def test_a_server_that_drips_is_given_up_when_the_time_is_over(server: Server, http: HttpxClient) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    server.answer, server.then = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", drip
    begun = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
        await http.request("GET", server.url, headers={}, timeout=0.3)
    assert asyncio.get_running_loop().time() - begun < 2


async def test_a_server_that_says_nothing_is_given_up(server: Server, http: HttpxClient) -> None:
    server.answer = b""
    with pytest.raises(Unavailable, match="did not answer"):
        await http.request("GET", server.url, headers={}, timeout=0.1)


# --- failures


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"])
async def test_a_broken_answer_is_unavailable(server: Server, http: HttpxClient, answer: bytes) -> None:
    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.close()

    server.answer, server.then = answer, hang_up
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
async def test_a_url_that_leads_nowhere_is_unavailable(http: HttpxClient, guarded: HttpxClient, url: str) -> None:
    for client in (http, guarded):
        with pytest.raises(Unavailable):
            await client.request("GET", url, headers={}, timeout=2)


async def test_what_is_secret_in_a_url_is_not_told(http: HttpxClient) -> None:
    with pytest.raises(Unavailable) as caught:
        await http.request("GET", "http://me:password@127.0.0.1:1/hook/token?key=value", headers={})
    assert caught.value.detail.startswith("http://127.0.0.1:1 cannot be reached")
    assert not any(secret in caught.value.detail for secret in ("password", "token", "value"))


# --- TLS


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for bell.test that nobody trusts yet, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bell.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bell.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "bell.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return pem, context


async def test_a_certificate_nobody_vouches_for_is_refused(
    authority: tuple[Path, ssl.SSLContext], http: HttpxClient
) -> None:
    server = Server()
    async with await listening(server, authority[1]):
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await http.request("GET", f"https://127.0.0.1:{server.port}", headers={})
    assert server.asked == []


async def test_a_request_sent_to_a_checked_number_keeps_its_name_for_host_and_tls(
    authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `pin` does to a request once its address is found good, on a server that is inside. A second name behind the
    same number gets a connection and a certificate check of its own."""
    pem, context = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))  # where the operator's own authorities are found
    server = Server()

    def remember(_: object, name: str | None, __: object) -> None:
        server.names.append(name)

    context.sni_callback = remember
    client = HttpxClient(guarded=True)
    async with await listening(server, context):
        request = client._client.build_request("GET", f"https://bell.test:{server.port}/hook")
        outbound.address(request, "127.0.0.1")
        assert (await client._exchange(request)).status == 204
        wrong = client._client.build_request("GET", f"https://other.test:{server.port}/hook")
        outbound.address(wrong, "127.0.0.1")
        with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
            await client._exchange(wrong)
    await client.close()
    assert server.names == ["bell.test", "other.test"]
    assert [headers["host"] for _, headers, _ in server.asked] == [f"bell.test:{server.port}"]


# --- the guard


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0", "[::ffff:127.0.0.1]"])
async def test_a_guarded_request_never_reaches_the_inside(server: Server, guarded: HttpxClient, host: str) -> None:
    with pytest.raises(Unavailable):
        await guarded.request("GET", f"http://{host}:{server.port}/", headers={})
    assert server.asked == []


async def test_one_inside_address_among_good_ones_is_enough_to_refuse(
    guarded: HttpxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["93.184.216.34", "10.0.0.7"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (one, 80)) for one in answers])
    with pytest.raises(Unavailable, match="not public"):
        await guarded.request("GET", "http://rebinding.example/", headers={})


async def test_a_guarded_request_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def once(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        return [(2, 1, 6, "", ("93.184.216.34", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", once)
    request = httpx.Request("GET", "https://hooks.example/x?y=1")
    await outbound.pin(request)
    assert str(request.url) == "https://93.184.216.34/x?y=1"
    assert request.headers["host"] == "hooks.example"
    assert request.extensions["sni_hostname"] == "hooks.example"
    assert asked == ["hooks.example"]


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "2002:5db8:d822::1"])
def test_public_addresses_are_public(address: str) -> None:
    assert addresses.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a00:1::1",
    ],
)
def test_inside_addresses_are_not(address: str) -> None:
    assert not addresses.is_public(address)


def test_every_address_is_judged_without_failing() -> None:
    for bits in range(0, 128, 3):
        addresses.is_public(str(ipaddress.IPv6Address(1 << bits)))
        addresses.is_public(str(ipaddress.IPv4Address(1 << bits % 32)))
