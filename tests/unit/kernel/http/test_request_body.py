"""Reading of JSON bodies, queries and paths without a server."""

import pkgutil
import re
import time
from contextlib import nullcontext
from importlib import import_module
from types import SimpleNamespace

import pytest
from msgspec import Struct

import bellcast
from bellcast.kernel.errors import BadRequest, Invalid, TooLarge
from bellcast.kernel.http import HEADER_VALUES, request_body, validation_errors
from bellcast.kernel.limits import Limits
from bellcast.kernel.times import Moment


class SampleQuery(Struct, frozen=True):
    limit: int = 20
    search: str | None = None


def request(*, query=b"", path_params=None, headers=(), messages=()):
    waiting = list(messages)

    async def receive():
        return waiting.pop(0)

    scope = {"type": "http", "query_string": query, "path_params": path_params or {}, "headers": list(headers)}
    scope["state"] = {HEADER_VALUES: dict(headers)}
    return request_body.ApiRequest(scope, receive)


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
        ids=["just deep enough", "wide", "in a string", "in a string with escapes"],
    )
    def test_width_and_brackets_in_strings_do_not_count_as_depth(self, text):
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
    async def test_body_is_assembled_from_its_chunks(self):
        incoming = request(messages=[part(b"ab", more=True), part(b"", more=True), part(b"c")])
        assert await request_body.raw(incoming, 3) == b"abc"

    async def test_body_over_the_limit_is_refused_without_reading_the_rest(self):
        incoming = request(messages=[part(b"ab", more=True), part(b"cd", more=True)])  # a third read would fail
        with pytest.raises(TooLarge):
            await request_body.raw(incoming, 3)

    @pytest.mark.parametrize("length", [b"4", b"9" * 5_000])
    async def test_declared_length_over_the_limit_is_refused_unread(self, length):
        with pytest.raises(TooLarge):
            await request_body.raw(request(headers=[(b"content-length", length)]), 3)

    async def test_declared_length_that_is_not_an_ascii_number_is_ignored(self):
        superscript = request(headers=[(b"content-length", "²".encode("latin-1"))], messages=[part(b"ab")])
        assert await request_body.raw(superscript, 3) == b"ab"

    async def test_limit_zero_means_unlimited(self):
        assert (
            await request_body.raw(request(headers=[(b"content-length", b"4")], messages=[part(b"abcd")]), 0) == b"abcd"
        )

    @pytest.mark.parametrize("messages", [[], [part(b"ab", more=True)]])
    async def test_disconnect_while_reading_raises(self, messages):
        incoming = request(messages=[*messages, {"type": "http.disconnect"}])
        with pytest.raises(request_body.Disconnected):
            await request_body.raw(incoming, 100)


class TestQuery:
    def test_missing_parameters_have_their_defaults(self):
        assert request_body.query(request(), SampleQuery) == SampleQuery()

    def test_query_is_decoded_and_unknown_parameters_are_ignored(self):
        incoming = request(query=b"search=caf%C3%A9+au%20lait&limit=5&utm_source=x")
        assert request_body.query(incoming, SampleQuery) == SampleQuery(limit=5, search="café au lait")

    @pytest.mark.parametrize("query", [b"search=%ff", b"\xff=1", b"&".join(b"a%d=1" % n for n in range(200))])
    def test_undecodable_query_is_refused(self, query):
        with pytest.raises(BadRequest):
            request_body.query(request(query=query), SampleQuery)

    @pytest.mark.parametrize(
        ("query", "field"),
        [(b"limit=x", "limit"), (b"limit=", "limit"), (b"search=a&search=b", "search"), (b"search=%00", "search")],
    )
    def test_wrong_parameter_is_reported_by_name(self, query, field):
        with pytest.raises(Invalid) as refusal:
            request_body.query(request(query=query), SampleQuery)
        assert [error.field for error in refusal.value.errors] == [field]

    def test_repeated_parameter_with_one_value_is_accepted(self):
        assert request_body.query(request(query=b"limit=5&limit=5"), SampleQuery).limit == 5


