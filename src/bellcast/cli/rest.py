"""Requests of commands for which the Python client has no method."""

from typing import Any

import typer

from bellcast.cli import options


def request(ctx: typer.Context, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Send a request and return the decoded response; None if it is empty."""
    import msgspec

    from bellcast.cli import remote
    from bellcast.client.request import HttpRequest, HttpResponse

    def decode(response: HttpResponse) -> Any:
        return msgspec.json.decode(response.content) if response.content else None

    content = None if body is None else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json"}
    with remote.server(options.settings(ctx)) as client:
        return client.sender.send(HttpRequest(method, path, decode, headers=headers, content=content))
