"""Invalid input is refused clearly, changes nothing, and leaves the server running."""

import contextlib
import itertools
import json
import random
import socket

import httpx
import pytest

JSON = {"content-type": "application/json"}

# Every operation that reads a body, with the credentials it needs.
READERS = {
    "POST /v1/notifications": "app",
    "POST /v1/notifications/bulk": "app",
    "PATCH /v1/notifications/01a1f804-8b85-7030-8305-21c740aa26df": "app",
    "POST /v1/events": "app",
    "PUT /v1/recipients/bad-input": "app",
    "PATCH /v1/recipients/bad-input": "app",
    "PUT /v1/tenants/bad-input": "app",
    "POST /v1/tokens": "app",
    "POST /v1/keys": "app",
    "PATCH /v1/inbox/01a1f804-8b85-7030-8305-21c740aa26df": "recipient",
    "POST /v1/inbox/seen": "recipient",
    "POST /v1/inbox/read": "recipient",
    "POST /v1/inbox/unread": "recipient",
    "POST /v1/inbox/archive": "recipient",
    "POST /v1/inbox/unarchive": "recipient",
}

UNREADABLE = {
    "nothing": b"",
    "blank": b"  \n",
    "half": b'{"title":',
    "trailing": b'{"title":"x"} x',
    "two": b"{}{}",
    "single quotes": b"{'title':'x'}",
    "comment": b'{"title":"x" /* no */}',
    "trailing comma": b'{"title":"x",}',
    "NaN": b'{"title":NaN}',
    "Infinity": b'{"data":{"n":-Infinity}}',
    "not UTF-8": b'{"title":"\xff\xfe"}',
    "latin-1": '{"title":"é"}'.encode("latin-1"),
    "UTF-16": '{"title":"x"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"title":"x"}',
    "control character": b'{"title":"a\x00b"}',
    "bad escape": b'{"title":"\\x41"}',
    "lone high surrogate": b'{"title":"\\ud800"}',
    "deep list": b"[" * 100_000,
    "deep closed list": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"data":' * 5_000 + b"1" + b"}" * 5_000,
    "XML": b"<notification/>",
    "form": b"to=alice&title=x",
    "random": random.Random(7).randbytes(4096),
}


@pytest.fixture
def client(bellcast_server):
    with httpx.Client(base_url=bellcast_server.url) as client:
        yield client


def credentials(server, credential):
    return server.as_app() if credential == "app" else server.as_recipient("bad-input")


def problem(response, *statuses):
    """Check the problem document of a refusal, and return it."""
    assert response.status_code in statuses, (response.status_code, response.text[:300])
    assert response.headers["content-type"] == "application/problem+json"
    problem_body = response.json()
    assert problem_body["status"] == response.status_code
    assert {"type", "code", "title", "detail"} <= problem_body.keys()
    return problem_body


@pytest.fixture(autouse=True)
def check_unharmed(client, bellcast_server):
    """After each test the recipient has no notification and the server responds."""
    yield
    assert client.get("/healthz").status_code == 200
    counts = client.get("/v1/inbox/counts", headers=bellcast_server.as_recipient("bad-input")).json()
    assert counts["unread"] == 0
    assert client.get("/v1/tenants/bad-input", headers=bellcast_server.as_app()).status_code == 404
    assert "Traceback" not in bellcast_server.log.read_text()


@pytest.mark.parametrize("operation", READERS)
def test_body_that_is_not_json_is_a_400(client, bellcast_server, operation):
    method, path = operation.split()
    headers = credentials(bellcast_server, READERS[operation]) | JSON
    for name, body in UNREADABLE.items():
        refusal = problem(client.request(method, path, content=body, headers=headers), 400)
        assert refusal["code"] == "bad_request", name


@pytest.mark.parametrize("operation", READERS)
@pytest.mark.parametrize("body", ["null", "true", "7", '"text"', "[1]", '[["deep"]]', "1e400", "9" * 5_000])
def test_json_body_of_another_type_is_refused(client, bellcast_server, operation, body):
    method, path = operation.split()
    response = client.request(
        method, path, content=body, headers=credentials(bellcast_server, READERS[operation]) | JSON
    )
    if operation.endswith("/bulk") and body.startswith("["):
        assert all("error" in result for result in response.json()["results"])
    else:
        problem(response, 400, 422)


@pytest.mark.parametrize("operation", [name for name in READERS if not name.endswith("/bulk")])
def test_unknown_field_is_named(client, bellcast_server, operation):
    method, path = operation.split()
    headers = credentials(bellcast_server, READERS[operation])
    refusal = problem(client.request(method, path, json={"no_such_field": 1}, headers=headers), 422)
    (message,) = [one["message"] for one in refusal["errors"] if one["field"] == "no_such_field"]
    assert message.startswith("is not a known field; expected one of: ")


@pytest.mark.parametrize("operation", READERS)
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", "nonsense"]
)
def test_other_media_type_is_a_415(client, bellcast_server, operation, kind):
    method, path = operation.split()
    headers = credentials(bellcast_server, READERS[operation]) | {"content-type": kind}
    problem(client.request(method, path, content=b"{}", headers=headers), 415)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json", None]
)
def test_json_media_type_may_have_parameters_suffixes_or_be_absent(client, bellcast_server, kind):
    headers = bellcast_server.as_app() | ({"content-type": kind} if kind else {})
    response = client.post("/v1/events", content=b'{"topic":"bad-input","name":"n","data":1}', headers=headers)
    assert response.status_code == 202


