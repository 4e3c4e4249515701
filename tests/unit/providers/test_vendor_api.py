"""Hosts of providers' URLs."""

import pytest

from bellcast.providers import vendor_api
from tests.unit.auth.fakes import FakeHttp


@pytest.mark.parametrize(
    ("text", "base", "masked"),
    [
        ("twilio://sid:token@[::1]:9000?tls=off", "http://[::1]:9000", "twilio://…@[::1]:9000"),
        ("twilio://sid:token@[2001:db8::1]", "https://[2001:db8::1]", "twilio://…@[2001:db8::1]"),
        ("twilio://sid:token@gateway.test:9000", "https://gateway.test:9000", "twilio://…@gateway.test:9000"),
        ("twilio://sid:token@default", "https://api.vendor.test", "twilio://…@default"),
    ],
)
def test_url_of_an_api_keeps_the_brackets_of_an_ipv6_address(text: str, base: str, masked: str) -> None:
    parsed = vendor_api.parse(text)
    assert vendor_api.at(parsed, "https://api.vendor.test", FakeHttp(), 30).base == base
    assert parsed.masked == masked
    server = vendor_api.VendorAPI(base, FakeHttp(), 1).server
    assert server.port in (443, 9000)
    assert server.host in ("::1", "2001:db8::1", "gateway.test", "api.vendor.test")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("vonage://…@default", "?from=Shop&signature_secret=a%2Bb"),
        ("vonage://…@default?from=Bell", "?from=Bell&signature_secret=a%2Bb"),
        ("vonage://…@default?from=Bell&signature_secret=c", "?from=Bell&signature_secret=c"),
        ("vonage://…@default?from=Bell&signature_secret=", "?from=Bell&signature_secret="),
    ],
)
def test_signature_secret_stays_with_the_other_credentials(given: str, kept: str) -> None:
    stored = "vonage://KEY:SECRET@default?from=Shop&signature_secret=a%2Bb"
    assert vendor_api.with_credentials_of(given, stored) == f"vonage://KEY:SECRET@default{kept}"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("?from=Bell", "?from=Bell&tls=off"),
        ("?signature_secret=c", "?signature_secret=c&from=Shop&tls=off"),
        ("?from=Bell&tls=off", "?from=Bell&tls=off"),
    ],
)
def test_sender_and_gateway_stay_if_another_option_is_given(given: str, kept: str) -> None:
    stored = "vonage://KEY:SECRET@localhost:9000?from=Shop&tls=off"
    changed = vendor_api.with_credentials_of(f"vonage://…@localhost:9000{given}", stored)
    assert changed == f"vonage://KEY:SECRET@localhost:9000{kept}"


def test_credentials_do_not_stay_where_they_would_be_sent_without_tls() -> None:
    with pytest.raises(ValueError, match="needs its credentials again"):
        vendor_api.with_credentials_of(
            "vonage://…@localhost:9000?tls=off", "vonage://KEY:SECRET@localhost:9000?from=Shop"
        )
