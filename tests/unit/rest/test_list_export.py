"""Cells of CSV exports, and the choice of the format."""

import csv
import io
from types import SimpleNamespace
from typing import Any

import pytest

from bellcast.rest import operations


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1+1", "\uff1d1+1", "\u00a0=1"]
)
def test_text_that_a_spreadsheet_would_calculate_gets_an_apostrophe(text: str) -> None:
    assert operations.csv_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("", ""),
        (None, ""),
        ("a=b", "a=b"),
        (-1, "-1"),
        (True, "true"),
        ({"a": "=1"}, '{"a":"=1"}'),
        (["x"], '["x"]'),
    ],
)
def test_other_values_are_shown_as_they_are(value: Any, cell: str) -> None:
    assert operations.csv_cell(value) == cell


def test_separators_and_line_breaks_do_not_leave_their_cell() -> None:
    written = operations._rows([[operations.csv_cell('x",=1\r\n=2'), operations.csv_cell("y")]])
    assert list(csv.reader(io.StringIO(written.decode(), newline=""))) == [['x",=1\r\n=2', "y"]]


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        (None, None),
        ("*/*", None),
        ("text/html,application/xhtml+xml,*/*;q=0.8", None),
        ("application/json, text/csv", None),
        ("text/csv", "csv"),
        ("Text/CSV; charset=utf-8", "csv"),
        ("application/json;q=0.5, text/csv", "csv"),
        ("text/csv;q=0, */*", None),
        ("text/csv;q=x, */*", None),
        ("application/x-ndjson, */*", "ndjson"),
    ],
)
def test_format_is_what_the_client_prefers(accept: str | None, format: str | None) -> None:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    request: Any = SimpleNamespace(scope={"state": {"is_head": False, "header_values": dict(headers)}})
    assert operations.export_format(request) == format
    request.scope["state"]["is_head"] = True
    assert operations.export_format(request) is None
