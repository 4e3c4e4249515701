"""The synchronous and the asynchronous client have the same methods, and hide the secret."""

import inspect
import re
from datetime import UTC, datetime

import pytest

from bellcast.client import AsyncBellcast, Bellcast, InvalidArgument, NotificationManager, notifications
from bellcast.client.api import InboxApi, JobsApi, Method, RecipientsApi, RunsApi, SchedulesApi, ServerApi, WorkflowsApi
from bellcast.server.api_app import HANDLERS

SECRET = "s3cret-of-the-project"


def test_method_has_the_signature_and_docstring_of_its_builder():
    with Bellcast("http://127.0.0.1:1", SECRET) as bell:
        assert inspect.signature(bell.notify) == inspect.signature(notifications.notify)
        assert bell.notify.__doc__ == notifications.notify.__doc__


def test_user_without_an_id_is_not_notified():
    with Bellcast("http://127.0.0.1:1", SECRET) as bell, pytest.raises(InvalidArgument, match="user_id"):
        NotificationManager(bell).notify_user(None, "order_shipped", {})


def test_both_clients_have_the_same_methods():
    def methods(kind):
        return {name for name in dir(kind("http://127.0.0.1:1", SECRET)) if not name.startswith("_")}

    assert methods(Bellcast) == methods(AsyncBellcast)
    assert methods(Bellcast) >= {
        "notify",
        "bulk",
        "publish",
        "token",
        "edit",
        "recall",
        "inbox",
        "recipients",
    }


def test_secret_is_not_in_repr():
    with Bellcast("http://127.0.0.1:1", SECRET) as bell:
        assert SECRET not in repr(bell) + repr(bell.sender) + repr(bell.inbox(SECRET).sender)


def test_url_without_a_scheme_is_refused():
    with pytest.raises(ValueError, match="begins with http"):
        Bellcast("127.0.0.1:8787", SECRET)


METHODS = [
    pytest.param(method.build, id=f"{surface.__name__}.{name}")
    for surface in (ServerApi, RecipientsApi, InboxApi, WorkflowsApi, RunsApi, JobsApi, SchedulesApi)
    for name, method in vars(surface).items()
    if isinstance(method, Method)
]


VALUES = {
    **dict.fromkeys(("all", "seen", "read", "archived", "keep", "dry_run"), True),
    **{key: ["x"] for key in ("topics", "publish", "roles", "templates", "can")},
    "items": [{"to": "x", "title": "x"}],
    "events": [{"step": "x", "event": "seen"}],
    "records": [{"key": "x"}],
    "body": {"a": 1},
    "data": {"a": 1},
    "since": datetime(2026, 1, 1, tzinfo=UTC),
    "send_at": "2h",
    "at": "2h",
    "until": None,
    "count": 1,
    "duration": "1h",
    "limit": 1,
    "version": 1,
    "active": True,
    "ttl": "1h",
    "view": "all",
}


@pytest.mark.parametrize("build", METHODS)
def test_every_method_calls_an_existing_operation(build):
    parameters = [
        parameter
        for parameter in inspect.signature(build).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    values = {
        parameter.name: VALUES.get(parameter.name, "x")
        for parameter in parameters
        if parameter.kind is not parameter.VAR_POSITIONAL
    }
    if build is notifications.notify:
        values["title"] = "x"
    request = next(iter(build(**values)))
    operations = {
        (endpoint.method, re.sub(r"\{\w+\}", "[^/]+", endpoint.template)): endpoint.operation for endpoint in HANDLERS
    }
    matching = [
        operation
        for (method, pattern), operation in operations.items()
        if method == request.method and re.fullmatch(pattern, request.path)
    ]
    assert matching, f"the server has no {request.method} {request.path}"
    assert any(request.params.keys() <= operation.query_names for operation in matching)


async def test_forgotten_await_names_the_method() -> None:
    async with AsyncBellcast("http://127.0.0.1:1", SECRET) as bell:
        with pytest.warns(RuntimeWarning, match=r"'AsyncBellcast\.notify' was never awaited"):
            bell.notify("alice", title="Hello")  # type: ignore[unused-coroutine]  # the mistake under test
        with pytest.warns(RuntimeWarning, match=r"'PushEndpointsApi\.list' was never awaited"):
            bell.push_endpoints.list("alice")  # type: ignore[unused-coroutine]  # the mistake under test
