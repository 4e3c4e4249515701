"""Paths of the server itself: health, metrics, reference pages, error pages, and the browser client."""

import gzip
import re
from urllib.parse import urljoin

import pytest

from bellcast import build
from bellcast.console import pages
from bellcast.console.pages import console, error_pages
from bellcast.kernel import errors
from bellcast.recipients.store import Recipients
from bellcast.server.api_app import HANDLERS
from bellcast.settings import table
from tests.journey import operators
from tests.journey.rest import fields, refused


class TestHealth:
    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    async def test_health_paths_report_the_version(self, rest, path):
        response = await rest.anonymous.get(path)
        assert (response.status_code, response.json()["version"]) == (200, build.version())
        assert response.json()["commit"] == build.commit()

    async def test_server_without_its_store_is_alive_but_not_ready(self, rest):
        await rest.store.close()
        assert (await rest.anonymous.get("/healthz")).status_code == 200
        response = await rest.anonymous.get("/readyz")
        assert refused(response, 503, "unavailable")
        assert int(response.headers["retry-after"]) >= 1

    async def test_requests_are_counted_by_route_without_their_values(self, rest):
        await rest.app.get("/v1/recipients/alice")
        await rest.app.get("/v1/recipients/bob")
        await rest.anonymous.get("/nowhere/at/all?token=secret")
        metrics = (await rest.anonymous.get("/metrics")).text
        assert 'bellcast_requests_total{method="GET",route="/v1/recipients/{key}",status="404"} 2.0' in metrics
        assert 'bellcast_request_seconds_count{method="GET",route="/v1/recipients/{key}"} 2.0' in metrics
        assert all(line.startswith(("#", "bellcast_", "process_")) for line in metrics.splitlines())
        for word in ("alice", "nowhere", "secret"):
            assert word not in metrics


