"""Doctor checks of mail servers: connect, encrypt and sign in, without a mail."""

import asyncio
from collections.abc import Iterator, Mapping

from bellcast.console.types import diagnoses
from bellcast.console.types.findings import Finding
from bellcast.kernel.outbound.port import DeliveryError
from bellcast.providers import smtp
from bellcast.providers.types import SETTING_PREFIX, Provider
from bellcast.settings import Settings

# A mail server greets within a second, or within 5 s if it makes senders of spam wait.
MAIL_SECONDS = 8.0


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Check the mail servers in BELLCAST_EMAIL, concurrently."""
    servers: dict[str, Provider] = {}
    for number, url in enumerate(settings.channels.email, 1):
        key = f"{SETTING_PREFIX}email-{number}"
        try:
            servers[key] = smtp.from_url(url, timeout=MAIL_SECONDS)
        except ValueError as error:
            yield diagnoses.finding("mail_unusable", check="mail server", server=key, error=f"the URL {error}")
    yield from asyncio.run(check("mail server", servers))


async def check(name: str, servers: Mapping[str, Provider]) -> list[Finding]:
    """Return the finding of each server."""
    return await asyncio.gather(*(_check(name, key, server) for key, server in servers.items()))


async def _check(name: str, key: str, server: Provider) -> Finding:
    label = key if server.server is None else f"{key} at {server.server.host}:{server.server.port}"
    try:
        async with asyncio.timeout(MAIL_SECONDS):
            await server.check()
    except TimeoutError:
        return diagnoses.finding(
            "mail_unusable", check=name, server=label, error=f"no response in {MAIL_SECONDS:.0f} s"
        )
    except DeliveryError as error:
        return diagnoses.finding("mail_unusable", check=name, server=label, error=error)
    return Finding(name, "ok", f"{label} can be used")
