"""Reading JSON, queries and paths, apart from any request."""

import time

import pytest
from litestar import Request
from msgspec import Struct

from bellcast.api import request_body
from bellcast.errors import BadRequest, Invalid, TooLarge


class Shown(Struct, frozen=True):
    """A query with one of each."""

    limit: int = 20
    search: str | None = None


def request(*, query=b"", path_params=None, headers=(), messages=()):
    waiting = list(messages)

    async def receive():
        return waiting.pop(0)

    scope = {"type": "http", "query_string": query, "path_params": path_params or {}, "headers": list(headers)}
    return Request(scope, receive=receive)


def part(body, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


class TestDepth:
    @pytest.mark.parametrize(
        "text",
        [
            b"[" * 100 + b"]" * 100,
            b"[" + b"[]," * 500 + b"[]]",
            b'{"a":"' + b"[" * 500 + b'"}',
            b'{"a":"\\"' + b"{" * 500 + b'\\\\"}',
        ],
        ids=["just deep enough", "wide", "in a text", "in a text with escapes"],
    )
    def test_wide_is_not_deep_and_brackets_in_texts_are_text(self, text):
        request_body.check_depth(text)

    @pytest.mark.parametrize("text", [b"[" * 101, b'{"a":' * 101, b'[{"a":' * 51, b'["\\\\",' + b"[" * 100])
    def test_more_than_a_hundred_levels_are_refused(self, text):
        with pytest.raises(BadRequest):
            request_body.check_depth(text)

    @pytest.mark.parametrize(
        "text",
        [
            b"[" * 100 + b'"' + b'\\"' * 500_000,
            b"[" * 100 + b'"' + b"\\" * 1_000_001,
            b"[]" * 101 + b'"' * 1_000_001,
            b"[]" * 101 + b'"["' * 300_000,
            b"[]" * 500_000,
        ],
        ids=[
            "open string of escaped quotes",
            "open string of backslashes",
            "quotes",
            "brackets in strings",
            "brackets",
        ],
    )
    def test_a_megabyte_of_any_shape_is_checked_in_linear_time(self, text):
        started = time.process_time()
        request_body.check_depth(text)
        assert time.process_time() - started < 2  # 30 ms; quadratic time is hours


class TestBody:
    async def test_it_is_put_together_of_its_parts(self):
        asked = request(messages=[part(b"ab", more=True), part(b"", more=True), part(b"c")])
        assert await request_body.raw(asked, 3) == b"abc"

    async def test_it_is_read_no_further_than_its_limit(self):
        asked = request(messages=[part(b"ab", more=True), part(b"cd", more=True)])  # a third read would fail
        with pytest.raises(TooLarge):
            await request_body.raw(asked, 3)

    async def test_a_told_size_over_the_limit_is_refused_unread(self):
        with pytest.raises(TooLarge):
            await request_body.raw(request(headers=[(b"content-length", b"4")]), 3)

    async def test_no_limit_is_no_limit(self):
        assert (
            await request_body.raw(request(headers=[(b"content-length", b"4")], messages=[part(b"abcd")]), 0) == b"abcd"
        )

    @pytest.mark.parametrize("messages", [[], [part(b"ab", more=True)]])
    async def test_one_who_left_is_not_answered(self, messages):
        asked = request(messages=[*messages, {"type": "http.disconnect"}])
        with pytest.raises(request_body.Disconnected):
            await request_body.raw(asked, 100)


class TestQuery:
    def test_what_is_absent_has_its_default(self):
        assert request_body.query(request(), Shown) == Shown()

    def test_it_is_decoded_and_the_unknown_is_passed_over(self):
        asked = request(query=b"search=caf%C3%A9+au%20lait&limit=5&utm_source=x")
        assert request_body.query(asked, Shown) == Shown(limit=5, search="café au lait")

    @pytest.mark.parametrize("query", [b"search=%ff", b"\xff=1", b"&".join(b"a%d=1" % n for n in range(200))])
    def test_one_that_cannot_be_read_is_refused(self, query):
        with pytest.raises(BadRequest):
            request_body.query(request(query=query), Shown)

    @pytest.mark.parametrize(
        ("query", "field"),
        [(b"limit=x", "limit"), (b"limit=", "limit"), (b"search=a&search=b", "search"), (b"search=%00", "search")],
    )
    def test_a_wrong_one_names_its_field(self, query, field):
        with pytest.raises(Invalid) as refusal:
            request_body.query(request(query=query), Shown)
        assert [error.field for error in refusal.value.errors] == [field]

    def test_the_same_value_twice_is_one_value(self):
        assert request_body.query(request(query=b"limit=5&limit=5"), Shown).limit == 5


class TestPath:
    def test_a_part_is_decoded_once(self):
        assert request_body.path(request(path_params={"key": "a%2Fb%2520c"}), "key") == "a/b%20c"

    def test_one_that_is_not_utf8_is_refused(self):
        with pytest.raises(BadRequest):
            request_body.path(request(path_params={"key": "%ff"}), "key")


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        (b"application/json", "application/json"),
        (b"Application/JSON ; charset=utf-8", "application/json"),
        (b"", "application/json"),
        (b"text/plain", "text/plain"),
    ],
)
def test_a_media_type_is_read_without_its_parameters(said, understood):
    assert request_body.media_type(request(headers=[(b"content-type", said)])) == understood


def test_a_long_unknown_query_parameter_is_repeated_in_part_only():
    with pytest.raises(Invalid) as refused:
        request_body.check_query(request(query=b"x" * 60_000 + b"=1"), frozenset({"limit"}))
    assert len(refused.value.detail) < 300
