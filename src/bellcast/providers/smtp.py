"""E-mail over SMTP (RFC 5321), with STARTTLS (RFC 3207) or TLS from the start (RFC 8314), over connections that stay open between
messages."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager, suppress
from email.utils import parseaddr
from functools import cache
from threading import Thread
from typing import Any, cast

import aiosmtplib
from aiosmtplib import SMTP

from bellcast.channels import addresses, email
from bellcast.kernel.errors import Unavailable, certificate_fault
from bellcast.kernel.outbound import DeliveryError
from bellcast.providers.types import AcceptedMessage, AddressKind, Connect, OutgoingMessage, ServerAddress
from bellcast.providers.vendor_api import parse

SUBMISSION_PORT = 587  # RFC 6409
SUBMISSIONS_PORT = 465  # RFC 8314
# Servers close idle connections after 5 minutes at the earliest (RFC 5321 §4.5.3.2.7); this is well before.
IDLE_SECONDS = 60.0
# For TCP, and for TLS with the greeting: servers delay it by up to 6 s against spam.
CONNECT_SECONDS = 10.0
# For the response to each command before DATA, which the client sends with the body: until then, an attempt that ends cannot
# have sent the e-mail.
COMMAND_SECONDS = 10.0
# A message may take this many times the timeout of one response: only the response to its body should take long, because
# servers scan it; the other commands together, which may be eight, have as long. Else a server that answers each of them just
# in time occupies a slot for minutes.
TIMEOUTS_PER_MESSAGE = 2
# For the response to QUIT, which nothing depends on: the message is already accepted.
QUIT_SECONDS = 2.0
# For the name of this machine, which /etc/hosts usually has.
NAME_SECONDS = 2.0
# Maximum messages per connection: some servers close after a hundred.
MESSAGES_PER_CONNECTION = 100
# Refusals of the mailbox itself: unknown, moved, name not allowed (RFC 5321 §4.2.3).
BOUNCES = frozenset({550, 551, 553})
# Replies about the credentials or the current policy, not about the message.
REFUSED_LOGINS = frozenset({530, 534, 535, 538})
OPTIONS = frozenset({"from"})
WRONG_SENDER = "has a sender without an address: expected ?from=bells@example.com or ?from=Shop <bells@example.com>"
NO_STARTTLS = (
    "the mail server does not offer STARTTLS, without which no password is sent: use smtps:// if the server has a port "
    "for TLS, or add tls=off to the provider's URL if the network is trusted"
)


class _SMTPConnection:
    """An open connection with its usage."""

    def __init__(self, client: SMTP) -> None:
        self.client = client
        self.messages = 0
        # The client forgets its transport when a response does not come in time.
        self._transport = cast(asyncio.WriteTransport, client.transport)
        self.used_at = asyncio.get_running_loop().time()

    def abort(self) -> None:
        """Close the connection. What the server has not read is not sent: it could accept a message that has failed here."""
        self._transport.abort()  # first: Python 3.11.2 cannot abort a TLS transport that was closed twice
        self.client.close()


class SMTPProvider:
    """A provider of e-mail: `smtp://user:password@host:587?from=Shop <bells@example.com>` or `smtps://…`. Raises ValueError for a
    URL that it cannot use. `sender` is an address with its name. A password is only sent over TLS, unless TLS is off."""

    kinds: Sequence[AddressKind] = ("email",)

    def __init__(self, text: str, *, timeout: float = 30.0, connect: Connect | None = None) -> None:
        self._url = url = parse(text, known_options=OPTIONS)
        if url.scheme not in ("smtp", "smtps"):
            raise ValueError("must begin with smtp:// or smtps://")
        given = url.options.get("from")
        name, sender = parseaddr(given or f"bellcast@{url.host}")
        if not addresses.is_email(sender):
            raise ValueError(WRONG_SENDER if given else "needs a sender: add ?from=bells@example.com")
        has_implicit_tls = url.scheme == "smtps"  # before the first byte
        port = url.port or (SUBMISSIONS_PORT if has_implicit_tls else SUBMISSION_PORT)
        self.server = ServerAddress(url.host, port, has_implicit_tls)
        self.sender = sender, name or None
        self._timeout = timeout
        self._connect = connect
        self._sender = email.wire_address(sender)
        self._idle: list[_SMTPConnection] = []
        self._is_closed = False

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Deliver one e-mail."""
        body = email.compose(message, *self.sender)
        recipient = email.wire_address(message.to)
        encoding = "ascii" if recipient.isascii() and self._sender.isascii() else "utf-8"
        async with self._exchange():
            connection = await self._begin(encoding)
            connection.messages += 1
            with ExitStack() as failing:
                failing.callback(connection.abort)
                await connection.client.rcpt(recipient, encoding=encoding)
                # A cancellation that wait_for of Python 3.11 lost in the moment of a response (bpo-37658)
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise asyncio.CancelledError
                code, response = await connection.client.data(body, timeout=self._timeout)
                failing.pop_all()
        if self._is_closed or connection.messages >= MESSAGES_PER_CONNECTION:
            await self._quit(connection)
        else:
            connection.used_at = asyncio.get_running_loop().time()
            self._idle.append(connection)
        return AcceptedMessage(str(code), response, f"<{message.id}>")

    async def check(self) -> None:
        """Connect and log in."""
        async with self._exchange():
            await self._quit(await self._open())

    async def is_encrypted(self) -> bool:
        """Connect without a login; return whether with TLS. Raises DeliveryError."""
        async with self._exchange():
            connection = await self._open(logs_in=False)
            has_tls = _is_encrypted(connection.client)
            await self._quit(connection)
        return has_tls

    async def close(self) -> None:
        """Close idle connections; those in use close with their message. Later messages use connections of their own."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*map(self._quit, idle))

    @asynccontextmanager
    async def _exchange(self) -> AsyncIterator[None]:
        """Limit the time of everything that a message or a check needs, and translate errors into DeliveryError."""
        seconds = TIMEOUTS_PER_MESSAGE * self._timeout
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                yield
        except aiosmtplib.SMTPResponseException as error:
            # Other codes than 5xx are no refusal: replies of another protocol, or none.
            is_temporary = not 500 <= error.code < 600 or error.code in REFUSED_LOGINS
            is_bounce = isinstance(error, aiosmtplib.SMTPRecipientRefused) and error.code in BOUNCES
            code = str(error.code)
            raise DeliveryError(error.message, code=code, is_temporary=is_temporary, is_bounce=is_bounce) from None
        except Unavailable as error:
            raise DeliveryError(error.detail, is_temporary=True) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:  # ValueError: a challenge that is not base64
            late = f"the mail server took more than {seconds:g} s for all its responses"
            reason = late if limit.expired() else _reason(error, self.server)
            raise DeliveryError(reason, is_temporary=True, is_timeout=isinstance(error, TimeoutError)) from None

    async def _begin(self, encoding: str) -> _SMTPConnection:
        """Return a connection on which MAIL FROM was accepted. An idle connection that the server has closed is replaced; one on
        which it does not respond ends the attempt, because the server hangs."""
        stale = asyncio.get_running_loop().time() - IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.used_at < stale:
                connection.client.close()
                continue
            with suppress(aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPResponseException, ConnectionError):
                return await self._mail(connection, encoding)
        return await self._mail(await self._open(), encoding)

    async def _mail(self, connection: _SMTPConnection, encoding: str) -> _SMTPConnection:
        """Send MAIL FROM, and return the connection; close it if the command is not accepted. Non-ASCII addresses need
        SMTPUTF8 (RFC 6531 §3.4)."""
        client, options = connection.client, dict[str, Any]()
        with ExitStack() as failing:
            failing.callback(connection.abort)
            if encoding != "ascii":
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
                if not client.supports_extension("smtputf8"):
                    problem = "the mail server accepts only ASCII addresses (it has no SMTPUTF8)"
                    raise DeliveryError(problem, is_temporary=False)
                options = {"options": ["SMTPUTF8"], "encoding": encoding}
            await client.mail(self._sender, **options)
            failing.pop_all()
        return connection

    async def _open(self, *, logs_in: bool = True) -> _SMTPConnection:
        url, server = self._url, self.server
        needs_tls = url.password is not None and url.uses_tls  # before the login, with a valid certificate
        sock = None
        if self._connect is not None:
            async with asyncio.timeout(min(self._timeout, CONNECT_SECONDS)):
                sock = await self._connect(server.host, server.port)
        try:
            name = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(_name_lookup())), NAME_SECONDS)
        except TimeoutError:  # the name server does not respond
            name = socket.gethostname()
        client = SMTP(
            hostname=url.host,
            port=server.port if sock is None else None,
            sock=sock,
            use_tls=server.has_tls,
            start_tls=None if url.uses_tls else False,  # None: if the server offers it
            # Without a password encryption is opportunistic (RFC 7435): a local relay may sign its own certificate.
            validate_certs=needs_tls or server.has_tls,
            timeout=min(self._timeout, COMMAND_SECONDS),
            local_hostname=name,
        )
        with ExitStack() as opened:
            opened.callback(client.close)
            await client.connect(timeout=min(self._timeout, CONNECT_SECONDS))
            if needs_tls and not _is_encrypted(client):
                raise DeliveryError(NO_STARTTLS, is_temporary=True)
            if logs_in and url.user is not None:
                await client.login(url.user, url.password or "")
            opened.pop_all()
        return _SMTPConnection(client)

    async def _quit(self, connection: _SMTPConnection) -> None:
        with suppress(aiosmtplib.SMTPException, OSError):
            await connection.client.quit(timeout=min(self._timeout, QUIT_SECONDS))
        connection.client.close()


def _is_encrypted(client: SMTP) -> bool:
    return client.get_transport_info("sslcontext") is not None


@cache
def _name_lookup() -> Future[str]:
    """Look up the name of this machine once, in a daemon thread: an executor's threads would delay the end of the process."""
    found = Future[str]()
    Thread(target=lambda: found.set_result(socket.getfqdn()), name="own-name", daemon=True).start()
    return found


def _reason(error: BaseException, server: ServerAddress) -> str:
    cause, address = error.__cause__ or error, f"{server.host}:{server.port}"
    if (fault := certificate_fault(cause)) is not None:
        return f"the certificate of {address} is not accepted: {fault}"
    if "WRONG_VERSION_NUMBER" in str(cause):
        return f"{address} does not begin with TLS: use smtp:// with this port, or the port for TLS, usually 465"
    if isinstance(cause, socket.gaierror):
        return f"the host {server.host} has no address ({cause.strerror}): check its name"
    if isinstance(error, aiosmtplib.SMTPConnectTimeoutError) and not server.has_tls:
        return f"{address} did not greet in time: if the port is for TLS, as 465 is, use smtps://"
    # asyncio's text contains the call and the tuple of its address; aiosmtplib does not know the port of a socket.
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
        return f"The connection to {address} failed: {os.strerror(cause.errno)}."
    if type(error) is TimeoutError:
        return f"no connection to {address} in time: check the host and the port, and whether a firewall blocks them"
    return str(cause if isinstance(error, aiosmtplib.SMTPConnectError) else error) or type(error).__name__
