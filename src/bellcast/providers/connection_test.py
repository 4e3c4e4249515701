"""The test of a provider: whether its server can be reached, supports encryption, and accepts the credentials or a
message."""

import asyncio
from dataclasses import dataclass

from bellcast.channels.delivery import NamedProvider, delivery_error
from bellcast.kernel.outbound import connection_steps
from bellcast.kernel.outbound.connection_steps import StepFailed, StepSkipped, TestReport
from bellcast.kernel.outbound.guard import AddressGuard
from bellcast.providers.types import MailServer, OutgoingMessage, ServerAddress, UnusableProvider

FIXES = {
    "syntax": "Write the provider again, with its whole URL.",
    "dns": "Check the host in the URL, and its DNS record.",
    "tcp": "Check the port in the URL, and that no firewall is between this server and the provider's.",
    "tls": "Check that the server uses TLS on this port, and that its certificate is valid for its host.",
    "auth": "Check the user, the password or the token in the URL, and that the account is active.",
    "send": "Check the address, the sender in the URL, and what the account may send.",
}


@dataclass(repr=False)  # which would show the URL with its password in a traceback
class ProviderSteps:
    """One test. With a message, sending it shows whether the credentials are accepted. Without a guard, the server may have any
    address."""

    url: str
    named: NamedProvider
    message: OutgoingMessage | None
    guard: AddressGuard | None

    async def run(self) -> TestReport:
        """Run all steps."""
        steps = {
            "syntax": self._check_url,
            "dns": self._resolve,
            "tcp": self._connect,
            "tls": self._encrypt,
            "auth": self._check_credentials,
            "send": self._send,
        }
        return await connection_steps.run(steps, FIXES)

    @property
    def _server(self) -> ServerAddress:
        server = self.named.provider.server
        if server is None:
            raise StepSkipped("The provider's library opens the connection.")
        return server

    async def _check_url(self) -> str:
        if isinstance(self.named.provider, UnusableProvider):
            raise StepFailed(f"The URL {self.named.provider.problem}.")
        return self.url

    async def _resolve(self) -> str:
        return await connection_steps.resolve(self._server.host, self.guard)

    async def _connect(self) -> str:
        server = self._server
        _, writer = await connection_steps.connect(server.host, server.port, self.guard, None)
        writer.close()
        return f"Connected to port {server.port}."

    async def _encrypt(self) -> str:
        server, provider = self._server, self.named.provider
        if isinstance(provider, MailServer):  # after STARTTLS, or without TLS
            if not await provider.is_encrypted():
                raise StepSkipped("Not encrypted: the URL has tls=off, or the server does not offer STARTTLS.")
            return "Encrypted."
        if not server.has_tls:
            raise StepSkipped("Not encrypted: the URL has tls=off.")
        from bellcast.kernel.outbound.transport import tls_context

        context = await asyncio.to_thread(tls_context)
        _, writer = await connection_steps.connect(server.host, server.port, self.guard, context)
        writer.close()
        return "Encrypted, with a valid certificate."

    async def _check_credentials(self) -> str:
        if self.message is not None:
            raise StepSkipped("Shown by the message.")
        await self.named.provider.check()
        return "The check succeeded."

    async def _send(self) -> str:
        if self.message is None:
            raise StepSkipped("Only with an address in `to`.")
        try:
            async with self.named.destination.call():
                accepted = await self.named.provider.send(self.message)
        except Exception as error:  # noqa: BLE001  any failure of the provider is the result of this step
            raise delivery_error(self.named.key, error) from None
        return f"Accepted: {accepted.code}."
