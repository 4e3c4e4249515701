"""The outbound guard refuses private addresses and unsafe URLs."""

import httpcore
import httpx
import pytest

from bellcast.errors import Unavailable
from bellcast.outbound.guard import AddressGuard
from bellcast.outbound.http import HttpxClient

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
    with pytest.raises(Unavailable, match="not public"):
        await AddressGuard().addresses("localhost", 9000)
    assert set(await AddressGuard(["127.0.0.0/8", "::1"]).addresses("localhost", 9000)) <= {"127.0.0.1", "::1"}


async def test_plain_http_is_limited_to_allowed_addresses() -> None:
    await AddressGuard(["127.0.0.0/8", "::1"]).check(httpx.URL("http://localhost:9000/"))
    with pytest.raises(Unavailable):
        await AddressGuard(["10.0.0.0/8"]).check(httpx.URL("http://localhost:9000/"))


async def test_connection_goes_to_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second resolution would return the private address."""
    answers, connected = [["93.184.216.34"], ["127.0.0.1"]], list[str]()

    async def resolve(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async def connect(self: object, host: str, port: int, *args: object, **options: object) -> None:
        connected.append(host)
        raise httpcore.ConnectError

    monkeypatch.setattr("bellcast.outbound.guard._resolve", resolve)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    client = HttpxClient(AddressGuard())
    with pytest.raises(Unavailable):
        await client.request("POST", "https://rebinding.example/", headers={})
    with pytest.raises(Unavailable, match="not public"):
        await client.request("POST", "https://rebinding.example/", headers={})
    await client.close()
    assert connected == ["93.184.216.34"]
