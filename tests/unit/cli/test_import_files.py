"""Rows of import files, and the notifications created from them."""

import io
import json
from zoneinfo import ZoneInfo

import pytest

from bellcast.cli import notifications
from bellcast.cli.notifications import FileRow, InvalidRow, Mapped, notification
from bellcast.cli.output import CommandError
from bellcast.client import BulkInterrupted, BulkResult


def rows(text, format):
    return list(notifications.rows(io.BytesIO(text.encode()), format))


def test_ndjson_has_a_row_for_each_line_that_is_not_blank():
    first, second, third = rows('{"to":"a"}\r\n\n{"to":\n{"to":"b"}', "ndjson")
    assert (first, third) == (FileRow(1, {"to": "a"}), FileRow(4, {"to": "b"}))
    assert (second.line, second.problem[:11]) == (3, "is not JSON")


def test_ndjson_line_beyond_the_limit_is_skipped(monkeypatch):
    monkeypatch.setattr("bellcast.kernel.limits.MAX_ITEM_BYTES", 40)
    long = json.dumps({"to": "x" * 200_000})
    assert rows(f'{long}\n{{"to":"b"}}\n', "ndjson") == [
        FileRow(1, None, "has more than 40 bytes"),
        FileRow(2, {"to": "b"}),
    ]


@pytest.mark.thorough
def test_deeply_nested_json_is_refused_alone():
    deep = "[" * 100_000
    wrong, right = rows(f'{deep}\n{{"to":"b"}}\n', "ndjson")
    assert wrong.problem == "is not JSON: it is nested too deeply"
    assert right.value == {"to": "b"}
    with pytest.raises(InvalidRow, match="data: expected JSON: it is nested too deeply"):
        notification({"to": "a", "data": deep}, Mapped())
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidRow, match="is nested too deeply"):
        notification({"to": "a", "data": value}, Mapped())


def test_csv_has_names_in_its_first_line_and_no_empty_fields():
    text = '\ufeffto,title,body\r\nalice,"Hi, there",\r\nbob,"Two\nlines",b\r\n'
    assert rows(text, "csv") == [
        FileRow(2, {"to": "alice", "title": "Hi, there"}),
        FileRow(3, {"to": "bob", "title": "Two\nlines", "body": "b"}),
    ]


@pytest.mark.parametrize("line", ["alice", "alice,Hi,there"])
def test_csv_row_of_another_length_is_refused_alone(line):
    wrong, right = rows(f"to,title\n{line}\nbob,Hi\n", "csv")
    assert wrong.problem == "expected 2 values, as in the first line"
    assert right.value == {"to": "bob", "title": "Hi"}


def test_csv_with_an_open_quote_ends_the_file():
    assert rows('to,title\nalice,"Hi\n', "csv") == [
        FileRow(2, None, "is not CSV: unexpected end of data", breaks_off=True)
    ]


def test_json_array_has_a_row_for_each_element():
    text = ' [\n{"to": "a", "n": [1, {"b": "],}"}]} ,\n\n12, "x", {"to": "ü"}\n] '
    assert rows(text, "json") == [
        FileRow(2, {"to": "a", "n": [1, {"b": "],}"}]}),
        FileRow(4, 12),
        FileRow(4, "x"),
        FileRow(4, {"to": "ü"}),
    ]
    assert rows("[]", "json") == []


@pytest.mark.parametrize("text", ["", "{}", "[", '[{"to":"a"}', '[{"to":"a"} {"to":"b"}]', "[1,]", '[{"to":]'])
def test_json_that_is_not_an_array_ends_the_file(text):
    last = rows(text, "json")[-1]
    assert (last.problem[:19], last.breaks_off) == ("is not a JSON array", True)


def test_elements_before_an_invalid_one_are_rows():
    first, last = rows('[{"to":"a"},\n\n{"to":]', "json")
    assert first == FileRow(1, {"to": "a"})
    assert (last.line, last.breaks_off) == (3, True)


def test_element_beyond_the_limit_is_refused_alone(monkeypatch):
    monkeypatch.setattr("bellcast.kernel.limits.MAX_ITEM_BYTES", 100)
    assert rows('[{"to": "' + "x" * 10_000 + '"},\n{"to":"b"}]', "json") == [
        FileRow(1, None, "has more than 100 bytes"),
        FileRow(2, {"to": "b"}),
    ]


def test_columns_are_renamed_and_text_is_converted():
    mapped = Mapped({"user_id": "to", "text": "title", "is_read": "read"}, ZoneInfo("Europe/Berlin"))
    value = {
        "user_id": "7",
        "text": "Hi",
        "is_read": "t",
        "created_at": "2025-01-02 03:04:05",
        "data": '{"a": 1}',
        "tags": "x, y",
    }
    item = notification(value, mapped)
    key = item.pop("idempotency_key")
    created = "2025-01-02T03:04:05+01:00"
    assert item == {
        "to": "7",
        "title": "Hi",
        "created_at": created,
        "read_at": created,
        "data": {"a": 1},
        "tags": ["x", "y"],
    }
    assert notification(value, mapped)["idempotency_key"] == key
    assert notification({**value, "text": "Ho"}, mapped)["idempotency_key"] != key


def test_key_of_the_row_is_kept_and_numbers_become_texts():
    item = notification({"to": 7, "title": "Hi", "idempotency_key": 12, "read": False}, Mapped(tenant="acme"))
    assert item == {"to": "7", "title": "Hi", "idempotency_key": "12", "tenant": "acme"}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "expected an object"),
        ({"to": "a", "user": "b"}, "unknown: user; rename with --map, or pass --drop-unknown"),
        ({"to": "a", "read": "maybe"}, "read: expected true or false, got 'maybe'"),
        ({"to": "a", "read": "true"}, "read: needs created_at or read_at"),
        ({"created_at": "2025-01-02 03:04:05"}, "created_at: '2025-01-02 03:04:05' has no UTC offset; pass --timezone"),
        ({"created_at": "soon"}, "created_at: expected a time such as 2025-03-01T09:30:00Z, got 'soon'"),
        ({"data": "{"}, "data: expected JSON"),
    ],
)
def test_row_that_is_not_a_notification_is_refused(value, problem):
    with pytest.raises(InvalidRow) as error:
        notification(value, Mapped())
    assert str(error.value).startswith(problem)


def test_two_columns_for_one_field_are_refused_if_both_have_a_value():
    mapped = Mapped({"user_id": "to", "user": "to"})
    for value in ({"user_id": "a", "to": "b"}, {"to": "b", "user_id": "a"}, {"user_id": "a", "user": "a"}):
        names = " and ".join(value)
        with pytest.raises(InvalidRow, match=f"^to: both {names} have a value for it; remove one of these columns$"):
            notification(value, mapped)
    assert notification({"user_id": None, "to": "b"}, mapped)["to"] == "b"


def test_unknown_columns_can_be_dropped():
    assert "user" not in notification({"to": "a", "user": "b"}, Mapped(drops_unknown=True))


def test_interrupted_import_counts_what_was_imported_of_its_last_batch():
    class Client:
        def import_notifications(self, items):
            raise BulkInterrupted([BulkResult(), BulkResult(error="refused")]) from ConnectionError("gone")

    batch = [FileRow(line, {}) for line in (1, 2, 4)]
    with pytest.raises(CommandError, match="stopped after 1 notification, before line 4: gone"):
        notifications.import_rows(Client(), iter([batch]))
