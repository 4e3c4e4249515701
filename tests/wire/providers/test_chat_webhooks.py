"""Incoming webhooks of chat vendors: the request of each, and what refusals mean."""

import json
from typing import Any

import pytest

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.outbound import DeliveryError, Response
from bellcast.providers.chat_webhooks import ChatWebhookProvider
from tests.provider_setup import outgoing

SLACK = "https://hooks.slack.com/services/T/B/x"
DISCORD = "https://discord.com/api/webhooks/1/x"
TEAMS = "https://shop.webhook.office.com/webhookb2/x"


class OneResponse:
    """Http that records the request: the vendors' hosts are fixed, so a test server cannot take their place."""

    def __init__(self, response: Response | None) -> None:
        self.response = response
        self.sent: list[tuple[str, Any]] = []

    async def request(self, method: str, url: str, **request: Any) -> Response:
        self.sent.append((url, json.loads(request["body"])))
        if self.response is None:
            raise Unavailable("timed out")
        return self.response

    async def close(self) -> None: ...


async def send(to: str, text: str, response: Response | None) -> OneResponse:
    http = OneResponse(response)
    await ChatWebhookProvider(http).send(outgoing("m1", to, {"text": text}))
    return http


async def test_each_vendor_gets_its_format() -> None:
    text, ok = "<!channel> Ann & Bob @everyone", Response(200, {}, b"ok")
    ((_, slack),) = (await send(SLACK, text, ok)).sent
    assert slack == {"text": "&lt;!channel&gt; Ann &amp; Bob @everyone"}
    ((_, discord),) = (await send(DISCORD, text, Response(204, {}, b""))).sent
    assert discord == {"content": text, "allowed_mentions": {"parse": []}}
    ((_, teams),) = (await send(TEAMS, text, Response(202, {}, b""))).sent
    assert teams["attachments"][0]["content"]["body"][0]["text"] == text


@pytest.mark.parametrize(
    ("response", "is_temporary", "is_bounce"),
    [
        (Response(404, {}, b"no_team"), False, True),
        (Response(410, {}, b"channel_is_archived"), False, True),
        (Response(400, {}, b"invalid_payload"), False, False),
        (Response(429, {"retry-after": "30"}, b""), True, False),
        (Response(500, {}, b""), True, False),
        (None, True, False),
    ],
)
async def test_refusal_is_temporary_permanent_or_a_bounce(
    response: Response | None, is_temporary: bool, is_bounce: bool
) -> None:
    with pytest.raises(DeliveryError) as caught:
        await send(SLACK, "Hi", response)
    assert (caught.value.is_temporary, caught.value.is_bounce) == (is_temporary, is_bounce)


@pytest.mark.parametrize(
    ("reason", "is_temporary", "is_bounce"),
    [
        ("Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=1,server=X,cv=1..", True, False),
        ("Microsoft Teams endpoint returned HTTP error 413 with ContextId tcid=1,server=X,cv=1..", False, False),
        ("Microsoft Teams endpoint returned HTTP error 404 with ContextId tcid=1,server=X,cv=1..", False, True),
        ("Error contacting Microsoft Teams endpoint", True, False),
    ],
)
async def test_refusal_that_teams_sends_with_status_200_is_one(
    reason: str, is_temporary: bool, is_bounce: bool
) -> None:
    text = f"Webhook message delivery failed with error: {reason}"
    with pytest.raises(DeliveryError) as caught:
        await send(TEAMS, "Hi", Response(200, {}, text.encode()))
    error = caught.value
    assert (error.is_temporary, error.is_bounce, error.response) == (is_temporary, is_bounce, text)
    assert (await send(TEAMS, "Hi", Response(200, {}, b"1"))).sent
