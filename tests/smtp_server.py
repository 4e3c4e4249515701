"""A real SMTP server for tests, with failures on request."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Mailbox:
    """Received messages, and the next replies. A reply of "hang" sends nothing, "cut" closes the connection."""

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.replies: dict[str, list[str]] = {"MAIL": [], "RCPT": [], "DATA": []}
        self.connections = 0
        self.transports: list[asyncio.WriteTransport] = []
        self.hanging = asyncio.Event()
        self.disconnected = asyncio.Event()
        self.logins: list[tuple[bytes, bytes]] = []
        self.port = 0
        self._arrived = asyncio.Condition()

    async def _reply(self, command: str, server: SMTP) -> str:
        reply = self.replies[command].pop(0) if self.replies[command] else "250 OK"
        if reply == "hang":
            self.hanging.set()
            await asyncio.Event().wait()
        if reply == "cut":
            assert server.transport is not None
            server.transport.abort()
        return reply

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self._reply("MAIL", server)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._reply("RCPT", server)
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        reply = await self._reply("DATA", server)
        if reply.startswith("2") or reply == "cut":  # cut: the mail is received, the reply is not sent
            assert isinstance(envelope.content, bytes)
            parsed = message_from_bytes(envelope.content, policy=default)
            assert isinstance(parsed, EmailMessage)
            async with self._arrived:
                self.received.append(parsed)
                self.envelopes.append(envelope)
                self._arrived.notify_all()
        return reply

    async def wait_for(self, count: int) -> list[EmailMessage]:
        """Wait until this many mails are received and return them."""
        async with asyncio.timeout(60), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
        return self.received


@asynccontextmanager
async def smtp_server(
    *,
    credentials: tuple[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    needs_tls: bool = False,
    has_utf8: bool = True,
) -> AsyncIterator[Mailbox]:
    """Run a server on a free port of 127.0.0.1. With credentials it requires a login, and if it needs TLS,
    STARTTLS first."""
    mailbox = Mailbox()

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        mailbox.logins.append((data.login, data.password))
        is_right = credentials is not None and (data.login.decode(), data.password.decode()) == credentials
        return AuthResult(success=is_right, handled=False)

    class Server(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.WriteTransport)
            mailbox.transports.append(transport)
            super().connection_made(transport)

        def connection_lost(self, error: Exception | None) -> None:
            mailbox.disconnected.set()
            super().connection_lost(error)

        async def push(self, status: str | bytes) -> None:
            # A lone surrogate stands for a byte that is not UTF-8.
            await super().push(status.encode(errors="surrogateescape") if isinstance(status, str) else status)

    def connect() -> SMTP:
        mailbox.connections += 1
        with warnings.catch_warnings(action="ignore"):  # aiosmtpd warns of logins without TLS, even on loopback
            return new_server()

    def new_server() -> Server:
        return Server(
            mailbox,
            hostname="mx.test",
            authenticator=authenticate,
            auth_required=credentials is not None,
            auth_require_tls=False,
            tls_context=None if implicit_tls else tls,
            require_starttls=needs_tls and not implicit_tls,
            enable_SMTPUTF8=has_utf8,
            loop=asyncio.get_running_loop(),
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connect, "127.0.0.1", 0, ssl=tls if implicit_tls else None)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        for transport in mailbox.transports:
            with suppress(AttributeError):  # Python 3.11.2, if the transport was closed twice
                transport.abort()
        await asyncio.sleep(0)  # lets them close their sockets
