"""Defects of providers."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from bellcast.channels.delivery import delivery_error
from bellcast.channels.types import ExternalChannel
from bellcast.kernel.outbound import DeliveryError
from bellcast.providers.types import AcceptedMessage, AddressKind, OutgoingMessage
from tests.provider_setup import outgoing

SECRET = "token-of-the-vendor"


class BrokenProvider:
    channel: ExternalChannel = "sms"
    kinds: Sequence[AddressKind] = ("sms",)
    server = None

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        raise KeyError(SECRET)

    async def check(self) -> None: ...

    async def close(self) -> None: ...


async def test_defect_of_a_provider_is_a_temporary_failure_logged_without_secrets() -> None:
    with pytest.raises(KeyError) as raised:
        await BrokenProvider().send(outgoing("1", "+12025550123", {}))
    with capture_logs() as logs:
        error = delivery_error("texts", raised.value)
    assert (error.response, error.is_temporary) == ("the provider failed: KeyError", True)
    (line,) = logs
    assert (line["event"], line["provider"], line["error"]) == ("provider_failed", "texts", "KeyError")
    assert "in send" in line["traceback"]
    assert SECRET not in str(line)


def test_texts_of_a_vendor_contain_nothing_that_a_store_refuses() -> None:
    accepted = AcceptedMessage("25\x000", "a\udce9\x00", "SM\x001")
    assert accepted == AcceptedMessage("25\ufffd0", "a?\ufffd", "SM\ufffd1")
    error = DeliveryError("\x1f\x8b\x00", code="5\x0054", is_temporary=True)
    assert (error.response, error.code, str(error)) == ("\x1f\x8b\ufffd", "5\ufffd54", "5\ufffd54: \x1f\x8b\ufffd")
