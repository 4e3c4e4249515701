import pytest

from bellcast.auth import origins
from bellcast.auth.origins import ResponseKind
from bellcast.auth.request import AuthRequest
from tests.unit.auth.fakes import names

SHOP = "https://shop.example"
SERVER = {"scheme": "https", "host": "bell.example"}
OWN_ORIGIN = "https://bell.example"


@pytest.mark.parametrize(
    ("text", "canonical"),
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
        ("https://not a host", None),
        ("https://a..example", None),
        ("https://app.example:0", None),
        ("ftp://app.example", None),
        ("chrome-extension://abcdef", None),
        ("*", None),
    ],
)
def test_origin_has_one_canonical_form(text: str, canonical: str | None) -> None:
    assert origins.canonical(text) == canonical


@pytest.mark.parametrize(
    ("origin", "declared", "allowed"),
    [
        (SHOP, (), True),
        ("null", (), True),
        (None, (), True),
        (None, (SHOP,), True),
        (SHOP, (SHOP,), True),
        ("https://SHOP.example:443", (SHOP,), True),
        (OWN_ORIGIN, (SHOP,), True),
        ("http://bell.example", (SHOP,), False),
        ("https://evil.example", (SHOP,), False),
        ("https://shop.example.evil.example", (SHOP,), False),
        ("null", (SHOP,), False),
    ],
)
def test_tokens_are_allowed_from_any_origin_until_origins_are_declared(
    origin: str | None, declared: tuple[str, ...], allowed: bool
) -> None:
    assert origins.token_allowed(origin, origins=declared, **SERVER) is allowed


@pytest.mark.parametrize(
    ("kind", "method", "origin", "site", "allowed"),
    [
        # A single read.
        ("request", "GET", None, None, True),
        ("request", "GET", OWN_ORIGIN, "same-origin", True),
        ("request", "GET", "https://evil.example", "cross-site", False),
        ("request", "HEAD", None, "cross-site", True),
        # A change.
        ("request", "POST", OWN_ORIGIN, "same-origin", True),
        ("request", "POST", SHOP, "cross-site", True),
        ("request", "POST", "https://evil.example", "cross-site", False),
        ("request", "POST", "http://bell.example", None, False),
        ("request", "POST", "null", None, False),
        ("request", "POST", None, None, False),
        ("request", "POST", None, "same-origin", False),
        ("request", "PATCH", None, None, False),
        ("request", "DELETE", "https://evil.example", None, False),
        # An event stream.
        ("stream", "GET", OWN_ORIGIN, None, True),
        ("stream", "GET", SHOP, "cross-site", True),
        ("stream", "GET", "https://evil.example", "cross-site", False),
        ("stream", "GET", "null", None, False),
        ("stream", "GET", None, None, True),
        ("stream", "GET", None, "same-origin", True),
        ("stream", "GET", None, "same-site", False),
        ("stream", "GET", None, "cross-site", False),
        ("stream", "GET", None, "none", False),
        # A WebSocket: CORS does not apply, and every browser sends the origin.
        ("websocket", "GET", OWN_ORIGIN, None, True),
        ("websocket", "GET", SHOP, None, True),
        ("websocket", "GET", "https://evil.example", None, False),
        ("websocket", "GET", None, None, False),
        ("websocket", "GET", None, "same-origin", False),
    ],
)
def test_cookies_need_a_known_origin_for_changes_and_open_connections(
    kind: ResponseKind, method: str, origin: str | None, site: str | None, allowed: bool
) -> None:
    fields = {b"host": b"bell.example", b"origin": (origin or "").encode(), b"sec-fetch-site": (site or "").encode()}
    values = {name: value for name, value in fields.items() if value}
    request = AuthRequest(method=method, scheme="https", headers=[*values.items()], header_values=values, query=b"")
    assert request.may_use_cookies(kind, (SHOP,)) is allowed


def test_own_origin_includes_the_port() -> None:
    assert origins.is_same("http://localhost:8787", "http", "localhost:8787")
    assert origins.is_same("http://localhost", "http", "localhost:80")
    assert not origins.is_same("http://localhost:3000", "http", "localhost:8787")
    assert not origins.is_same("null", "http", "")


def test_any_page_may_read_without_cookies_until_origins_are_declared() -> None:
    sent = names(origins.cors_headers("https://anything.example", ()))
    assert sent[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-credentials" not in sent
    assert b"ETag" in sent[b"access-control-expose-headers"]
    assert origins.cors_headers(None, ()) == []


def test_declared_pages_may_read_with_cookies_and_others_may_not() -> None:
    sent = names(origins.cors_headers(SHOP, (SHOP,)))
    assert sent[b"access-control-allow-origin"] == SHOP.encode()
    assert sent[b"access-control-allow-credentials"] == b"true"
    for origin in ("https://evil.example", "null", None):
        assert origins.cors_headers(origin, (SHOP,)) == [(b"vary", b"Origin")]


@pytest.mark.parametrize("declared", [(), (SHOP,)])
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_errors_are_readable_by_every_page_even_with_credentials(declared: tuple[str, ...], origin: str) -> None:
    sent = names(origins.cors_headers(origin, declared, 401))
    assert sent[b"access-control-allow-origin"] == origin.encode()
    assert sent[b"access-control-allow-credentials"] == b"true"
    assert sent[b"vary"] == b"Origin"
    assert b"access-control-allow-credentials" not in names(origins.cors_headers(origin, declared, 200))


def test_errors_do_not_echo_an_invalid_origin() -> None:
    assert names(origins.cors_headers("a b, c", (), 401))[b"access-control-allow-origin"] == b"*"


def test_preflight_of_an_undeclared_origin_allows_no_cookies() -> None:
    sent = names(origins.preflight_headers("https://evil.example", (SHOP,)))
    assert sent[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-credentials" not in sent
    assert sent[b"vary"] == b"Origin"


def test_responses_vary_by_origin() -> None:
    assert names(origins.cors_headers(SHOP, (SHOP,)))[b"vary"] == b"Origin"


def test_public_response_may_be_read_by_undeclared_pages():
    sent = names(origins.cors_headers("https://other.example", (SHOP,), is_public=True))
    assert (sent[b"access-control-allow-origin"], sent[b"vary"]) == (b"*", b"Origin")
    assert b"access-control-allow-credentials" not in sent


def test_preflight_lists_the_methods_and_headers_of_clients() -> None:
    sent = names(origins.preflight_headers(SHOP, (SHOP,)))
    assert sent[b"access-control-allow-origin"] == SHOP.encode()
    assert {b"PATCH", b"DELETE"} <= set(sent[b"access-control-allow-methods"].split(b", "))
    assert {b"Authorization", b"Idempotency-Key", b"If-Match", b"If-None-Match", b"Last-Event-ID"} <= set(
        sent[b"access-control-allow-headers"].split(b", ")
    )
