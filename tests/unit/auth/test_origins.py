import pytest
from tests.unit.auth.world import names

from bellcast.auth import origins
from bellcast.auth.origins import Kind

SHOP = "https://shop.example"
HERE = {"scheme": "https", "host": "bell.example"}
OWN = "https://bell.example"


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("https://app.example", "https://app.example"),
        ("HTTPS://App.Example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[::1]", "http://[::1]"),
        ("null", None),
        ("", None),
        ("app.example", None),
        ("https://", None),
        ("https://app.example/", None),
        ("https://app.example/shop", None),
        ("https://app.example?x", None),
        ("https://me@app.example", None),
        ("https://app.example:x", None),
        ("https://app.example:99999", None),
        ("https://[::1", None),
        ("ftp://app.example", None),
        ("chrome-extension://abcdef", None),
        ("*", None),
    ],
)
def test_an_origin_has_one_way_of_writing(given: str, canonical: str | None) -> None:
    assert origins.canonical(given) == canonical


@pytest.mark.parametrize(
    ("origin", "declared", "allowed"),
    [
        (SHOP, (), True),
        ("null", (), True),
        (None, (), True),
        (None, (SHOP,), True),
        (SHOP, (SHOP,), True),
        ("https://SHOP.example:443", (SHOP,), True),
        (OWN, (SHOP,), True),
        ("http://bell.example", (SHOP,), False),
        ("https://evil.example", (SHOP,), False),
        ("https://shop.example.evil.example", (SHOP,), False),
        ("null", (SHOP,), False),
    ],
)
def test_tokens_come_from_anywhere_until_origins_are_declared(
    origin: str | None, declared: tuple[str, ...], allowed: bool
) -> None:
    assert origins.token_allowed(origin, origins=declared, **HERE) is allowed


@pytest.mark.parametrize(
    ("kind", "method", "origin", "site", "allowed"),
    [
        # Reading once.
        ("request", "GET", None, None, True),
        ("request", "GET", OWN, "same-origin", True),
        ("request", "GET", "https://evil.example", "cross-site", False),
        ("request", "HEAD", None, "cross-site", True),
        # Changing something.
        ("request", "POST", OWN, "same-origin", True),
        ("request", "POST", SHOP, "cross-site", True),
        ("request", "POST", "https://evil.example", "cross-site", False),
        ("request", "POST", "http://bell.example", None, False),
        ("request", "POST", "null", None, False),
        ("request", "POST", None, None, False),
        ("request", "POST", None, "same-origin", False),
        ("request", "PATCH", None, None, False),
        ("request", "DELETE", "https://evil.example", None, False),
        # A stream of events.
        ("stream", "GET", OWN, None, True),
        ("stream", "GET", SHOP, "cross-site", True),
        ("stream", "GET", "https://evil.example", "cross-site", False),
        ("stream", "GET", "null", None, False),
        ("stream", "GET", None, None, True),
        ("stream", "GET", None, "same-origin", True),
        ("stream", "GET", None, "same-site", False),
        ("stream", "GET", None, "cross-site", False),
        ("stream", "GET", None, "none", False),
        # A WebSocket: no CORS protects it, and every browser names the origin.
        ("websocket", "GET", OWN, None, True),
        ("websocket", "GET", SHOP, None, True),
        ("websocket", "GET", "https://evil.example", None, False),
        ("websocket", "GET", None, None, False),
        ("websocket", "GET", None, "same-origin", False),
    ],
)
def test_cookies_come_from_known_pages_where_something_changes_or_stays_open(
    kind: Kind, method: str, origin: str | None, site: str | None, allowed: bool
) -> None:
    assert origins.cookie_allowed(kind, method, origin, site=site, origins=(SHOP,), **HERE) is allowed


def test_the_own_port_counts() -> None:
    assert origins.is_same("http://localhost:8787", "http", "localhost:8787")
    assert origins.is_same("http://localhost", "http", "localhost:80")
    assert not origins.is_same("http://localhost:3000", "http", "localhost:8787")
    assert not origins.is_same("null", "http", "")


def test_any_page_may_read_until_origins_are_declared_but_never_with_cookies() -> None:
    said = names(origins.cors_headers("https://anything.example", ()))
    assert said[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-credentials" not in said
    assert b"ETag" in said[b"access-control-expose-headers"]
    assert origins.cors_headers(None, ()) == []


def test_declared_pages_may_read_with_cookies_and_others_may_not() -> None:
    said = names(origins.cors_headers(SHOP, (SHOP,)))
    assert said[b"access-control-allow-origin"] == SHOP.encode()
    assert said[b"access-control-allow-credentials"] == b"true"
    for origin in ("https://evil.example", "null", None):
        assert origins.cors_headers(origin, (SHOP,)) == [(b"vary", b"Origin")]


@pytest.mark.parametrize("declared", [(), (SHOP,)])
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_error_may_be_read_by_every_page_even_of_a_request_with_credentials(
    declared: tuple[str, ...], origin: str
) -> None:
    said = names(origins.cors_headers(origin, declared, 401))
    assert said[b"access-control-allow-origin"] == origin.encode()
    assert said[b"access-control-allow-credentials"] == b"true"
    assert said[b"vary"] == b"Origin"
    assert b"access-control-allow-credentials" not in names(origins.cors_headers(origin, declared, 200))


def test_error_echoes_no_origin_that_is_none() -> None:
    assert names(origins.cors_headers("a b, c", (), 401))[b"access-control-allow-origin"] == b"*"


def test_preflight_of_an_undeclared_origin_allows_no_cookies() -> None:
    said = names(origins.preflight_headers("https://evil.example", (SHOP,)))
    assert said[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-credentials" not in said
    assert said[b"vary"] == b"Origin"


def test_a_cache_never_gives_one_pages_answer_to_another() -> None:
    assert names(origins.cors_headers(SHOP, (SHOP,)))[b"vary"] == b"Origin"


def test_a_preflight_names_what_clients_send() -> None:
    said = names(origins.preflight_headers(SHOP, (SHOP,)))
    assert said[b"access-control-allow-origin"] == SHOP.encode()
    assert {b"PATCH", b"DELETE"} <= set(said[b"access-control-allow-methods"].split(b", "))
    assert {b"Authorization", b"Idempotency-Key", b"If-None-Match", b"Last-Event-ID"} <= set(
        said[b"access-control-allow-headers"].split(b", ")
    )
