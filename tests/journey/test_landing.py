"""The page at `/`: an overview for humans and programs, and a form to send a first notification on the same machine."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bellcast import __version__
from bellcast.kernel.errors import SettingsError
from bellcast.server import create_app
from bellcast.settings import load
from tests.journey import rest as rests
from tests.journey.rest import PROJECT, Rest, refused

LOCAL_HEADERS = {"host": "127.0.0.1:8787", "origin": "http://127.0.0.1:8787"}
FORM = "Title</label>"


async def send(rest: Rest, body: object = None, **headers: str) -> httpx.Response:
    """Send the form as the page does; None omits a header."""
    return await rest.anonymous.post(
        "/", json={"title": "Hi"} if body is None else body, headers=LOCAL_HEADERS | headers
    )


class TestPage:
    async def test_page_shows_name_version_state_and_links(self, rest: Rest) -> None:
        response = await rest.anonymous.get("/", headers={"accept": "text/html,*/*", **LOCAL_HEADERS})
        assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
        for part in ("Bellcast", __version__, "It works", 'href="docs"', 'href="openapi.json"', 'href="errors"', FORM):
            assert part in response.text

    async def test_page_allows_only_its_own_scripts_and_styles(self, rest: Rest) -> None:
        policy = (await rest.anonymous.get("/", headers=LOCAL_HEADERS)).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy

    async def test_program_gets_json(self, rest: Rest) -> None:
        response = await rest.anonymous.get("/", headers={"accept": "application/json"})
        assert response.json() == {
            "name": "Bellcast",
            "version": __version__,
            "status": "ready",
            "docs": "docs",
            "openapi": "openapi.json",
            "errors": "errors",
            "check": "check",
            "console": "console/setup",
            "is_setup_needed": True,
        }

    async def test_page_shows_the_reason_if_the_server_is_not_ready(self, rest: Rest) -> None:
        await rest.store.close()
        response = await rest.anonymous.get("/", headers=LOCAL_HEADERS)
        assert response.status_code == 200
        assert "Not ready" in response.text
        assert "It works" not in response.text

    async def test_page_contains_no_credential(self, rest: Rest) -> None:
        # Pages of all sites may read it.
        response = await rest.anonymous.get("/", headers=LOCAL_HEADERS)
        assert PROJECT.secret not in response.text
        assert "eyJ" not in response.text

    async def test_unknown_paths_do_not_lead_to_the_page(self, rest: Rest) -> None:
        for path in ("/index.html", "/favicon.png", "/landing"):
            page = await rest.anonymous.get(path, headers={"accept": "text/html"})
            assert (page.status_code, "Page not found" in page.text) == (404, True)


class TestIcons:
    async def test_every_page_of_the_server_has_the_mark(self, rest: Rest) -> None:
        for path in ("/", "/check", "/theme", "/console"):
            page = await rest.anonymous.get(path, headers=LOCAL_HEADERS)
            (link,) = re.findall(r'<link rel="icon" href="([^"]+)" type="image/svg\+xml">', page.text)
            mark = await rest.anonymous.get(f"/{link.removeprefix('/')}")
            assert (mark.status_code, mark.headers["content-type"]) == (200, "image/svg+xml")
            policy = page.headers["content-security-policy"]
            assert "img-src 'self'" in policy  # a browser applies it to icons

    async def test_icons_are_cached_and_have_their_sizes(self, rest: Rest) -> None:
        icon = await rest.anonymous.get("/favicon.ico")
        assert (icon.content[:4], icon.content[6], icon.content[22]) == (b"\x00\x00\x01\x00", 16, 32)
        touch = await rest.anonymous.get("/apple-touch-icon.png")
        assert (touch.content[:8], touch.content[16:24]) == (b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\xb4" * 2)
        for file in (icon, touch):
            again = await rest.anonymous.get(file.url.path, headers={"if-none-match": file.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


class TestTrial:
    async def test_form_sends_to_a_recipient_in_a_separate_tenant(self, rest: Rest) -> None:
        response = await send(rest)
        assert response.status_code == 201
        created = response.json()
        session = {"authorization": f"Bearer {created['token']}"}
        inbox = (await rest.anonymous.get("/v1/inbox", headers=session)).json()
        assert [(one["id"], one["title"]) for one in inbox["notifications"]] == [(created["notification"], "Hi")]
        assert (await rest.recipient(created["recipient"]).get("/v1/inbox")).json()["notifications"] == []
        assert (await send(rest, {})).json()["notification"] is None

    @pytest.mark.parametrize(
        "headers",
        [
            {"origin": "https://evil.example"},
            {"origin": "http://127.0.0.1:3000"},
            {"origin": "https://127.0.0.1:8787"},
            {"origin": "null"},
            {"host": "evil.example:8787", "origin": "http://evil.example:8787"},
            {"host": "127.0.0.1.evil.example", "origin": "http://127.0.0.1.evil.example"},
            {"host": "10.0.0.5:8787", "origin": "http://10.0.0.5:8787"},
            {"x-forwarded-for": "127.0.0.1"},
            {"x-forwarded-proto": "http"},
            {"forwarded": "for=127.0.0.1"},
            {"via": "1.1 proxy"},
            {"x-real-ip": "203.0.113.7"},
        ],
        ids=str,
    )
    async def test_form_is_refused_from_elsewhere(self, rest: Rest, headers: dict[str, str]) -> None:
        assert refused(await send(rest, **headers), 403, "forbidden")
        if "origin" not in headers or "host" in headers:
            page = await rest.anonymous.get("/", headers=LOCAL_HEADERS | headers)
            assert page.status_code == 200
            assert FORM not in page.text

    async def test_form_is_refused_without_an_origin(self, rest: Rest) -> None:
        response = await rest.anonymous.post("/", json={"title": "Hi"}, headers={"host": "127.0.0.1:8787"})
        assert refused(response, 403, "forbidden")

    @pytest.mark.parametrize("host", ["localhost:8787", "[::1]:8787", "127.0.0.2"])
    async def test_form_works_with_every_local_host_name(self, rest: Rest, host: str) -> None:
        assert (await send(rest, host=host, origin=f"http://{host}")).status_code == 201

    async def test_form_refuses_simple_requests_of_other_pages(self, rest: Rest) -> None:
        response = await rest.anonymous.post(
            "/", content='{"title": "Hi"}', headers=LOCAL_HEADERS | {"content-type": "text/plain"}
        )
        assert refused(response, 415, "unsupported_media_type")

    async def test_form_names_bad_fields(self, rest: Rest) -> None:
        assert refused(await send(rest, {"title": ""}), 422, "invalid")
        assert refused(await send(rest, {"title": "x" * 501}), 422, "invalid")
        assert refused(await send(rest, {"to": "alice"}), 422, "invalid")

    async def test_form_is_rate_limited(self, rest: Rest) -> None:
        responses = [(await send(rest, {})).status_code for _ in range(10)]
        assert responses[:5] == [201] * 5
        assert responses[-1] == 429


@pytest.fixture
async def far_client(rest: Rest) -> AsyncIterator[httpx.AsyncClient]:
    """A browser on another machine."""
    app = rest.client._transport.app
    transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://bell.test") as client:
        yield client


async def test_form_is_not_shown_to_other_machines(far_client: httpx.AsyncClient) -> None:
    assert FORM not in (await far_client.get("/", headers=LOCAL_HEADERS)).text
    assert refused(await far_client.post("/", json={"title": "Hi"}, headers=LOCAL_HEADERS), 403, "forbidden")


@pytest.mark.parametrize(
    ("settings", "status", "has_form"),
    [({"landing": "off"}, 404, False), ({"trusted_proxies": "10.0.0.1"}, 200, False), ({}, 200, True)],
    ids=str,
)
async def test_settings_control_the_page_and_its_form(
    tmp_path: Path, settings: dict[str, str], status: int, has_form: bool
) -> None:
    app = create_app(load({"data": str(tmp_path), **settings}, {}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bell.test") as client:
        try:
            assert (await client.get("/readyz")).status_code == 200
            response = await client.get("/", headers=LOCAL_HEADERS)
            assert (response.status_code, FORM in response.text) == (status, has_form)
            sent = await client.post("/", json={}, headers=LOCAL_HEADERS)
            assert sent.status_code == (201 if has_form else status if status == 404 else 403)
        finally:
            await app.stop()


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://status.example.com/bell?from=bellcast", "https://status.example.com/bell?from=bellcast"),
        ("https://example.com/日本?a=%20", "https://example.com/%E6%97%A5%E6%9C%AC?a=%20"),
    ],
)
async def test_page_is_replaced_by_a_redirect(tmp_path: Path, url: str, location: str) -> None:
    app = create_app(load({"data": str(tmp_path), "landing": url}, {}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bell.test") as client:
        try:
            for headers in ({}, {"accept": "application/json"}):
                response = await client.get("/?utm=1", headers=LOCAL_HEADERS | headers)
                assert (response.status_code, response.headers["location"]) == (302, location)
            assert refused(await client.post("/", json={}, headers=LOCAL_HEADERS), 404, "not_found")
            assert (await client.get("/check")).status_code == 200
        finally:
            await app.stop()


@pytest.mark.parametrize("value", ["maybe", "/elsewhere", "javascript://alert(1)", "https://"])
def test_redirect_is_to_an_http_url(value: str) -> None:
    with pytest.raises(SettingsError, match="expected on, off, or an http or https URL"):
        load({"landing": value}, {})


async def test_page_works_below_a_mount_with_and_without_a_trailing_slash(tmp_path: Path) -> None:
    async with rests.opened(tmp_path) as rest:
        app = rest.client._transport.app
        transport = httpx.ASGITransport(app, root_path="/sites/bell")
        async with httpx.AsyncClient(transport=transport, base_url="http://bell.test") as client:
            with_slash = (await client.get("/sites/bell/", headers=LOCAL_HEADERS)).text
            without = (await client.get("/sites/bell", headers=LOCAL_HEADERS)).text
            assert 'href="docs"' in with_slash
            assert 'href="bell/docs"' in without
            assert 'src="bell/bellcast.js"' in without
            assert "http://127.0.0.1:8787/sites/bell/v1/notifications" in without
            assert (await client.post("/sites/bell/", json={}, headers=LOCAL_HEADERS)).status_code == 201
