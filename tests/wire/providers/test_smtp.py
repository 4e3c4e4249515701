"""The SMTP provider with a real SMTP server, and the server's failures."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest

from bellcast.channels.email import Email
from bellcast.kernel import validation
from bellcast.kernel.outbound import DeliveryError
from bellcast.providers import smtp as smtp_provider
from bellcast.providers.smtp import SMTPProvider
from bellcast.providers.types import OutgoingMessage
from tests.provider_setup import outgoing
from tests.smtp_server import Mailbox, smtp_server


def mail(number: int = 1, to: str = "alice@example.com") -> OutgoingMessage:
    content = Email(to_name="Alice", subject=f"Booking {number}", text="Hi", html="<p>Hi</p>")
    return outgoing(f"m{number}", to, content)


def provider(mailbox: Mailbox, login: str = "", **options: Any) -> SMTPProvider:
    return SMTPProvider(f"smtp://{login}127.0.0.1:{mailbox.port}?from=Shop <bells@example.com>&tls=off", **options)


async def failure(provider: SMTPProvider, message: OutgoingMessage | None = None) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await provider.send(message or mail())
    return caught.value


async def test_mail_reaches_the_server() -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
        accepted = await smtp.send(mail())
        await smtp.close()
        (received,) = mailbox.received
        assert accepted.code == "250"
        assert accepted.reference == "<m1>"
        assert received["Subject"] == "Booking 1"
        assert received["From"] == "Shop <bells@example.com>"
        assert mailbox.envelopes[0].mail_from == "bells@example.com"
        assert mailbox.envelopes[0].rcpt_tos == ["alice@example.com"]


async def test_international_domain_is_sent_in_ascii() -> None:
    async with smtp_server(has_utf8=False) as mailbox:
        smtp = provider(mailbox)
        await smtp.send(mail(to="alice@exämple.com"))
        await smtp.close()
        assert mailbox.envelopes[0].rcpt_tos == ["alice@xn--exmple-cua.com"]
        assert mailbox.received[0]["To"].addresses[0].addr_spec == "alice@xn--exmple-cua.com"


async def test_international_mailbox_needs_a_server_with_smtputf8() -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
        await smtp.send(mail(to="älice@exämple.com"))
        await smtp.close()
        assert mailbox.envelopes[0].rcpt_tos == ["älice@exämple.com"]
    async with smtp_server(has_utf8=False) as mailbox:
        smtp = provider(mailbox)
        refused = await failure(smtp, mail(to="älice@exämple.com"))
        assert (refused.is_temporary, "SMTPUTF8" in str(refused)) == (False, True)
        await smtp.close()


@pytest.mark.parametrize("reply", ["250 message accept\udce9", "250 queued\x00"])
async def test_reply_that_is_not_utf8_text_can_be_stored(reply: str) -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
        mailbox.replies["DATA"] = [reply, reply.replace("250", "554")]
        accepted, refused = await smtp.send(mail(1)), await failure(smtp, mail(2))
        for response in (accepted.response, refused.response):
            assert list(validation.encodable("response", response or "")) == []
        assert refused.code == "554"
        await smtp.close()


async def test_endless_reply_is_refused() -> None:
    sent = 0

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with suppress(ConnectionError):
            while True:
                writer.write(b"220-hello\r\n" * 1000)
                await writer.drain()
                sent += 11_000

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        refused = await failure(SMTPProvider(f"smtp://127.0.0.1:{port}?from=bells@example.com&tls=off", timeout=60))
    assert refused.is_temporary
    assert sent < 50_000_000


@asynccontextmanager
async def server_that(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Greet each connection and serve it; yield the URL of a provider."""

    serving = set[asyncio.Task[None]]()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.test\r\n")
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(
        lambda reader, writer: serving.add(asyncio.create_task(greet(reader, writer))), "127.0.0.1", 0
    )
    try:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}?from=bells@example.com&tls=off"
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@pytest.mark.parametrize("call", ["send", "check"])
async def test_all_responses_together_have_a_limit(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_provider, "TIMEOUTS_PER_MESSAGE", 0.005)

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client closes the connection

    async with server_that(serve) as url:
        smtp = SMTPProvider(url.replace("//", "//user:password@"), timeout=60)
        with pytest.raises(DeliveryError, match=r"took more than 0\.3 s") as caught:
            async with asyncio.timeout(30):
                await (smtp.send(mail()) if call == "send" else smtp.check())
        assert (caught.value.is_temporary, caught.value.is_timeout) == (True, True)


@pytest.mark.parametrize("ended_by", ["limit", "shutdown"])
async def test_mail_is_not_sent_after_the_end_of_its_attempt(ended_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_provider, "TIMEOUTS_PER_MESSAGE", 0.005 if ended_by == "limit" else 2)
    commands: list[bytes] = []
    sending: asyncio.Task[Any]
    loop = asyncio.get_running_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            commands.append(line[:4])
            writer.write(b"250 OK\r\n")
            if line.startswith(b"RCPT"):
                # The response and the end of the attempt arrive in the same turn of the event loop.
                if ended_by == "limit":
                    while loop.time() <= limit:
                        pass
                else:
                    loop.call_later(0, sending.cancel)

    async with server_that(serve) as url:
        smtp = SMTPProvider(url, timeout=60)
        limit = loop.time() + 0.5
        sending = asyncio.create_task(smtp.send(mail()))
        with pytest.raises(DeliveryError if ended_by == "limit" else asyncio.CancelledError):
            await sending
    assert b"DATA" not in commands


