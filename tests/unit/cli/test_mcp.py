"""Messages that `bellcast mcp` receives from an agent."""

import json

import httpx
import pytest

from bellcast.cli import requests


@pytest.mark.parametrize("line", ["{", "[" * 100_000, '{"id": 1, "method": "\udc80"}'])
def test_line_that_cannot_be_read_is_answered(line: str) -> None:
    with httpx.Client() as http:
        reply = json.loads(requests._exchange(http, line) or "")
    assert (reply["id"], reply["error"]["code"]) == (None, requests.PARSE_ERROR)
