"""Every provider URL in the documentation, with its credentials, over TLS: it sends a message to a server in place of its host."""

import base64
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct

from bellcast.channels.email import Email
from bellcast.channels.types import ExternalChannel
from bellcast.kernel.outbound import DeliveryError
from bellcast.kernel.outbound.http import HttpClient
from bellcast.kernel.outbound.transport import trusted
from bellcast.providers import apns, fcm, smtp, twilio, vendor_api, vonage
from bellcast.providers.directory import VENDORS, new_provider
from bellcast.providers.types import OutgoingMessage, Provider, Setup
from bellcast.providers.vendor_api import VENDOR_HOST
from bellcast.settings import parsers
from tests.certificates import self_signed
from tests.clock import FakeClock
from tests.provider_setup import outgoing
from tests.smtp_server import smtp_server
from tests.vendor_server import raw_response, vendor_server
from tests.wire.providers.http2_server import http2_server

ROOT = Path(__file__).parents[3]
CHANNELS: dict[str, ExternalChannel] = {scheme: channel for channel, known in VENDORS.items() for scheme in known}
URL = re.compile(rf"(?:{'|'.join(map(re.escape, CHANNELS))})\w*://[^\s`'\",…]+(?: <[^>]+>)?")
FILE = re.compile(r"\b(credentials|key)(?:_base64)?=[^&]*")
TLS_OFF = "tls=off"
SENDER = "from=bells@example.com"
ACCOUNT = "bell@shop.example"
# The responses of each vendor's server to one message.
RESPONSES = {
    "twilio": [raw_response(201, {"sid": "SM1", "status": "queued"})],
    "vonage": [raw_response(200, {"messages": [{"status": "0", "message-id": "V1"}]})],
    "fcm": [raw_response(200, {"access_token": "A1"}), raw_response(200, {"name": "projects/shop/messages/1"})],
    "telegram": [raw_response(200, {"ok": True, "result": {"message_id": 7}})],
    "apprise+rocket": [raw_response(200, {"status": "success", "data": {"authToken": "A1", "userId": "U1"}})] * 3,
}


def documented() -> list[str]:
    """The URLs in the documentation that can be used as they are, except for their host and files."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return sorted({url for page in pages for url in URL.findall(page.read_text())})


def forms() -> Iterator[str]:
    """The documented URLs, each also with the alternatives that its options have: no TLS, and a file's content."""
    for url in documented():
        has_file = FILE.search(url) is not None
        inline = [FILE.sub(lambda found: f"{found[1]}_base64=CONTENT", url)] if has_file else []
        for form in (url, *inline):
            yield form
            if not form.startswith(("smtps:", "apprise+")):
                yield f"{form}{'&' if '?' in form else '?'}{TLS_OFF}"


def scheme_of(url: str) -> str:
    return url.partition("://")[0]


def channel_of(url: str) -> ExternalChannel:
    return next(channel for scheme, channel in CHANNELS.items() if url.startswith(scheme))


def user_and_password(url: str) -> str:
    return unquote(urlsplit(url).netloc.rpartition("@")[0])


class Sink(Struct):
    """A server in place of a vendor's."""

    host: str
    credentials: Callable[[], str]


@asynccontextmanager
async def smtp_sink(url: str, tls: ssl.SSLContext | None) -> AsyncIterator[Sink]:
    user, _, password = user_and_password(url).partition(":")
    has_implicit_tls = scheme_of(url) == "smtps"
    async with smtp_server(
        credentials=(user, password), tls=tls, implicit_tls=has_implicit_tls, needs_tls=tls is not None
    ) as mailbox:
        yield Sink(f"127.0.0.1:{mailbox.port}", lambda: b":".join(mailbox.logins[0]).decode())