@pytest.mark.thorough
async def test_failed_mail_is_not_completed_when_the_server_reads_again() -> None:
    received = bytearray()
    failed, ended = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := await reader.readline()) != b"DATA\r\n":
            writer.write(b"250 OK\r\n" if line else b"")
        writer.write(b"354 go\r\n")
        await failed.wait()
        with suppress(ConnectionError):
            while part := await reader.read(1_000_000):
                received.extend(part)
        ended.set()

    text = "x" * 20_000_000  # more than the buffers of both sockets
    large = outgoing("m1", "a@example.com", msgspec.structs.replace(mail().content, text=text))
    async with server_that(serve) as url:
        error = await failure(SMTPProvider(url, timeout=2), large)
        assert error.is_timeout
        assert not received
        failed.set()
        await ended.wait()
    assert not received.endswith(b"\r\n.\r\n")


async def test_hanging_server_costs_one_timeout_however_many_connections_are_idle() -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox, timeout=2)
        await asyncio.gather(smtp.send(mail(1)), smtp.send(mail(2)))
        mailbox.replies["MAIL"] = ["hang", "hang"]
        assert (await failure(smtp)).is_timeout
        assert (mailbox.connections, mailbox.replies["MAIL"]) == (2, ["hang"])
        await smtp.close()


