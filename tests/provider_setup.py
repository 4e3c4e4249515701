"""The arguments of a provider under test, and its messages."""

from datetime import UTC, datetime
from typing import Any

from bellcast.kernel.clock import Clock
from bellcast.kernel.outbound import Http
from bellcast.providers.types import OutgoingMessage, Setup
from tests.clock import FakeClock
from tests.unit.auth.fakes import FakeHttp


def setup(
    url: str, http: Http | None = None, clock: Clock | None = None, timeout: float = 30.0, **options: Any
) -> Setup:
    client = http or FakeHttp()
    return Setup(url=url, http=client, http2=client, clock=clock or FakeClock(), timeout=timeout, **options)


def outgoing(id: str, to: str, content: Any, at: datetime = datetime(2026, 6, 10, 12, tzinfo=UTC)) -> OutgoingMessage:
    return OutgoingMessage(id=id, to=to, at=at, content=content)
