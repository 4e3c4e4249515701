"""Read notifications from CSV, JSON and NDJSON, one at a time, so that a file may be larger than memory."""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from io import TextIOWrapper
from pathlib import PurePath
from typing import Any, BinaryIO, Literal, NamedTuple, TextIO

from bellcast.kernel.limits import MAX_ITEM_BYTES

FileFormat = Literal["csv", "json", "ndjson"]

# Characters per read. A truncated item is decoded again with twice as many.
BLOCK = 65_536
SUFFIXES: dict[str, FileFormat] = {".csv": "csv", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson"}
TIMES = ("created_at", "seen_at", "read_at", "archived_at", "expires_at")
TEXTS = ("title", "body", "type", "priority", "action_url", "action_text", "icon", "group", "tenant", "body_format")
FIELDS = frozenset({*TIMES, *TEXTS, "to", "actor", "data", "tags", "actions", "idempotency_key", "read"})
TRUE, FALSE = frozenset({"true", "t", "1", "yes"}), frozenset({"false", "f", "0", "no", ""})


class InvalidRow(Exception):
    """A row that is not a valid notification. Other rows are imported."""


class BrokenFile(Exception):
    """The rest of the file cannot be read. `line` is the line of the error."""

    def __init__(self, line: int, problem: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {problem}")


class FileRow(NamedTuple):
    """One row of a file: its first line, and its value or the reason why it has none."""

    line: int
    value: Any
    problem: str | None = None


class Mapped(NamedTuple):
    """How rows are mapped to notifications: renamed fields, and the time zone of times without an offset."""

    names: Mapping[str, str] = {}
    zone: tzinfo | None = None
    drops_unknown: bool = False


def format_of(name: str) -> FileFormat | None:
    """Return the format of a file by its extension."""
    return SUFFIXES.get(PurePath(name).suffix.lower())


def rows(stream: BinaryIO, format: FileFormat) -> Iterator[FileRow]:
    """Yield the rows of a file. Raises BrokenFile."""
    if format == "ndjson":
        return _lines(stream)
    text = TextIOWrapper(stream, encoding="utf-8-sig", newline="")  # spreadsheets write a byte order mark
    return _records(text) if format == "csv" else _elements(text)


def _lines(stream: BinaryIO) -> Iterator[FileRow]:
    line = 0
    while text := stream.readline(MAX_ITEM_BYTES + 1):
        line += 1
        if len(text) > MAX_ITEM_BYTES:
            while text and not text.endswith(b"\n"):
                text = stream.readline(BLOCK)
            yield FileRow(line, None, f"has more than {MAX_ITEM_BYTES} bytes")
        elif text.strip():
            try:
                yield FileRow(line, _decoded(text))
            except ValueError as error:
                yield FileRow(line, None, f"is not JSON: {error}")


def _decoded(text: str | bytes) -> Any:
    """Decode JSON. Raises ValueError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _records(text: TextIO) -> Iterator[FileRow]:
    reader = csv.DictReader(text, strict=True)
    line = 1
    while True:
        try:
            columns = reader.fieldnames or ()
            line = reader.line_num + 1
            record = next(reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            raise BrokenFile(line, f"is not CSV: {error}") from None
        if record is None:
            return
        if None in record or None in record.values():
            yield FileRow(line, None, f"expected {len(columns)} values, as in the first line")
        else:
            # The non-empty fields. JSON values are decoded later, depending on their names.
            yield FileRow(line, {name.strip(): value for name, value in record.items() if value != ""})


def _elements(text: TextIO) -> Iterator[FileRow]:
    """Yield the elements of a JSON array."""
    reader = ArrayReader(text)
    try:
        yield from reader.elements()
    except (ValueError, RecursionError) as error:
        raise BrokenFile(reader.line, f"is not a JSON array: {error}") from None


class ArrayReader:
    """Reads a JSON array in blocks. It buffers one element, and the block with its end."""

    def __init__(self, text: TextIO) -> None:
        self.line = 1
        self._text = text
        self._buffer = ""
        self._decoder = json.JSONDecoder()

    def elements(self) -> Iterator[FileRow]:
        """Yield the elements. Raises ValueError at the first position that is not valid."""
        self._expect("[")
        if self._peek() == "]":
            return
        while True:
            self._peek()
            line = self.line
            yield FileRow(line, self._element())
            if self._peek() == "]":
                return
            self._expect(",")

    def _element(self) -> Any:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer)
                if end < len(self._buffer):  # a number may continue in the next block
                    self._drop(end)
                    return value
            except ValueError:
                if len(self._buffer) > MAX_ITEM_BYTES:
                    raise
            if not self._read(max(BLOCK, len(self._buffer))):
                value, end = self._decoder.raw_decode(self._buffer)
                self._drop(end)
                return value

    def _expect(self, character: str) -> None:
        found = self._peek()
        if found != character:
            raise ValueError(f"expected {character}, got {found or 'the end of the file'}")
        self._drop(1)

    def _peek(self) -> str:
        """Return the next character that is not white space; empty at the end."""
        while True:
            rest = self._buffer.lstrip()
            self._drop(len(self._buffer) - len(rest))
            if rest or not self._read(BLOCK):
                return rest[:1]

    def _read(self, size: int) -> bool:
        more = self._text.read(size)
        self._buffer += more
        return bool(more)

    def _drop(self, count: int) -> None:
        self.line += self._buffer.count("\n", 0, count)
        self._buffer = self._buffer[count:]


def notification(value: Any, mapped: Mapped, tenant: str | None = None) -> dict[str, Any]:
    """Return the notification of a row, with an idempotency key derived from its content if it has none. Raises
    InvalidRow."""
    if not isinstance(value, dict):
        raise InvalidRow("expected an object")
    fields = {mapped.names.get(name, name): one for name, one in value.items() if one is not None}
    if unknown := sorted(set(fields) - FIELDS):
        if not mapped.drops_unknown:
            raise InvalidRow(f"unknown: {', '.join(unknown)}; rename with --map, or pass --drop-unknown")
        fields = {name: one for name, one in fields.items() if name in FIELDS}
    item = {name: _field(name, one, mapped) for name, one in fields.items()}
    if item.pop("read", False) and "read_at" not in item:
        if "created_at" not in item:
            raise InvalidRow("read: needs created_at or read_at")
        item["read_at"] = item["created_at"]
    if tenant is not None:
        item.setdefault("tenant", tenant)
    item.setdefault("idempotency_key", _key(item))
    return item


def _field(name: str, value: Any, mapped: Mapped) -> Any:
    if name == "read":
        text = str(value).strip().lower()
        if text not in TRUE | FALSE:
            raise InvalidRow(f"read: expected true or false, got {value!r}")
        return text in TRUE
    if not isinstance(value, str):
        return str(value) if name in ("to", "idempotency_key") and isinstance(value, int) else value
    if name in TIMES:
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise InvalidRow(f"{name}: expected a time such as 2025-03-01T09:30:00Z, got {value!r}") from None
        if moment.tzinfo is None:
            if mapped.zone is None:
                raise InvalidRow(f"{name}: {value!r} has no UTC offset; pass --timezone")
            moment = moment.replace(tzinfo=mapped.zone)
        return moment.isoformat()
    if name in ("data", "actions") or (name in ("to", "actor", "tags") and value[:1] in "[{"):
        try:
            return _decoded(value)
        except ValueError as error:
            raise InvalidRow(f"{name}: expected JSON: {error}") from None
    if name == "tags":
        return [tag.strip() for tag in value.split(",") if tag.strip()]
    return value


def _key(item: dict[str, Any]) -> str:
    try:
        text = json.dumps(item, sort_keys=True, separators=(",", ":"))
    except RecursionError:  # a deeper level takes more stack to encode than to decode
        raise InvalidRow("is nested too deeply") from None
    return f"import-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:40]}"
