"""Texts of the error pages: the usual causes and the remedies of each error, and of codes that are not HTTP errors. They are in
`error_texts.toml`."""

import tomllib
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

# Where a code that is not an error occurs, by its short name in the file.
ORIGINS = {
    "close": "The `reason` of a `close` frame, and the close code of a WebSocket.",
    "browser": "The browser client reports it as `error.code` of a `Refused`; the server does not send it.",
    "clients": "The clients report it; the server does not send it.",
}


class ErrorText(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page of one code, as `error_texts.toml` describes it. `close_code` is None for a code that a client or a template
    reports."""

    title: str = ""
    meaning: str = ""
    origin: str = ""
    close_code: int | None = None
    causes: tuple[str, ...]
    remedies: tuple[str, ...]


@cache
def texts() -> dict[str, dict[str, ErrorText]]:
    """Return the texts of all `errors`, and of the `reasons` that are no errors, by code. Reading them takes 10 ms."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, dict[str, ErrorText]])
