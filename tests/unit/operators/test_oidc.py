"""The client of an unreachable OpenID Connect provider. tests/journey/test_oidc.py has the other tests."""

import asyncio
from typing import Any

from bellcast.kernel.errors import Unavailable
from bellcast.operators import oidc
from bellcast.operators.oidc import OidcProvider, PendingSignIn
from bellcast.operators.types import OidcConfig
from tests.unit.auth.fakes import FakeHttp, clock


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
