import pytest

from bellcast.kernel import ip_addresses
from bellcast.kernel.ip_addresses import is_server

LONGEST = ".".join(["a" * 63] * 3 + ["b" * 61])


@pytest.mark.parametrize(
    "server",
    [
        "mail.example.com",
        "MAIL.example.com.",
        "mailhog",
        "mail_server:25",
        "localhost:65535",
        "xn--mnchen-3ya.example",
        "münchen.example",
        "192.0.2.1:1",
        "[::1]",
        "[2001:db8::1]:587",
        LONGEST,
    ],
)
def test_address_or_name_with_an_optional_port_is_a_server(server: str) -> None:
    assert is_server(server)


@pytest.mark.parametrize(
    "server",
    [
        "",
        ".",
        "not a host",
        " a.example",
        "mail..example.com",
        "a.example..",
        "-a.example",
        "a-.example",
        f"{'a' * 64}.example",
        f"{LONGEST}x",
        "*.example.com",
        "a%20b.example",
        "a,b",
        "${HOST}",
        "{{ host }}",
        "a\tb",
        "a\nb",
        "a\x00b",
        "a\x7fb",
        "a\u200db.example",
        "☃.example",
        "256.1.1.1",
        "1.2.3.4.5",
        "[::1",
        "::1",
        "[gg::1]",
        "user@a.example",
        "a.example/x",
        "a.example?x",
        "a.example:0",
        "a.example:65536",
        "a.example:-1",
        "a.example:x",
    ],
)
def test_text_that_no_connection_can_be_made_to_is_not_a_server(server: str) -> None:
    assert not is_server(server)


def test_long_server_is_refused_and_not_remembered() -> None:
    remembered = ip_addresses._is_server.cache_info().currsize
    assert not is_server("a." * 100_000 + "example")
    assert ip_addresses._is_server.cache_info().currsize == remembered
