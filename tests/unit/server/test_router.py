"""The router: paths as sent, precedence of fixed segments, methods, and errors of handlers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.kernel.errors import Conflict
from bellcast.kernel.http import responses
from bellcast.rest.operations import ApiEndpoint, Operation
from bellcast.server.api_app import HAS_STARTED, ApiRouter

DECLARED = Operation(tag="Server", required_scope=None, response_types={})


def endpoint(method, path, response=None):
    async def respond(request):
        if response is not None:
            return response
        return responses.json({"path": path, "parameters": request.scope["path_params"]})

    return ApiEndpoint(method, path, respond, DECLARED)


ENDPOINTS = [
    endpoint("GET", "/"),
    endpoint("GET", "/v1/things"),
    endpoint("GET", "/v1/things/{key:str}"),
    endpoint("DELETE", "/v1/things/{key:str}"),
    endpoint("POST", "/v1/things/bulk"),
    endpoint("GET", "/v1/things/{key:str}/parts/{part:str}"),
    endpoint("GET", "/v1/things/bulk/report"),
    endpoint("GET", "/files/{name:path}"),
]


class Sent:
    """The messages that a router sent."""

    def __init__(self):
        self.status, self.headers, self.body = 0, {}, b""

    async def __call__(self, message):
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self.body += message["body"]


async def call(path, method="GET", endpoints=ENDPOINTS, state=None):
    sent = Sent()
    state = {"logged_path": path, "request_id": "1", "header_values": {}} if state is None else state
    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "state": state}
    await ApiRouter(endpoints)(scope, None, sent)
    return sent


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/", b'{"path":"/","parameters":{}}'),
        ("GET", "/v1/things", b'{"path":"/v1/things","parameters":{}}'),
        ("GET", "/v1/things/", b'{"path":"/v1/things","parameters":{}}'),
        ("GET", "/v1/things/a%2Fb", b'{"path":"/v1/things/{key:str}","parameters":{"key":"a%2Fb"}}'),
        ("POST", "/v1/things/bulk", b'{"path":"/v1/things/bulk","parameters":{}}'),
        ("GET", "/v1/things/bulk", b'{"path":"/v1/things/{key:str}","parameters":{"key":"bulk"}}'),
        ("GET", "/v1/things/bulk/report", b'{"path":"/v1/things/bulk/report","parameters":{}}'),
        (
            "GET",
            "/v1/things/bulk/parts/1",
            b'{"path":"/v1/things/{key:str}/parts/{part:str}","parameters":{"key":"bulk","part":"1"}}',
        ),
        ("GET", "/files/a/b.js", b'{"path":"/files/{name:path}","parameters":{"name":"a/b.js"}}'),
    ],
)
async def test_path_finds_its_endpoint(method, path, body):
    sent = await call(path, method)
    assert (sent.status, sent.body) == (200, body)


@pytest.mark.parametrize("path", ["/v1", "/v1/thing", "/v1/things/a/b", "/v1/things/a/parts", "/files", "/%2F"])
async def test_unknown_path_is_404(path):
    assert (await call(path)).status == 404


async def test_wrong_method_is_405_and_names_the_methods_of_the_path():
    sent = await call("/v1/things/bulk", "PATCH")
    assert (sent.status, sent.headers[b"allow"]) == (405, b"OPTIONS, POST")
    assert b"not with the method PATCH: use OPTIONS, POST." in sent.body
    sent = await call("/v1/things/a", "PATCH")
    assert (sent.status, sent.headers[b"allow"]) == (405, b"DELETE, GET, HEAD, OPTIONS")


async def test_options_names_the_methods():
    sent = await call("/v1/things", "OPTIONS")
    assert (sent.status, sent.headers[b"allow"]) == (204, b"GET, HEAD, OPTIONS")


async def test_options_of_the_server_names_the_methods_of_all_paths():
    sent = await call("*", "OPTIONS")
    assert (sent.status, sent.headers[b"allow"]) == (204, b"DELETE, GET, HEAD, OPTIONS, POST")
    assert (await call("/*", "OPTIONS")).status == 404


async def test_error_of_a_handler_is_its_problem_document():
    async def refuse(request):
        raise Conflict("The thing exists.")

    sent = await call("/x", endpoints=[ApiEndpoint("GET", "/x", refuse, DECLARED)])
    assert sent.status == 409
    assert b"The thing exists." in sent.body


async def test_unexpected_error_is_500_without_details():
    async def fail(request):
        raise ValueError("a secret")

    sent = await call("/x", endpoints=[ApiEndpoint("GET", "/x", fail, DECLARED)])
    assert sent.status == 500
    assert b"a secret" not in sent.body


async def test_error_after_the_head_ends_the_connection():
    """A second head would become part of the first response's body."""

    async def broken(scope, receive, send):
        scope["state"][HAS_STARTED] = True
        raise ValueError("too late")

    with pytest.raises(ValueError, match="too late"):
        await call("/x", endpoints=[endpoint("GET", "/x", broken)])


@given(st.lists(st.sampled_from(["", "v1", "things", "bulk", "parts", "a", "%2F", "{key}", ".."]), max_size=8))
async def test_any_path_has_a_response(segments):
    assert (await call("/" + "/".join(segments))).status in (200, 404, 405)
