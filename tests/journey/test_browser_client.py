"""The browser client as served: compressed if the browser accepts it, and revalidated after an upgrade."""

import pytest

from bellcast.console import pages


class TestServed:
    @pytest.mark.parametrize("path", ["/bellcast.js", "/bellcast/session.js", "/bellcast/tab-coordinator.js"])
    async def test_gzip_response_is_the_same_file_compressed(self, rest, path):
        plain = await rest.anonymous.get(path, headers={"accept-encoding": "identity"})
        packed = await rest.anonymous.get(path, headers={"accept-encoding": "gzip, deflate"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content  # decompressed by httpx
        assert int(packed.headers["content-length"]) < len(plain.content) / 2
        assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"

    async def test_brotli_is_served_where_it_was_built(self, rest):
        response = await rest.anonymous.get("/bellcast.js", headers={"accept-encoding": "gzip, deflate, br, zstd"})
        built = pages.FOLDER.name == "dist"
        assert response.headers["content-encoding"] == ("br" if built else "gzip")
        gzipped = await rest.anonymous.get("/bellcast.js", headers={"accept-encoding": "gzip"})
        assert int(response.headers["content-length"]) <= int(gzipped.headers["content-length"])

    async def test_each_encoding_has_its_own_etag(self, rest):
        forms = [{"accept-encoding": "identity"}, {"accept-encoding": "gzip"}]
        tags = [(await rest.anonymous.get("/bellcast.js", headers=form)).headers["etag"] for form in forms]
        assert tags[0] != tags[1]
        for form, tag in zip(forms, tags, strict=True):
            revalidated = await rest.anonymous.get("/bellcast.js", headers=form | {"if-none-match": tag})
            assert (revalidated.status_code, revalidated.content, revalidated.headers["etag"]) == (304, b"", tag)

    async def test_built_client_is_within_its_budget(self, rest):
        if pages.FOLDER.name != "dist":
            assert (
                await rest.anonymous.get("/bellcast.js")
            ).status_code == 200  # an unbuilt checkout serves the sources
            return
        response = await rest.anonymous.get("/bellcast.js", headers={"accept-encoding": "gzip"})
        assert int(response.headers["content-length"]) <= 18_000

    async def test_languages_are_served(self, rest):
        for lang in ("ar", "de", "es", "fr"):
            response = await rest.anonymous.get(f"/bellcast/elements/lang/{lang}.js")
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/javascript; charset=utf-8"
