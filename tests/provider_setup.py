"""The arguments of a provider under test."""

from typing import Any

from bellcast.kernel.clock import Clock
from bellcast.kernel.outbound import Http
from bellcast.providers.types import Setup
from tests.clock import FakeClock
from tests.unit.auth.fakes import FakeHttp


def setup(
    url: str, http: Http | None = None, clock: Clock | None = None, timeout: float = 30.0, **options: Any
) -> Setup:
    client = http or FakeHttp()
    return Setup(url=url, http=client, http2=lambda: client, clock=clock or FakeClock(), timeout=timeout, **options)