class TestEveryPath:
    async def test_head_is_get_without_a_body(self, rest):
        for client, path in (
            (rest.anonymous, "/healthz"),
            (rest.app, "/v1/recipients"),
            (rest.recipient("a"), "/v1/inbox"),
        ):
            get, head = await client.get(path), await client.request("HEAD", path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == get.headers["content-length"]
            assert head.headers["content-type"] == get.headers["content-type"]

    async def test_other_method_is_a_405_with_the_allowed_ones(self, rest):
        response = await rest.app.put("/v1/tokens", json={})
        assert refused(response, 405, "method_not_allowed")
        assert response.headers["allow"] == "OPTIONS, POST"
        assert (await rest.anonymous.delete("/healthz")).headers["allow"] == "GET, HEAD, OPTIONS"

    async def test_unknown_query_parameter_is_refused_and_changes_nothing(self, rest):
        clients = {None: rest.anonymous, "recipient": rest.recipient("alice"), "operator": await operators.set_up(rest)}
        for endpoint in HANDLERS:
            operation, name = endpoint.operation, f"{endpoint.method} {endpoint.path}"
            client = clients.get(operation.required_scope, rest.app)
            path = re.sub(r"\{(\w+):\w+\}", "x", endpoint.path)
            required = {"view": "all"} if path == "/v1/inbox" else {}
            body = {} if operation.body is None else {"json": operation.example}
            query = required | {"surprise": "1"}
            response = await client.request(endpoint.method, path, params=query, **body)
            # Files of the browser client, with a version; receipts and the identity provider, with their own fields.
            if operation.any_query:
                assert operation.tag == "Server" or path.endswith(("/receipts", "/oidc/callback")), name
                assert response.status_code != 422, name
                continue
            assert refused(response, 422, "invalid"), name
            ((field, problem),) = fields(response).items()
            assert (field, problem.split(";")[0]) == ("surprise", "is not a known query parameter"), name
            assert rest.published == [], name

    async def test_every_operation_needs_credentials(self, rest):
        wrong = {"authorization": "Bearer wrong"}
        for endpoint in HANDLERS:
            if endpoint.operation.required_scope is not None:
                path = re.sub(r"\{(\w+):\w+\}", "x", endpoint.path)
                for headers in ({}, wrong):
                    response = await rest.anonymous.request(endpoint.method, path, headers=headers)
                    assert refused(response, 401, "unauthenticated"), (endpoint.method, path, headers)

    async def test_misspelt_query_parameter_is_refused_with_a_suggestion(self, rest):
        response = await rest.recipient("alice").get("/v1/inbox?veiw=read")
        assert fields(response) == {"veiw": 'is not a known query parameter; did you mean "view"?'}

    async def test_session_token_in_the_query_is_accepted_on_recipient_paths_only(self, rest):
        token = rest.recipient("alice").headers["authorization"].removeprefix("Bearer ")
        assert (await rest.anonymous.get(f"/v1/inbox?token={token}")).status_code == 200
        assert refused(await rest.app.get(f"/v1/recipients?token={token}"), 422, "invalid")

    async def test_credentials_are_checked_before_the_query(self, rest):
        assert refused(await rest.anonymous.get("/v1/recipients?surprise=1"), 401, "unauthenticated")

    async def test_script_can_be_requested_with_a_version_in_its_url(self, rest):
        assert (await rest.anonymous.get("/bellcast.js?v=3")).status_code == 200

    @pytest.mark.parametrize(
        "path", ["/v1", "/v2/inbox", "/v1/inbox/a/b", "/v1//inbox", "/v1/recipients//sessions", "/%2e%2e/etc"]
    )
    async def test_unknown_path_is_a_404(self, rest, path):
        assert refused(await rest.app.get(path), 404, "not_found")

    async def test_path_without_its_version_is_proposed_with_it(self, rest):
        for method, path, proposed in (
            ("GET", "/notifications", "/v1/notifications"),
            ("POST", "/notifications", "/v1/notifications"),
            ("GET", "/recipients/alice", "/v1/recipients/{key}"),
        ):
            problem = (await rest.app.request(method, path)).json()
            assert f"This path does not exist; did you mean {proposed}? " in problem["detail"]
        assert "did you mean" not in (await rest.app.get("/nowhere")).text

    async def test_responses_are_not_cached(self, rest):
        for response in (await rest.app.get("/v1/recipients"), await rest.app.get("/v1/notifications/x")):
            assert response.headers["cache-control"] == "no-store"
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["referrer-policy"] == "no-referrer"

    async def test_internal_error_is_a_500_without_details(self, rest, monkeypatch):
        async def broken(*_):
            raise RuntimeError("the password is 1234")

        monkeypatch.setattr(Recipients, "get", broken)
        response = await rest.app.get("/v1/recipients/alice")
        assert refused(response, 500, "internal")
        assert "1234" not in response.text
        assert (await rest.anonymous.get("/healthz")).status_code == 200


class TestReference:
    async def test_openapi_document_is_valid(self, rest):
        import schemathesis

        response = await rest.anonymous.get("/openapi.json")
        assert response.status_code == 200
        schemathesis.openapi.from_dict(response.json()).validate()

    async def test_openapi_document_describes_every_operation(self, rest):
        document = (await rest.anonymous.get("/openapi.json")).json()
        operations = [
            (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
        ]
        assert len(operations) > 40
        for path, method, operation in operations:
            assert operation["summary"], path
            expected = {"401", "403"} if operation["security"] else set()
            expected |= {"400", "413", "415", "422"} if "requestBody" in operation else set()
            assert expected <= operation["responses"].keys(), (method, path)
            assert any(status.startswith(("2", "303")) for status in operation["responses"])
            for body in operation.get("requestBody", {}).get("content", {}).values():
                assert "schema" in body
        open_paths = {path for path, _, operation in operations if not operation["security"]}
        assert {path for path in open_paths if path.startswith("/v1/")} == {
            "/v1/check",  # of a page whose bell does not work
            "/v1/providers/{key}/receipts",  # signed by the provider
            "/v1/session",
            "/v1/session/passkey",
            "/v1/session/passkey-options",
            "/v1/session/oidc",  # from a page of this server
            "/v1/session/oidc/callback",  # with the cookie of this browser's sign-in
            "/v1/setup",
        }

    @pytest.mark.parametrize("path", ["/openapi.json", "/llms.txt", "/llms-full.txt"])
    async def test_documents_for_everyone_are_made_and_compressed_once(self, rest, path, monkeypatch):
        first = await rest.anonymous.get(path)
        monkeypatch.setattr(gzip, "compress", None)
        second = await rest.anonymous.get(path)
        assert (second.headers["content-encoding"], second.text) == ("gzip", first.text)
        tagged = {"if-none-match": first.headers["etag"]}
        assert (await rest.anonymous.get(path, headers=tagged)).status_code == 304

    async def test_reference_page_loads_files_of_this_server_only(self, rest):
        response = await rest.anonymous.get("/docs")
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "script-src 'self';" in response.headers["content-security-policy"]
        loaded = re.findall(r"""(?:src|href)="([^"]+)""", response.text)
        assert f"/docs/{console.version()}/reference.js" in loaded
        for target in loaded:
            assert (await rest.anonymous.get(target)).status_code == 200, target
        assert refused(await rest.anonymous.get("/docs/other.js"), 404, "not_found")

    @pytest.mark.parametrize(("accepted", "coding"), [("gzip", "gzip"), ("gzip;q=0", None), ("identity", None)])
    async def test_large_responses_to_reads_are_compressed(self, rest, accepted, coding):
        for path in ("/openapi.json", "/errors"):
            response = await rest.anonymous.get(path, headers={"accept-encoding": accepted})
            assert response.headers.get("content-encoding") == coding
            assert "Accept-Encoding" in response.headers["vary"]
            head = await rest.anonymous.request("HEAD", path, headers={"accept-encoding": accepted})
            assert head.headers["content-length"] == response.headers["content-length"]
        assert "content-encoding" not in (await rest.anonymous.get("/healthz")).headers
        written = await rest.app.post(
            "/v1/notifications/bulk", json=[{"to": f"r{number}", "title": "T"} for number in range(100)]
        )
        assert (written.status_code, len(written.content) > 1_400) == (200, True)
        assert "content-encoding" not in written.headers

    async def test_unknown_path_is_a_page_for_browsers(self, rest):
        page = await rest.anonymous.get("/nowhere", headers={"accept": "text/html,*/*;q=0.8"})
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "Page not found" in page.text
        assert "Did you mean" not in page.text
        near = await rest.anonymous.get("/consol", headers={"accept": "text/html"})
        assert 'Did you mean <a href="/console">/console</a>?' in near.text
        for target in re.findall(r'href="([^"#]+)"', page.text):
            assert (await rest.anonymous.get(target)).status_code in (200, 403), target
        assert refused(await rest.anonymous.get("/nowhere"), 404, "not_found")
        assert refused(await rest.app.post("/nowhere", headers={"accept": "text/html"}), 404, "not_found")

    @pytest.mark.parametrize("error", errors.every(), ids=lambda error: error.code)
    async def test_error_code_has_a_page(self, rest, error):
        response = await rest.anonymous.get(f"/errors/{error.code}")
        assert response.status_code == 200
        assert str(error.status) in response.text
        assert error.title in response.text
        assert response.text.count("<li>") >= 2
        assert "What to do" in response.text
        assert "`" not in response.text.partition("<pre")[0]

    async def test_example_on_an_error_page_has_colours(self, rest):
        page = (await rest.anonymous.get("/errors/invalid")).text
        name, string = (
            f'<span class="token-{kind}">&#34;{word}&#34;</span>'
            for kind, word in (("name", "code"), ("string", "invalid"))
        )
        assert f"{name}: {string}," in page
        assert '<span class="token-number">422</span>' in page
        assert 'href="/console/settings?find=limit"' in page

    async def test_code_of_a_close_or_a_client_has_a_page(self, rest):
        for code, one in error_pages.texts()["reasons"].items():
            response = await rest.anonymous.get(f"/errors/{code}")
            assert (response.status_code, one.title in response.text, "`" in response.text) == (200, True, False), one

    async def test_error_pages_name_existing_settings_only(self, rest):
        known = {setting.variable for setting in table.TABLE}
        for code in (*(one.code for one in errors.every()), *error_pages.texts()["reasons"]):
            page = (await rest.anonymous.get(f"/errors/{code}")).text
            assert {name for name in re.findall(r"BELLCAST_[A-Z_]+[A-Z]", page) if name != "BELLCAST_LIMIT"} <= known

    async def test_error_page_links_resolve(self, rest):
        for page_path in ("/errors", "/errors/", "/errors/invalid", "/errors/invalid/"):
            page = (await rest.anonymous.get(page_path)).text
            targets = [urljoin(page_path, target) for target in re.findall(r'href="([^"#]+)"', page)]
            assert {"/", "/docs", "/errors"} <= set(targets)
            neighbors = page.partition('aria-label="Other errors"')[2].count("href=")
            assert neighbors == (2 if "invalid" in page_path else 0)
            for target in targets:
                assert (await rest.anonymous.get(target)).status_code == 200

    async def test_errors_are_listed_in_groups_with_an_index(self, rest):
        page = (await rest.anonymous.get("/errors")).text
        groups = ["rest", "close", "browser", "clients"]
        assert re.findall(r'<a href="#(\w+)"', page) == re.findall(r'<h2 id="(\w+)"', page) == groups
        lists = page.split("<h2 ")[1:]
        assert [one.count("<li>") for one in lists] == [
            int(count) for count in re.findall(r"<small>(\d+)</small>", page)
        ]
        assert all('href="/errors/invalid"' not in one for one in lists[1:])

    async def test_unknown_error_is_a_404(self, rest):
        assert refused(await rest.anonymous.get("/errors/nonsense"), 404, "not_found")
        assert (await rest.anonymous.get("/errors")).text.count("<li>") == len(errors.every()) + len(
            error_pages.texts()["reasons"]
        )


class TestBrowserClient:
    async def test_entry_module_and_its_imports_are_served(self, rest):
        queue, seen = ["/bellcast.js"], set()
        while queue:
            path = queue.pop()
            response = await rest.anonymous.get(path, headers={"origin": "https://shop.example"})
            assert response.status_code == 200, path
            assert response.headers["content-type"] == "text/javascript; charset=utf-8"
            assert response.headers["cache-control"] == "no-cache"
            assert response.headers["access-control-allow-origin"] == "*"
            assert response.headers["cross-origin-resource-policy"] == "cross-origin"
            seen.add(path)
            for target in re.findall(r"""(?:from|import)\s*\(?['"](\.[^'"]+)['"]""", response.text):
                imported = urljoin(path, target)
                if imported not in seen:
                    queue.append(imported)
        assert len(seen) > 5

    async def test_unchanged_file_is_a_304(self, rest):
        first = await rest.anonymous.get("/bellcast.js")
        revalidated = await rest.anonymous.get("/bellcast.js", headers={"if-none-match": first.headers["etag"]})
        assert (revalidated.status_code, revalidated.content) == (304, b"")
        assert revalidated.headers["cross-origin-resource-policy"] == "cross-origin"

    @pytest.mark.parametrize(
        ("accepted", "coding"),
        [("br, gzip", "br"), ("gzip, br;q=0", "gzip"), ("gzip;q=0, br;q=0", None), ("*;q=0", None), ("", None)],
    )
    async def test_coding_with_weight_zero_is_not_used(self, rest, tmp_path, monkeypatch, accepted, coding):
        (tmp_path / "bellcast.js").write_text("export {}")
        (tmp_path / "bellcast.js.gz").write_bytes(gzip.compress(b"export {}"))
        (tmp_path / "bellcast.js.br").write_bytes(b"not looked into")
        monkeypatch.setattr(pages, "FOLDER", tmp_path)
        async with rest.client.stream("GET", "/bellcast.js", headers={"accept-encoding": accepted}) as response:
            assert response.headers.get("content-encoding") == coding

    async def test_changed_file_is_not_a_304(self, rest, tmp_path, monkeypatch):
        file = tmp_path / "browser" / "bellcast.js"
        file.parent.mkdir()
        file.write_text("export const version = 1")
        monkeypatch.setattr(pages, "FOLDER", file.parent)
        first = await rest.anonymous.get("/bellcast.js")
        file.write_text("export const version = 22")
        pages.read_folder.cache_clear()  # as after an upgrade
        revalidated = await rest.anonymous.get("/bellcast.js", headers={"if-none-match": first.headers["etag"]})
        assert (revalidated.status_code, revalidated.text) == (200, "export const version = 22")

    @pytest.mark.parametrize(
        "path",
        [
            "/bellcast/../../errors.py",
            "/bellcast/%2e%2e/%2e%2e/errors.py",
            "/bellcast/..%2f..%2fmodel%2fids.py",
            "/bellcast/%2fetc%2fpasswd",
            "/bellcast/..%5c..%5cerrors.py",
            "/bellcast/.env.js",
            "/bellcast/elements",
            "/bellcast/elements/",
            "/bellcast/nothing.js",
            "/bellcast/index.js%00.js",
            "/bellcast/index.js/x.js",
            "/bellcast/" + "a/" * 300 + "x.js",
            "/bellcast/" + "a" * 300 + ".js",
        ],
    )
    async def test_path_outside_the_client_files_is_a_404(self, rest, path):
        response = await rest.anonymous.get(path)
        assert response.status_code == 404
