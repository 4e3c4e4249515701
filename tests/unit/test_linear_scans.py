"""Scans of client input take time linear in its size; quadratic time would be minutes here."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from bellcast.auth import authenticator
from bellcast.inbox.types import inboxes
from bellcast.kernel import ids, times, validation
from bellcast.kernel.concurrency import Scheduler
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.events import pattern_matches
from bellcast.kernel.http import request_body, validation_errors
from bellcast.kernel.limits import Limits
from bellcast.live.pusher import signatures
from bellcast.live.socketio.protocol import InvalidPacket, PacketReader
from bellcast.templates import content_checks, email_checks, html, variables
from bellcast.templates.content_checks import DeclaredPaths

LIMITS = Limits()
SIZE = 500_000
MAX_SECONDS = 2.0
SCHEMA = {"properties": {f"name_{number}": {} for number in range(1_000)}}
PATHS = variables.schema_paths([("types", "booked", SCHEMA)])


def path_part(text: str) -> str:
    request: Any = type("Request", (), {"scope": {"path_params": {"key": text}}})
    return request_body.path(request, "key")


SCANS: dict[str, tuple[Callable[[Any], object], list[Any]]] = {
    "depth": (
        request_body.check_depth,
        [b"[" * 100 + b'"' + b'\\"' * SIZE, b"[]" * 101 + b'"' * SIZE, b"[]" * 101 + b'"["' * SIZE],
    ),
    "media type": (request_body.JSON_TYPE.fullmatch, ["application/" + "+" * SIZE, "application/" + "a+json" * SIZE]),
    "escapes": (path_part, ["%" * SIZE, "%4" * SIZE, "%41" * SIZE + "%"]),
    "query": (request_body.pairs, [b"&" * SIZE, b"a=" * SIZE, b"a=%" * SIZE]),
    "query token": (authenticator._query_token, [b"token=&" * SIZE, b"&" * SIZE + b"token=x"]),
    "signed lists": (signatures.LIST_ITEM.fullmatch, ["[" * SIZE, "a[" + "1" * SIZE, "a[]" * SIZE, "a[1" * SIZE]),
    "socket ids": (signatures.is_socket_id, ["1" * SIZE, "1." * SIZE]),
    "patterns": (lambda text: pattern_matches("*a" * 80 + "*b", text), ["a" * SIZE]),
    "ids": (ids.is_id, ["0" * SIZE, "0-" * SIZE]),
    "positions": (inboxes.parse_position, ["f" * SIZE, "-" * SIZE, "1-" * SIZE]),
    "durations": (times.seconds, ["1" * SIZE, "1." * SIZE, " " * SIZE, "1" * SIZE + "."]),
    "wording": (
        lambda text: validation_errors.field_error(msgspec.ValidationError(text)),
        [
            "Expected `a`" + ", got `" * SIZE,
            " - at `$" * SIZE,
            "Expected `a`" + " - at `" * SIZE,
            "Expected `a`" + " - at" * SIZE,
            "Invalid value " * SIZE,
        ],
    ),
    "links": (lambda text: list(validation.url("icon", text, LIMITS)), [":" * SIZE, "//[" * SIZE, "a" * SIZE]),
    "HTML": (
        html.to_text,
        [
            "<a " * SIZE,
            "</a>" * (SIZE // 4),
            "<a>x" * (SIZE // 4) + "</a>" * (SIZE // 4),
            "<a " + "b='" * SIZE,
            "<!--" * SIZE,
            "<!" * SIZE,
            "<script" * SIZE + ">" + "</script" * SIZE,
            "<b" + " " * SIZE + "x",
            "&#" + "9" * SIZE,
            "&" + "a" * SIZE,
        ],
    ),
    "contrast of HTML": (
        lambda text: list(email_checks.contrasts(text)),
        [
            "<style>" + "a{color:red}" * (SIZE // 100) + "</style>" + "<a>" * (SIZE // 20),
            "<b>" * (SIZE // 20) + "</i>" * (SIZE // 20),
            "<style>" + "@media(prefers-color-scheme:dark){" * (SIZE // 200),
            "<style>a{color:" + "(" * (SIZE // 20),
            "<style>" + 'a[style*="b"]{color:red}' * (SIZE // 200) + "</style>" + "<a>" * (SIZE // 20),
        ],
    ),
    "own colors": (
        lambda text: html.has_own_colors(text, "#4f56d9", "#111827"),
        [
            "{{" * SIZE,
            "{%" + "%" * SIZE,
            "{{" + " | " * SIZE,
            "<p style='" + "color" * (SIZE // 5) + "'>",
            "<p style='" + "color:" * (SIZE // 6) + "'>",
            "<p style='" + "; " * SIZE + "'>",
            "<style>" + "color :" * (SIZE // 7),
        ],
    ),
    "problems of HTML": (lambda text: list(email_checks.of_html(text)), ["<b>" * (SIZE // 6)]),
    "unknown variables": (
        lambda texts: list(content_checks.of_variables(variables.used_in(texts), DeclaredPaths(PATHS))),
        [[("".join(f"{{{{ data.v{place}_{one} }}}}" for one in range(1_000)), False) for place in range(20)]],
    ),
    "bulk lines": (
        lambda text: asyncio.run(request_body.item_lines(text, 10, Scheduler())),
        [b"\n" * SIZE, b" \n" * SIZE, b"\r\n" * SIZE + b"{" * SIZE],
    ),
    "Socket.IO heads": (
        lambda text: PacketReader(2 * SIZE).read(text),
        ["2/" + "," * SIZE, "51-" * SIZE, "2/" + "a" * SIZE, "2" * SIZE],
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize(("scan", "texts"), SCANS.values(), ids=SCANS)
def test_scan_takes_linear_time(scan: Callable[[Any], object], texts: list[Any]) -> None:
    for text in texts:
        started = time.process_time()
        with suppress(BellcastError, InvalidPacket, ValueError):
            scan(text)
        assert time.process_time() - started < MAX_SECONDS, str(text)[:40]
