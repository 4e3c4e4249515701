"""Connection tests are limited for each caller."""

import pytest

from tests.journey import operators
from tests.journey.rest import Rest, refused

PUSHER = ("/v1/settings/test", {"target": "pusher"})
PROVIDER = (
    "/v1/providers/texts/test",
    {"values": {"channel": "sms", "url": "twilio://AC1:token@10.0.0.1?from=%2B12025550123"}},
)
STORED_PROVIDER = ("/v1/providers/texts/test", {})


@pytest.mark.parametrize(("path", "body"), [PUSHER, PROVIDER, STORED_PROVIDER])
async def test_each_caller_has_ten_tests_a_minute(rest: Rest, cheap_hashes: None, path: str, body: object) -> None:
    await operators.set_up(rest)
    one, other = [await operators.signed_in(rest, name, "developer") for name in ("one", "other")]
    for _ in range(10):
        assert (await one.post(path, json=body)).status_code != 429
    late = await one.post(path, json=body)
    assert refused(late, 429, "too_many")
    assert late.headers["retry-after"] == "6"
    assert (await other.post(path, json=body)).status_code != 429
    assert (await rest.app.post(path, json=body)).status_code != 429
    rest.clock.advance(6.001)
    assert (await one.post(path, json=body)).status_code != 429
    assert refused(await one.post(path, json=body), 429, "too_many")