async def test_missing_response_to_quit_does_not_delay_a_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_provider, "QUIT_SECONDS", 0.1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := await reader.readline()) != b"QUIT\r\n":
            if line == b"DATA\r\n":
                writer.write(b"354 go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"250 OK\r\n")
        await reader.read()

    async with server_that(serve) as url:
        smtp = SMTPProvider(url, timeout=60)
        await smtp.send(mail())
        async with asyncio.timeout(30):
            await smtp.close()


async def test_challenge_that_is_not_base64_is_a_temporary_error() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(b"250-mx.test\r\n250 AUTH CRAM-MD5\r\n" if line[:4] == b"EHLO" else b"334 !\r\n")

    async with server_that(serve) as url:
        assert (await failure(SMTPProvider(url.replace("//", "//user:password@")))).is_temporary


@pytest.mark.parametrize("fault", ["no SMTPUTF8", "cancelled"])
async def test_idle_connection_is_closed_if_the_next_mail_does_not_begin(fault: str) -> None:
    async with smtp_server(has_utf8=False) as mailbox:
        smtp = provider(mailbox)
        await smtp.send(mail())
        if fault == "cancelled":
            mailbox.replies["MAIL"] = ["hang"]
            sending = asyncio.create_task(smtp.send(mail(2)))
            await mailbox.hanging.wait()
            sending.cancel()
            await asyncio.wait([sending])
        else:
            await failure(smtp, mail(2, to="älice@example.com"))
        async with asyncio.timeout(5):
            await mailbox.disconnected.wait()
        assert mailbox.connections == 1
        await smtp.close()


async def test_connection_is_reused_for_the_next_mail() -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
        for number in range(5):
            await smtp.send(mail(number))
        assert (mailbox.connections, len(mailbox.received)) == (1, 5)
        await smtp.close()


async def test_concurrent_mails_use_separate_connections() -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
        await asyncio.gather(*(smtp.send(mail(number)) for number in range(5)))
        assert len({str(message["Message-ID"]) for message in mailbox.received}) == 5
        await smtp.close()


async def test_mail_of_a_provider_that_was_replaced_leaves_no_connection_open() -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
        await smtp.close()
        await smtp.send(mail())
        async with asyncio.timeout(5):
            await mailbox.disconnected.wait()
        assert len(mailbox.received) == 1


async def test_idle_connection_closed_by_the_server_is_replaced() -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
        await smtp.send(mail(1))
        mailbox.replies["MAIL"] = ["cut"]
        await smtp.send(mail(2))
        assert (mailbox.connections, len(mailbox.received)) == (2, 2)
        await smtp.close()


@pytest.mark.parametrize(
    ("command", "reply", "is_temporary", "is_bounce"),
    [
        ("RCPT", "550 5.1.1 unknown user", False, True),
        ("RCPT", "553 not allowed", False, True),
        ("RCPT", "450 4.2.0 greylisted", True, False),
        ("RCPT", "554 policy", False, False),
        ("RCPT", "999 no code of SMTP", True, False),
        ("MAIL", "451 later", True, False),
        ("MAIL", "550 sender refused", False, False),
        ("DATA", "452 full", True, False),
        ("DATA", "554 5.7.1 spam", False, False),
        ("DATA", "cut", True, False),
    ],
)
async def test_refusal_is_temporary_permanent_or_a_bounce(
    command: str, reply: str, is_temporary: bool, is_bounce: bool
) -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
        mailbox.replies[command] = [reply]
        error = await failure(smtp)
        assert (error.is_temporary, error.is_bounce) == (is_temporary, is_bounce)
        await smtp.send(mail(2))  # and the next message is not affected
        await smtp.close()


async def test_repeated_mail_has_the_same_message_id() -> None:
    """The server has accepted it, but its response is lost."""
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
        mailbox.replies["DATA"] = ["cut"]
        assert (await failure(smtp)).is_temporary
        await smtp.send(mail())
        assert len({str(one["Message-ID"]) for one in await mailbox.wait_for(2)}) == 1
        await smtp.close()


async def test_hanging_server_is_a_temporary_error() -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox, timeout=0.2)
        mailbox.replies["DATA"] = ["hang"]
        assert (await failure(smtp)).is_temporary


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT"])
async def test_command_before_the_body_has_less_time_than_the_body(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(smtp_provider, "COMMAND_SECONDS", 0.1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not (await reader.readline()).startswith(command.encode()):
            writer.write(b"250 OK\r\n")
        await reader.read()

    async with server_that(serve) as url, asyncio.timeout(30):
        assert (await failure(SMTPProvider(url, timeout=60))).is_timeout


async def test_unavailable_server_is_a_temporary_error() -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
    assert (await failure(smtp)).is_temporary


async def test_login_is_sent_and_a_refused_login_is_temporary() -> None:
    async with smtp_server(credentials=("shop", "pass/word")) as mailbox:
        right, wrong = provider(mailbox, "shop:pass%2Fword@"), provider(mailbox, "shop:wrong@")
        await right.send(mail())
        assert mailbox.logins == [(b"shop", b"pass/word")]
        error = await failure(wrong)
        assert error.is_temporary
        assert "wrong" not in str(error.response)
        with pytest.raises(DeliveryError):
            await wrong.check()
        await right.check()
        await right.close()


async def test_password_is_never_sent_without_tls() -> None:
    async with smtp_server(credentials=("shop", "secret")) as mailbox:
        smtp = SMTPProvider(f"smtp://shop:secret@127.0.0.1:{mailbox.port}?from=bells@example.com")
        assert (await failure(smtp)).is_temporary
        assert mailbox.logins == []


async def test_cancelled_send_closes_its_connection() -> None:
    async with smtp_server() as mailbox:
        smtp = provider(mailbox)
        mailbox.replies["DATA"] = ["hang"]
        sending = asyncio.create_task(smtp.send(mail()))
        await mailbox.hanging.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await smtp.send(mail(2))
        assert mailbox.connections == 2
        await smtp.close()


async def test_server_that_expects_tls_before_it_greets_is_named_with_smtps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_provider, "CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = await failure(SMTPProvider(f"smtp://127.0.0.1:{port}?from=bells@example.com"))
    assert error.response == f"127.0.0.1:{port} did not greet in time: if the port is for TLS, as 465 is, use smtps://"


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (
            socket.gaierror(-2, "Name or service not known"),
            "the host mx.test has no address (Name or service not known)",
        ),
        (TimeoutError(), "no connection to mx.test:25 in time: check the host and the port"),
        (OSError(errno.EHOSTUNREACH, "text of asyncio"), "The connection to mx.test:25 failed: No route to host."),
    ],
    ids=["unknown", "silent", "unreachable"],
)
async def test_connection_that_fails_names_the_server(fault: OSError, named: str) -> None:
    async def connect(host: str, port: int) -> socket.socket:
        raise fault

    error = await failure(SMTPProvider("smtp://mx.test:25?from=bells@example.com", connect=connect))
    assert error.response.startswith(named)
    assert error.is_temporary


@pytest.mark.parametrize(
    "url",
    [
        "smtp://",
        "http://host",
        "smtp://host?from=nobody",
        "smtp://host?from=a@b.example&colour=red",
        "smtp://user:pass@host:port",
        "smtp://host?tls=maybe",
    ],
)
def test_invalid_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|has|needs") as caught:
        SMTPProvider(url)
    assert "pass@" not in str(caught.value)


def test_refused_url_is_answered_with_what_is_expected() -> None:
    for sender in ("Shop", "Shop bells@example.com"):
        with pytest.raises(ValueError, match=r"expected \?from=bells@example\.com or \?from=Shop <bells@example\.com>"):
            SMTPProvider(f"smtp://mail.example.com?from={sender}")
    with pytest.raises(ValueError, match=r"percent-encode .* such as # as %23"):
        SMTPProvider("smtp://user:p#ss@mail.example.com?from=bells@example.com")
    assert SMTPProvider("smtp://user:p%23ss@mail.example.com?from=bells@example.com")


def test_url_is_shown_without_its_password() -> None:
    smtp = SMTPProvider("smtp://shop:secret@mail.example:25?from=bells@example.com")
    assert "secret" not in repr(smtp._url)
    assert smtp._url.masked == "smtp://…@mail.example:25"
