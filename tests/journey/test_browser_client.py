"""The browser client as it is served: small where the browser takes it so, and fresh after an upgrade."""

import pytest

from bellcast.api import browser_files


class TestServed:
    @pytest.mark.parametrize("path", ["/bellcast.js", "/bellcast/session.js", "/bellcast/tab-coordinator.js"])
    async def test_gzip_is_the_same_file_made_small(self, rest, path):
        plain = await rest.nobody.get(path, headers={"accept-encoding": "identity"})
        packed = await rest.nobody.get(path, headers={"accept-encoding": "gzip, deflate"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content  # httpx has unpacked it
        assert int(packed.headers["content-length"]) < len(plain.content) / 2
        assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"

    async def test_who_takes_brotli_gets_it_where_it_was_built(self, rest):
        answer = await rest.nobody.get("/bellcast.js", headers={"accept-encoding": "gzip, deflate, br, zstd"})
        built = browser_files.FOLDER.name == "dist"
        assert answer.headers["content-encoding"] == ("br" if built else "gzip")
        gzipped = await rest.nobody.get("/bellcast.js", headers={"accept-encoding": "gzip"})
        assert int(answer.headers["content-length"]) <= int(gzipped.headers["content-length"])

    async def test_each_form_has_an_etag_of_its_own(self, rest):
        forms = [{"accept-encoding": "identity"}, {"accept-encoding": "gzip"}]
        tags = [(await rest.nobody.get("/bellcast.js", headers=form)).headers["etag"] for form in forms]
        assert tags[0] != tags[1]
        for form, tag in zip(forms, tags, strict=True):
            again = await rest.nobody.get("/bellcast.js", headers=form | {"if-none-match": tag})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)

    async def test_what_is_built_is_within_its_budget(self, rest):
        if browser_files.FOLDER.name != "dist":
            assert (
                await rest.nobody.get("/bellcast.js")
            ).status_code == 200  # a checkout nobody has built: the sources
            return
        answer = await rest.nobody.get("/bellcast.js", headers={"accept-encoding": "gzip"})
        assert int(answer.headers["content-length"]) <= 18_000

    async def test_languages_are_there_for_who_speaks_them(self, rest):
        for lang in ("ar", "de", "es", "fr"):
            answer = await rest.nobody.get(f"/bellcast/elements/lang/{lang}.js")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