class TestSize:
    big = b'{"to":"bad-input","title":"x","body":"' + b"x" * 1_048_576 + b'"}'

    @pytest.mark.parametrize("operation", [name for name in READERS if not name.endswith("/bulk")])
    def test_body_over_a_megabyte_is_a_413(self, client, bellcast_server, operation):
        method, path = operation.split()
        headers = credentials(bellcast_server, READERS[operation]) | JSON
        assert problem(client.request(method, path, content=self.big, headers=headers), 413)["code"] == "too_large"

    def test_chunked_body_over_a_megabyte_is_a_413(self, client, bellcast_server):
        chunks = (self.big[start : start + 65_536] for start in range(0, len(self.big), 65_536))
        headers = bellcast_server.as_app() | JSON
        problem(client.post("/v1/notifications", content=chunks, headers=headers), 413)

    def test_declared_size_over_the_limit_is_refused_before_the_body_is_sent(self, bellcast_server):
        response = first_response_bytes(bellcast_server, [b"content-length: 1048577"], b"")
        assert response.startswith(b"HTTP/1.1 413")

    def test_endless_body_is_refused_while_it_is_sent(self, bellcast_server):
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        response = first_response_bytes(bellcast_server, [b"transfer-encoding: chunked"], *itertools.repeat(chunk, 17))
        assert response.startswith(b"HTTP/1.1 413")

    def test_bulk_request_has_its_own_limit(self, client, bellcast_server):
        headers = bellcast_server.as_app() | JSON
        fits = b"[" + b" " * 2_000_000 + b"]"
        assert client.post("/v1/notifications/bulk", content=fits, headers=headers).status_code == 200
        over = b"[" + b" " * 16_777_216 + b"]"
        problem(client.post("/v1/notifications/bulk", content=over, headers=headers), 413)


def first_response_bytes(server, headers, *body):
    """Send a request by hand and return the first bytes of the response."""
    head = [b"POST /v1/notifications HTTP/1.1", b"host: bell", b"content-type: application/json", *headers]
    head.append(f"authorization: Bearer {server.secret}".encode())
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"\r\n".join(head) + b"\r\n\r\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in body:
                connection.sendall(part)
        return connection.recv(65_536)


@pytest.mark.parametrize(
    "data",
    [
        '{"n":123456789012345678901234567890}',
        '{"n":-9223372036854775809}',
        '{"n":1e308}',
        '{"n":0.1e-400}',
        '{"s":"\\udc00"}',
        '{"a":1,"a":2}',
        '{"":{"":{"":{}}}}',
        '{"__proto__":{"x":1},"constructor":1}',
        '{"\\u0000":"\\u0000"}',
        '{"s":"\\u202e\\ufeff\\ufffe"}',
        "[" * 99 + "]" * 99,
    ],
    ids=lambda data: data[:30],
)
def test_unusual_data_is_stored_exactly_or_refused(client, bellcast_server, data):
    recipient = "strange-data"
    body = '{"to":"strange-data","title":"x","data":' + data + "}"
    response = client.post("/v1/notifications", content=body, headers=bellcast_server.as_app() | JSON)
    if response.status_code == 201:
        listed = client.get("/v1/inbox?limit=1", headers=bellcast_server.as_recipient(recipient)).json()[
            "notifications"
        ]
        assert listed[0]["data"] == json.loads(data)
    else:
        problem(response, 400, 422)


@pytest.mark.parametrize("key", ["\ud800", "a\x00b", "a\x1fb", "x" * 100_000, ""])
def test_invalid_recipient_key_is_refused(client, bellcast_server, key):
    for body in ({"to": key, "title": "x"}, {"to": ["bad-input", key], "title": "x"}):
        response = client.post("/v1/notifications", content=json.dumps(body), headers=bellcast_server.as_app() | JSON)
        problem(response, 400, 422)


@pytest.mark.parametrize(
    "query",
    [
        "?limit=%ff",
        "?%ff=1",
        "?limit=1&limit=2",
        "?type=%00",
        "?view=%C0%80",
        "?" + "&".join(f"a{n}=1" for n in range(200)),
    ],
)
def test_invalid_query_is_refused(client, bellcast_server, query):
    problem(client.get(f"/v1/inbox{query}", headers=bellcast_server.as_recipient("bad-input")), 400, 422)


@pytest.mark.parametrize("etag", ["", ",", '"', "W/", "*" * 1000, '"a","b', "\xff", ", ".join(['"x"'] * 500)])
def test_invalid_etag_does_not_match(client, bellcast_server, etag):
    headers = bellcast_server.as_recipient("bad-input") | {"if-none-match": etag.encode("latin-1")}
    assert client.get("/v1/inbox/counts", headers=headers).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb", "\x80"])
def test_invalid_idempotency_key_is_refused(client, bellcast_server, key):
    headers = bellcast_server.as_app() | {"idempotency-key": key.encode("latin-1")}
    problem(client.post("/v1/notifications", json={"to": "bad-input", "title": "x"}, headers=headers), 422)


def test_aborted_request_leaves_nothing_behind(bellcast_server, client):
    head = (
        f"POST /v1/notifications HTTP/1.1\r\nhost: bell\r\nauthorization: Bearer {bellcast_server.secret}\r\n"
        "content-length: 60\r\n\r\n"
    )
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", bellcast_server.port), timeout=60) as connection:
            connection.sendall(head.encode() + b'{"to":"bad-input","title":"x"}')
    assert client.get("/readyz").status_code == 200