@asynccontextmanager
async def http_sink(url: str, tls: ssl.SSLContext | None) -> AsyncIterator[Sink]:
    async with vendor_server(tls) as vendor:
        vendor.responses += RESPONSES[scheme_of(url)]

        def found() -> str:
            first = vendor.requests[0]
            match scheme_of(url):
                case "twilio":
                    return base64.b64decode(first.headers["authorization"].removeprefix("Basic ")).decode()
                case "vonage":
                    return f"{first.form['api_key']}:{first.form['api_secret']}"
                case "telegram":
                    return first.path.split("/")[1].removeprefix("bot")
                case "fcm":
                    return str(jwt.decode(first.form["assertion"], options={"verify_signature": False})["iss"])
                case _:
                    form = first.form
                    return f"{form['username']}:{form['password']}"

        yield Sink(vendor.host, found)


@asynccontextmanager
async def apns_sink(url: str, tls: ssl.SSLContext | None) -> AsyncIterator[Sink]:
    async with http2_server(tls) as apple:

        def found() -> str:
            token = apple.requests[0][0]["authorization"].removeprefix("bearer ")
            team = jwt.decode(token, options={"verify_signature": False})["iss"]
            return f"{team}:{jwt.get_unverified_header(token)['kid']}"

        yield Sink(apple.host, found)


SINKS = {"smtp": smtp_sink, "smtps": smtp_sink, "apns": apns_sink, **dict.fromkeys(RESPONSES, http_sink)}


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    """The files that the URLs name, by option."""
    pkcs8 = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    private = rsa.generate_private_key(65537, 2048).private_bytes(*pkcs8).decode()
    account = {"project_id": "shop", "client_email": ACCOUNT, "private_key": private}
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(*pkcs8)
    return {"credentials": json.dumps(account).encode(), "key": key}


@pytest.fixture
def with_files(files: dict[str, bytes], tmp_path: Path) -> Callable[[str], str]:
    """Puts the name or the content of a file into a URL."""

    def given(found: re.Match[str]) -> str:
        option, content = found[1], files[found[1]]
        if found[0].startswith(option + vendor_api.INLINE):
            return f"{option}{vendor_api.INLINE}={base64.urlsafe_b64encode(content).decode()}"
        file = tmp_path / option
        file.write_bytes(content)
        return f"{option}={file}"

    return lambda url: FILE.sub(given, url)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """The TLS context of a server whose certificate authority is installed on this machine."""
    pem, context = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    trusted.cache_clear()
    yield context
    trusted.cache_clear()


@asynccontextmanager
async def provider_of(url: str) -> AsyncIterator[Provider]:
    """The provider of a URL, which has passed through a setting's list."""
    http, http2 = HttpClient(), HttpClient(http2=True)
    (secret,) = parsers.secrets(url)
    setup = Setup(url=secret, http=http, http2=http2, clock=FakeClock(), timeout=60, may_read_files=True)
    provider = new_provider(channel_of(url), setup)
    yield provider
    await provider.close()
    await http.close()
    await http2.close()


def message(channel: ExternalChannel) -> OutgoingMessage:
    to = "alice@example.com" if channel == "email" else "4711"
    email = Email(subject="Booking", text="Hi", html="<p>Hi</p>")
    content = email if channel == "email" else {"title": "Booking", "text": "Hi"}
    return outgoing("m1", to, content)


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # imported by Apprise
@pytest.mark.parametrize("url", list(forms()))
async def test_documented_url_sends_with_its_credentials(
    url: str, with_files: Callable[[str], str], tls: ssl.SSLContext
) -> None:
    is_plain = url.endswith(TLS_OFF) or url.startswith("apprise+rocket:")
    async with SINKS[scheme_of(url)](url, None if is_plain else tls) as sink:
        parts = urlsplit(url)
        at_sink = url.replace(parts.netloc.rpartition("@")[2], sink.host, 1)
        if channel_of(url) == "email" and "from=" not in url:  # the default is an address at the host's name
            at_sink += f"{'&' if parts.query else '?'}{SENDER}"
        async with provider_of(with_files(at_sink)) as provider:
            await provider.send(message(channel_of(url)))
        assert sink.credentials() == (user_and_password(url) or ACCOUNT)


