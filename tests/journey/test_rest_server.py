"""Paths of the server itself: health, metrics, reference pages, error pages, and the browser client."""

import gzip
import re
from urllib.parse import urljoin

import pytest
import schemathesis

from bellcast import __version__, errors
from bellcast.api import browser_files
from bellcast.api.app import HANDLERS
from bellcast.inbox import recipients
from bellcast.settings import table
from tests.journey.rest import fields, refused


class TestHealth:
    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    async def test_health_paths_report_the_version(self, rest, path):
        answer = await rest.nobody.get(path)
        assert (answer.status_code, answer.json()["version"]) == (200, __version__)

    async def test_server_without_its_store_is_alive_but_not_ready(self, rest):
        await rest.store.close()
        assert (await rest.nobody.get("/healthz")).status_code == 200
        answer = await rest.nobody.get("/readyz")
        assert refused(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1

    async def test_requests_are_counted_by_route_without_their_values(self, rest):
        await rest.app.get("/v1/recipients/alice")
        await rest.app.get("/v1/recipients/bob")
        await rest.nobody.get("/nowhere/at/all?token=secret")
        told = (await rest.nobody.get("/metrics")).text
        assert 'bellcast_requests_total{method="GET",route="/v1/recipients/{key}",status="404"} 2.0' in told
        assert "bellcast_request_seconds_count 3.0" in told
        assert all(line.startswith(("#", "bellcast_")) for line in told.splitlines())
        for word in ("alice", "nowhere", "secret"):
            assert word not in told


class TestEveryPath:
    async def test_head_is_get_without_a_body(self, rest):
        for asker, path in (
            (rest.nobody, "/healthz"),
            (rest.app, "/v1/recipients"),
            (rest.recipient("a"), "/v1/inbox"),
        ):
            got, head = await asker.get(path), await asker.ask("HEAD", path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == got.headers["content-length"]
            assert head.headers["content-type"] == got.headers["content-type"]

    async def test_other_method_is_a_405_with_the_allowed_ones(self, rest):
        answer = await rest.app.put("/v1/notifications", json={})
        assert refused(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "OPTIONS, POST"
        assert (await rest.nobody.delete("/healthz")).headers["allow"] == "GET, HEAD, OPTIONS"

    @pytest.mark.parametrize("handler", HANDLERS, ids=lambda one: f"{min(one.http_methods)} {min(one.paths)}")
    async def test_unknown_query_parameter_is_refused_and_changes_nothing(self, rest, handler):
        operation = handler.opt["operation"]
        asker = {None: rest.nobody, "recipient": rest.recipient("alice")}.get(operation.required_scope, rest.app)
        path = re.sub(r"\{(\w+):\w+\}", "x", min(handler.paths))
        required = {"view": "all"} if path == "/v1/inbox" else {}
        body = {} if operation.body is None else {"json": operation.example}
        query = required | {"surprise": "1"}
        answer = await asker.ask(min(handler.http_methods), path, params=query, **body)
        if operation.any_query:  # the files of the browser client, which pages may request with a version in the query
            assert operation.tag == "Server"
            assert answer.status_code != 422
            return
        assert refused(answer, 422, "invalid")
        assert fields(answer) == {"surprise": "is not a known query parameter"}
        assert rest.heard == []

    async def test_misspelt_query_parameter_is_refused_with_a_suggestion(self, rest):
        answer = await rest.recipient("alice").get("/v1/inbox?veiw=read")
        assert fields(answer) == {"veiw": 'is not a known query parameter; did you mean "view"?'}

    async def test_session_token_in_the_query_is_accepted_on_recipient_paths_only(self, rest):
        token = rest.recipient("alice").headers["authorization"].removeprefix("Bearer ")
        assert (await rest.nobody.get(f"/v1/inbox?token={token}")).status_code == 200
        assert refused(await rest.app.get(f"/v1/recipients?token={token}"), 422, "invalid")

    async def test_credentials_are_checked_before_the_query(self, rest):
        assert refused(await rest.nobody.get("/v1/recipients?surprise=1"), 401, "unauthenticated")

    async def test_script_can_be_requested_with_a_version_in_its_url(self, rest):
        assert (await rest.nobody.get("/bellcast.js?v=3")).status_code == 200

    @pytest.mark.parametrize(
        "path", ["/v1", "/v2/inbox", "/v1/inbox/a/b", "/v1//inbox", "/v1/recipients//sessions", "/%2e%2e/etc"]
    )
    async def test_unknown_path_is_a_404(self, rest, path):
        assert refused(await rest.app.get(path), 404, "not_found")

    async def test_responses_are_not_cached(self, rest):
        for answer in (await rest.app.get("/v1/recipients"), await rest.app.get("/v1/notifications/x")):
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"

    async def test_internal_error_is_a_500_without_details(self, rest, monkeypatch):
        async def broken(*_):
            raise RuntimeError("the password is 1234")

        monkeypatch.setattr(recipients, "get", broken)
        answer = await rest.app.get("/v1/recipients/alice")
        assert refused(answer, 500, "internal")
        assert "1234" not in answer.text
        assert (await rest.nobody.get("/healthz")).status_code == 200


class TestReference:
    async def test_openapi_document_is_valid(self, rest):
        answer = await rest.nobody.get("/openapi.json")
        assert answer.status_code == 200
        schemathesis.openapi.from_dict(answer.json()).validate()

    async def test_openapi_document_describes_every_operation(self, rest):
        document = (await rest.nobody.get("/openapi.json")).json()
        operations = [(path, method, said) for path, item in document["paths"].items() for method, said in item.items()]
        assert len(operations) > 40
        for path, method, said in operations:
            assert said["summary"], path
            expected = {"401", "403"} if said["security"] else set()
            expected |= {"400", "413", "415", "422"} if "requestBody" in said else set()
            assert expected <= said["responses"].keys(), (method, path)
            assert any(status.startswith("2") for status in said["responses"])
            for body in said.get("requestBody", {}).get("content", {}).values():
                assert "schema" in body
        assert {path for path, _, said in operations if not said["security"]}.isdisjoint(
            path for path in document["paths"] if path.startswith("/v1/")
        )

    async def test_reference_page_works_offline(self, rest):
        answer = await rest.nobody.get("/docs")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", answer.text)
        assert "<script" not in answer.text
        document = (await rest.nobody.get("/openapi.json")).json()
        for item in document["paths"].values():
            for said in item.values():
                assert f'id="{said["operationId"]}"' in answer.text

    async def test_links_of_the_reference_page_resolve(self, rest):
        page = (await rest.nobody.get("/docs")).text
        known = set(re.findall(r'id="([^"]+)"', page))
        inside, outside = set(), set()
        for target in re.findall(r'href="([^"]+)"', page):
            (inside if target.startswith("#") else outside).add(target)
        assert {target.removeprefix("#") for target in inside} <= known
        for target in outside:
            assert (await rest.nobody.get(f"/{target}")).status_code == 200

    @pytest.mark.parametrize("error", errors.every(), ids=lambda error: error.code)
    async def test_error_code_has_a_page(self, rest, error):
        answer = await rest.nobody.get(f"/errors/{error.code}")
        assert answer.status_code == 200
        assert str(error.status) in answer.text
        assert error.title in answer.text
        assert answer.text.count("<li>") >= 2
        assert "What to do" in answer.text
        assert "`" not in answer.text.partition("<pre>")[0]

    async def test_error_pages_name_existing_settings_only(self, rest):
        known = {setting.variable for setting in table.TABLE}
        for error in errors.every():
            page = (await rest.nobody.get(f"/errors/{error.code}")).text
            assert {name for name in re.findall(r"BELLCAST_[A-Z_]+[A-Z]", page) if name != "BELLCAST_LIMIT"} <= known

    async def test_error_page_links_resolve(self, rest):
        for place in ("/errors", "/errors/invalid"):
            page = (await rest.nobody.get(place)).text
            targets = [urljoin(place, target) for target in re.findall(r'href="([^"#]+)"', page)]
            assert targets[:2] == ["/docs", "/errors"]
            for target in targets:
                assert (await rest.nobody.get(target)).status_code == 200

    async def test_unknown_error_is_a_404(self, rest):
        assert refused(await rest.nobody.get("/errors/nonsense"), 404, "not_found")
        assert (await rest.nobody.get("/errors")).text.count("<article") == len(errors.every())


class TestBrowserClient:
    async def test_entry_module_and_its_imports_are_served(self, rest):
        queue, seen = ["/bellcast.js"], set()
        while queue:
            path = queue.pop()
            answer = await rest.nobody.get(path, headers={"origin": "https://shop.example"})
            assert answer.status_code == 200, path
            assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
            assert answer.headers["cache-control"] == "no-cache"
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            seen.add(path)
            for target in re.findall(r"""(?:from|import)\s*\(?['"](\.[^'"]+)['"]""", answer.text):
                found = urljoin(path, target)
                if found not in seen:
                    queue.append(found)
        assert len(seen) > 5

    async def test_unchanged_file_is_a_304(self, rest):
        first = await rest.nobody.get("/bellcast.js")
        again = await rest.nobody.get("/bellcast.js", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cross-origin-resource-policy"] == "cross-origin"

    @pytest.mark.parametrize(
        ("accepted", "coding"),
        [("br, gzip", "br"), ("gzip, br;q=0", "gzip"), ("gzip;q=0, br;q=0", None), ("*;q=0", None), ("", None)],
    )
    async def test_coding_with_weight_zero_is_not_used(self, rest, tmp_path, monkeypatch, accepted, coding):
        (tmp_path / "bellcast.js").write_text("export {}")
        (tmp_path / "bellcast.js.gz").write_bytes(gzip.compress(b"export {}"))
        (tmp_path / "bellcast.js.br").write_bytes(b"not looked into")
        monkeypatch.setattr(browser_files, "FOLDER", tmp_path)
        async with rest.client.stream("GET", "/bellcast.js", headers={"accept-encoding": accepted}) as answer:
            assert answer.headers.get("content-encoding") == coding

    async def test_changed_file_is_not_a_304(self, rest, tmp_path, monkeypatch):
        file = tmp_path / "browser" / "bellcast.js"
        file.parent.mkdir()
        file.write_text("export const version = 1")
        monkeypatch.setattr(browser_files, "FOLDER", file.parent)
        first = await rest.nobody.get("/bellcast.js")
        file.write_text("export const version = 22")
        again = await rest.nobody.get("/bellcast.js", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.text) == (200, "export const version = 22")

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
        answer = await rest.nobody.get(path)
        assert answer.status_code == 404
