"""Requests of the busy demo for which the client has no method."""

from typing import Any

import msgspec

from bellcast.client import Bellcast
from bellcast.client.request import HttpRequest


def send(client: Bellcast, method: str, path: str, body: dict[str, Any]) -> None:
    """Send a request with a JSON body."""
    content, headers = msgspec.json.encode(body), {"Content-Type": "application/json"}
    client.sender.send(HttpRequest(method, path, lambda response: None, headers=headers, content=content))