@pytest.mark.parametrize("url", [url for url in documented() if VENDOR_HOST in urlsplit(url).netloc])
async def test_host_default_is_the_vendors_over_tls(url: str, with_files: Callable[[str], str]) -> None:
    async with provider_of(with_files(url)) as provider:
        assert provider.server is not None
        assert (provider.server.has_tls, provider.server.port) == (True, 443)
        assert VENDOR_HOST not in provider.server.host


def test_every_scheme_and_option_is_documented() -> None:
    found = list(forms())
    for scheme in CHANNELS:
        assert any(url.startswith(scheme) for url in documented()), scheme
    options = {
        "smtp": smtp.OPTIONS,
        "smtps": smtp.OPTIONS,
        "twilio": twilio.TwilioProvider.options,
        "vonage": vonage.VonageProvider.options,
        "fcm": fcm.FCMProvider.options,
        "apns": apns.APNsProvider.options,
    }
    for scheme, of_vendor in options.items():
        for option in {*of_vendor, *(["tls"] if scheme != "smtps" else [])}:
            assert any(scheme_of(url) == scheme and f"{option}=" in url for url in found), (scheme, option)


# --- SMTP: what does not send


async def failure(url: str) -> DeliveryError:
    async with provider_of(url) as provider:
        with pytest.raises(DeliveryError) as caught:
            await provider.send(message("email"))
    assert caught.value.is_temporary
    return caught.value


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_wrong_password_is_refused_after_tls(scheme: str, tls: ssl.SSLContext) -> None:
    async with smtp_sink(f"{scheme}://shop:right@host", tls) as sink:
        error = await failure(f"{scheme}://shop:wrong@{sink.host}?{SENDER}")
        assert error.code == "535"
        assert "wrong" not in error.response
        async with provider_of(f"{scheme}://shop:right@{sink.host}?{SENDER}") as provider:
            await provider.check()


@pytest.mark.parametrize("login", ["smtp://shop:secret@", "smtps://shop:secret@", "smtps://"])
async def test_untrusted_certificate_gets_no_password_and_no_mail(login: str, tmp_path: Path) -> None:
    context = self_signed(tmp_path)[1]
    async with smtp_server(tls=context, implicit_tls=login.startswith("smtps")) as mailbox:
        error = await failure(f"{login}127.0.0.1:{mailbox.port}?{SENDER}")
        assert "is not accepted: self-signed certificate" in error.response
        assert (mailbox.logins, mailbox.received) == ([], [])


async def test_starttls_without_a_password_accepts_any_certificate(tmp_path: Path) -> None:
    async with smtp_server(tls=self_signed(tmp_path)[1], needs_tls=True) as mailbox:
        async with provider_of(f"smtp://127.0.0.1:{mailbox.port}?{SENDER}") as provider:
            await provider.send(message("email"))
        assert len(mailbox.received) == 1


async def test_tls_without_a_password_sends(tls: ssl.SSLContext) -> None:
    async with smtp_server(tls=tls, implicit_tls=True) as mailbox:
        async with provider_of(f"smtps://127.0.0.1:{mailbox.port}?{SENDER}") as provider:
            await provider.send(message("email"))
        assert len(mailbox.received) == 1


async def test_missing_starttls_is_named_with_its_remedies() -> None:
    async with smtp_server(credentials=("shop", "secret")) as mailbox:
        error = await failure(f"smtp://shop:secret@127.0.0.1:{mailbox.port}?{SENDER}")
        assert all(word in error.response for word in ("STARTTLS", "password", "smtps://", "tls=off"))
        assert mailbox.logins == []


async def test_smtps_to_a_server_without_tls_is_temporary() -> None:
    async with smtp_server() as mailbox:
        error = await failure(f"smtps://shop:secret@127.0.0.1:{mailbox.port}?{SENDER}")
        assert error.response.startswith(f"127.0.0.1:{mailbox.port} does not begin with TLS: use smtp://")
        assert (mailbox.logins, mailbox.received) == ([], [])
