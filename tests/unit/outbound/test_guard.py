"""The outbound guard refuses private addresses and unsafe URLs."""

import httpx
import pytest

from bellcast.errors import Unavailable
from bellcast.outbound.guard import AddressGuard

PRIVATE = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://10.1.2.3/",
    "https://192.168.0.1/",
    "https://172.16.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1%25eth0]/",
    "https://[fc00::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_private_literal_is_refused(url: str) -> None:
    assert AddressGuard().problem(url) is not None


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "ftp://example.com/", "https://user:pass@example.com/", "//example.com", "", "https://"],
)
def test_url_without_tls_or_with_credentials_is_refused(url: str) -> None:
    assert AddressGuard().problem(url) is not None


@pytest.mark.parametrize("url", ["https://example.com/x", "https://93.184.216.34/", "https://[2606:2800:220:1::1]/"])
def test_public_url_is_accepted(url: str) -> None:
    assert AddressGuard().problem(url) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/x", "https://10.1.2.3/", "http://hooks.internal/"])
def test_operator_can_allow_hosts_and_networks(url: str) -> None:
    assert AddressGuard(["127.0.0.1", "10.0.0.0/8", "hooks.internal"]).problem(url) is None


async def test_name_of_a_private_address_is_refused_when_it_is_resolved() -> None:
    request = httpx.Request("POST", "https://localhost:9000/x")
    with pytest.raises(Unavailable):
        await AddressGuard().pin(request)


async def test_request_is_sent_to_the_checked_address_with_its_host_name() -> None:
    request = httpx.Request("POST", "https://localhost:9000/x")
    await AddressGuard(["127.0.0.0/8", "::1"]).pin(request)
    assert request.url.host in ("127.0.0.1", "::1")
    assert request.headers["host"] == "localhost:9000"
    assert request.extensions["sni_hostname"] == "localhost"
