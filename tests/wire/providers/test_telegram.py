"""Telegram with a server of its Bot API, and the server's failures."""

import pytest

from bellcast.kernel.outbound import DeliveryError
from bellcast.kernel.outbound.http import HttpClient
from bellcast.providers import telegram
from tests.provider_setup import outgoing, setup
from tests.vendor_server import CUT, VendorServer, raw_response

MESSAGE = outgoing("m1", "4711", {"text": "New booking"})
TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


def telegram_at(vendor: VendorServer, http: HttpClient) -> telegram.TelegramProvider:
    return telegram.TelegramProvider(setup(f"telegram://{TOKEN}@{vendor.host}?tls=off", http))


async def test_message_is_sent_to_the_chat(vendor: VendorServer, http: HttpClient) -> None:
    vendor.default = raw_response(200, {"ok": True, "result": {"message_id": 7}})
    accepted = await telegram_at(vendor, http).send(MESSAGE)
    assert accepted.reference == "7"
    assert vendor.requests[0].path == f"/bot{TOKEN}/sendMessage"
    assert vendor.requests[0].json == {"chat_id": "4711", "text": "New booking"}


@pytest.mark.parametrize(
    ("status", "body", "is_temporary", "is_bounce", "retry_after"),
    [
        (400, {"description": "Bad Request: chat not found"}, False, False, None),
        (403, {"description": "Forbidden: bot was blocked by the user"}, False, True, None),
        (401, {"description": "Unauthorized"}, True, False, None),
        (429, {"description": "Too Many Requests", "parameters": {"retry_after": 35}}, True, False, 35.0),
        (502, {}, True, False, None),
    ],
)
async def test_refusal_is_temporary_permanent_or_a_bounce(
    vendor: VendorServer,
    http: HttpClient,
    status: int,
    body: dict[str, object],
    is_temporary: bool,
    is_bounce: bool,
    retry_after: float | None,
) -> None:
    vendor.default = raw_response(status, {"ok": False, **body})
    with pytest.raises(DeliveryError) as caught:
        await telegram_at(vendor, http).send(MESSAGE)
    error = caught.value
    assert (error.is_temporary, error.is_bounce, error.retry_after) == (is_temporary, is_bounce, retry_after)


async def test_message_follows_a_group_that_became_a_supergroup(vendor: VendorServer, http: HttpClient) -> None:
    moved = {
        "ok": False,
        "description": "Bad Request: group chat was upgraded",
        "parameters": {"migrate_to_chat_id": -1007},
    }
    vendor.responses += [raw_response(400, moved), raw_response(200, {"ok": True, "result": {"message_id": 7}})]
    assert (await telegram_at(vendor, http).send(MESSAGE)).reference == "7"
    assert [request.json["chat_id"] for request in vendor.requests] == ["4711", "-1007"]
    vendor.default = raw_response(400, moved)
    with pytest.raises(DeliveryError, match="upgraded"):
        await telegram_at(vendor, http).send(MESSAGE)
    assert len(vendor.requests) == 4


async def test_token_is_in_no_error(vendor: VendorServer, http: HttpClient) -> None:
    vendor.responses += [CUT, raw_response(404, {"ok": False, "description": f"no bot {TOKEN}"})]
    for _ in range(2):
        with pytest.raises(DeliveryError) as caught:
            await telegram_at(vendor, http).send(MESSAGE)
        assert TOKEN not in caught.value.response
