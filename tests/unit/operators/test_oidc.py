"""The client of an unreachable OpenID Connect provider. tests/journey/test_oidc.py has the other tests."""

import asyncio
from typing import Any

import pytest

from bellcast.kernel.errors import Unavailable
from bellcast.operators import oidc
from bellcast.operators.oidc import OidcProvider, PendingSignIn
from bellcast.operators.types import OidcConfig
from tests.unit.auth.fakes import FakeHttp, clock, responding_with


async def test_discovery_document_is_read_after_the_clock_was_set_back() -> None:
    time, web = clock(), FakeHttp()
    provider = OidcProvider(OidcConfig(issuer="https://id.example", client_id="bellcast"), web, time)
    pending = PendingSignIn("state", "nonce", "verifier", "https://bell.test/callback", "/console/", False, time.now())
    with pytest.raises(Unavailable):
        await provider.authorization_url(pending)
    time.advance(-10_800)
    urls = {name: f"https://id.example/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    web.respond = responding_with({"issuer": "https://id.example", **urls})
    assert (await provider.authorization_url(pending)).startswith("https://id.example/authorization_endpoint?")


async def test_sign_ins_that_waited_for_a_timeout_share_its_failure() -> None:
    time = clock()

    def time_out(*_: Any) -> None:
        time.advance(oidc.RESPONSE_TIMEOUT)

    web = FakeHttp(time_out)
    provider = OidcProvider(OidcConfig(issuer="https://id.example", client_id="bellcast"), web, time)
    pending = PendingSignIn("state", "nonce", "verifier", "https://bell.test/callback", "/console/", False, time.now())
    urls = (provider.authorization_url(pending) for _ in range(3))
    results = await asyncio.gather(*urls, return_exceptions=True)
    assert [type(one) for one in results] == [Unavailable] * 3
    assert len(web.requests) == 1