class TestPath:
    def test_path_segment_is_decoded_once(self):
        assert request_body.path(request(path_params={"key": "a%2Fb%2520c"}), "key") == "a/b%20c"

    def test_path_segment_that_is_not_utf8_is_refused(self):
        with pytest.raises(BadRequest):
            request_body.path(request(path_params={"key": "%ff"}), "key")


@pytest.mark.parametrize(
    "text", [b'"\\ud800"', b'{"a":"x\\uDC00"}', b'{"title":"\\ud83d","b":1}', b'["\\ud800\\ud800"]']
)
def test_half_of_a_surrogate_pair_is_named(text):
    with pytest.raises(BadRequest, match=r"half of a surrogate pair \(\\ud800 to \\udfff\)"):
        request_body.anything(text)


@pytest.mark.parametrize("text", [b'"\xff"', b'{"to":"alice","title":"\xff"}'])
def test_json_that_is_not_utf8_is_refused_with_the_reason(text):
    with pytest.raises(BadRequest, match=r"^The JSON is not UTF-8: invalid start byte\.$"):
        request_body.anything(text)


@pytest.mark.parametrize("text", [b'"\\u0041', b'"\\\\ud800', b'"\\ud83d\\ude00'])
def test_json_that_ends_early_has_no_half_pair(text):
    with pytest.raises(BadRequest, match="truncated"):
        request_body.anything(text)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"application/json", "application/json"),
        (b"Application/JSON ; charset=utf-8", "application/json"),
        (b"", "application/json"),
        (b"text/plain", "text/plain"),
    ],
)
def test_media_type_is_read_without_its_parameters(header, expected):
    assert request_body.media_type(request(headers=[(b"content-type", header)])) == expected


def test_long_unknown_query_parameter_is_abbreviated_in_the_error():
    with pytest.raises(Invalid) as refused:
        request_body.check_query(request(query=b"x" * 60_000 + b"=1"), frozenset({"limit"}))
    assert len(refused.value.detail) < 300


def test_text_null_of_a_filter_is_refused_and_does_not_widen_the_request():
    class Filtered(Struct, frozen=True):
        search: str | None = None
        limit: int | None = None

    assert request_body.query(request(query=b"search=null"), Filtered).search == "null"
    with pytest.raises(Invalid, match="limit"):
        request_body.query(request(query=b"limit=null"), Filtered)


def test_number_is_not_a_time_of_a_filter():
    class Filtered(Struct, frozen=True):
        since: Moment | None = None

    assert request_body.query(request(query=b"since=2030-01-31T12:00:00Z"), Filtered).since is not None
    with pytest.raises(Invalid, match=r"since: must be a time"):
        request_body.query(request(query=b"since=1893456000"), Filtered)


@pytest.mark.parametrize(
    ("tenant", "is_possible"), [("", True), ("*", True), ("acme", True), ("%C2%84", False), ("x" * 201, False)]
)
def test_tenant_that_cannot_exist_is_refused_in_every_query(tenant, is_possible):
    subject = request(query=f"tenant={tenant}".encode())
    subject.scope["state"] = {"api_context": SimpleNamespace(limits=Limits())}
    with nullcontext() if is_possible else pytest.raises(Invalid, match="tenant"):
        request_body.check_query(subject, frozenset({"tenant"}))


HTTP = re.compile(r"\.(http|pages|rest)\b(?!\.)|\.(http|pages)\.")


def test_shape_with_rules_has_stand_ins_for_its_required_fields():
    """Without them, a wrong type in such a field would end the check of the other fields."""
    names = [one.name for one in pkgutil.walk_packages(bellcast.__path__, "bellcast.") if HTTP.search(one.name)]
    modules = list(map(import_module, names))
    shapes = [one for module in modules for one in vars(module).values() if isinstance(one, request_body.Shape)]
    ruled = {shape.type for shape in shapes if shape.rules is not None}
    found: list[str] = []
    for one in ruled:
        validation_errors.validation_errors({}, one, lambda value: found.append(value.__class__.__name__))
    assert len(ruled) > 15
    assert sorted(found) == sorted(one.__name__ for one in ruled)
