"""The outbound guard refuses private addresses and unsafe URLs."""

import ipaddress

import httpcore
import httpx
import pytest

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.outbound.guard import AddressGuard, Resolver, _address
from bellcast.kernel.outbound.http import HttpClient
from bellcast.settings import load

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
    ("url", "entry"),
    [
        ("https://10.1.2.3:8025/", "10.1.2.3"),
        ("https://0x7f000001/", "127.0.0.1"),
        ("https://[::1]/", "::1"),
        ("https://[::ffff:10.0.0.1]/", "10.0.0.1"),
        ("https://[64:ff9b::7f00:1]/", "127.0.0.1"),
        ("http://[::ffff:8.8.8.8]/", "8.8.8.8"),
        ("http://mail.internal/", "mail.internal"),
    ],
)
def test_refusal_names_the_value_that_allows_the_host(url: str, entry: str) -> None:
    end = "in the server's environment, then restart"
    assert (AddressGuard().problem(url) or "").endswith(f"set BELLCAST_HTTP_ALLOW={entry} {end}")
    assert (AddressGuard(["crm.internal"]).problem(url) or "").endswith(f"add {entry} to BELLCAST_HTTP_ALLOW {end}")
    allowed = load({}, {"BELLCAST_HTTP_ALLOW": entry}).channels.http_allow
    assert AddressGuard(allowed).problem(url) is None


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "127.1", "2130706433"])
def test_refusal_suggests_no_setting_for_link_local_and_unusable_addresses(host: str) -> None:
    assert "BELLCAST_HTTP_ALLOW" not in (AddressGuard().problem(f"https://{host}/") or "BELLCAST_HTTP_ALLOW")


async def test_refusal_of_a_name_of_a_link_local_address_suggests_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(self: object, host: str) -> list[str]:
        return ["10.1.2.3", "169.254.169.254"]

    monkeypatch.setattr(Resolver, "addresses", resolve)
    with pytest.raises(Unavailable, match=r"^metadata\.internal leads to an address that is not public\.$"):
        await AddressGuard().addresses("metadata.internal")


SPECIAL = [
    *("0.1.2.3", "100.127.255.255", "127.255.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.2.1"),
    *("192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "239.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "::7f00:1", "::10.0.0.1", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "::ffff:0:8.8.8.8"),
    *("64:ff9b::10.0.0.1", "64:ff9b:1::1", "64:ff9b:1:7f00:0:100::", "100::1", "100:0:0:1::1", "200::1", "400::1"),
    *("2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1"),
    *("2002:a00:1::", "2002:7f00:1::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fdff::1", "fe80::1"),
    *("febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1"),
]


@pytest.mark.parametrize("address", SPECIAL)
def test_special_address_is_refused_by_every_version_of_python(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        monkeypatch.setattr(kind, "is_global", True)  # from a version that does not know the range
    host = f"[{address}]" if ":" in address else address
    assert AddressGuard().problem(f"https://{host}/") is not None
    network = str(_address(address))
    assert AddressGuard([network]).problem(f"https://{host}/") is None


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "192.0.1.1",
        "100.128.0.1",
        "[2001:4860:4860::8888]",
        "[2a00:1450::1]",
        "[64:ff9b::808:808]",
        "[2002:808:808::1]",
    ],
)
def test_public_address_is_accepted(address: str) -> None:
    assert AddressGuard().problem(f"https://{address}/") is None


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.com/",
            "ftp://example.com/",
            "https://user:pass@example.com/",
            "//example.com",
            "",
            "https://",
        ),
        *(
            "https://a..example/",
            "https://a%20b.example/",
            "https://-a.example/",
            "https://a,b/",
            "https://example.com:0/",
            "https://example.com:70000/",
        ),
        *("https://example.com/a b", "https://example.com/ "),
        *("https://xn--/", "https://xn--a/"),  # httpx reads the URL, but not its host
    ],
)
def test_url_without_tls_or_a_host_or_with_credentials_is_refused(url: str) -> None:
    assert AddressGuard().problem(url) is not None


@pytest.mark.parametrize("url", ["https://example.com/x", "https://93.184.216.34/", "https://[2606:2800:220:1::1]/"])
def test_public_url_is_accepted(url: str) -> None:
    assert AddressGuard().problem(url) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/x", "https://10.1.2.3/", "http://hooks.internal/"])
def test_operator_can_allow_hosts_and_networks(url: str) -> None:
    assert AddressGuard(["127.0.0.1", "10.0.0.0/8", "hooks.internal"]).problem(url) is None


async def test_name_of_a_private_address_is_refused_when_it_is_resolved() -> None:
    with pytest.raises(Unavailable, match=r"not public; for this host, set BELLCAST_HTTP_ALLOW=\S+ in"):
        await AddressGuard().addresses("localhost")
    assert set(await AddressGuard(["127.0.0.0/8", "::1"]).addresses("localhost")) <= {"127.0.0.1", "::1"}


async def test_plain_http_is_limited_to_allowed_addresses() -> None:
    await AddressGuard(["127.0.0.0/8", "::1"]).check(httpx.URL("http://localhost:9000/"))
    with pytest.raises(Unavailable):
        await AddressGuard(["10.0.0.0/8"]).check(httpx.URL("http://localhost:9000/"))


async def test_connection_goes_to_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second resolution would return the private address."""
    answers, connected = [["93.184.216.34"], ["127.0.0.1"]], list[str]()

    async def resolve(self: object, host: str) -> list[str]:
        return answers.pop(0)

    async def connect(self: object, host: str, port: int, *args: object, **options: object) -> None:
        connected.append(host)
        raise httpcore.ConnectError

    monkeypatch.setattr(Resolver, "addresses", resolve)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    client = HttpClient(AddressGuard())
    with pytest.raises(Unavailable):
        await client.request("POST", "https://rebinding.example/", headers={})
    with pytest.raises(Unavailable, match="not public"):
        await client.request("POST", "https://rebinding.example/", headers={})
    await client.close()
    assert connected == ["93.184.216.34"]
