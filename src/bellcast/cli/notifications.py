"""`bellcast notify` and `import`: send a notification, and import those of another system from a file."""

import csv
import hashlib
import json as json_text
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime, tzinfo
from io import TextIOWrapper
from pathlib import Path, PurePath
from typing import Annotated, Any, BinaryIO, Literal, NamedTuple, TextIO

import typer

from bellcast.cli import options, output
from bellcast.cli.output import CommandError

NOTIFY_EPILOG = """\
[dim]Examples[/]

  bellcast notify alice "New booking" --body "14:00" --action-url /bookings/7
  bellcast notify --to-topic admins "Disk almost full" --priority urgent
  df -h | bellcast notify ops "Disk report" --body -
  bellcast notify --all "Maintenance tonight" --expires 6h
  bellcast notify alice "Your table is ready soon" --send-at 2h
  bellcast notify alice "New booking" --channel email --dry-run

[dim]The secret is[/] BELLCAST_SECRET[dim], or the data folder's.[/]
"""
AUDIENCE = "Audience"
CONTENT = "Content"

app = typer.Typer()


def _text(help: str, metavar: str = "TEXT", panel: str = CONTENT) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=panel, show_default=False)


@options.command(app, rich_help_panel="Send and follow", epilog=NOTIFY_EPILOG)
def notify(
    client: "options.Bellcast",
    words: Annotated[
        list[str] | None,
        options.argument(
            "[RECIPIENT] TITLE",
            "Your app's user id, unless an option names the audience; and the title, unless a template has it.",
        ),
    ] = None,
    to_topic: Annotated[str | None, _text("All subscribers of a topic.", "TOPIC", AUDIENCE)] = None,
    to_role: Annotated[str | None, _text("All recipients with a role.", "ROLE", AUDIENCE)] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All recipients of the tenant.", rich_help_panel=AUDIENCE)
    ] = False,
    tenant: Annotated[str | None, _text("The tenant; with --all, * means every tenant.", "TENANT", AUDIENCE)] = None,
    body: Annotated[str | None, _text("Text below the title; - reads it from standard input.")] = None,
    type: Annotated[str | None, _text("The type, by which inboxes can be filtered.", "TYPE")] = None,
    priority: Annotated[str | None, _text("The priority.", "low|normal|high|urgent")] = None,
    action_url: Annotated[str | None, _text("URL to open on click.", "URL")] = None,
    action_text: Annotated[str | None, _text("Text of the link.")] = None,
    icon: Annotated[str | None, _text("An icon: a name of your app's, an emoji or a URL.", "ICON")] = None,
    actor: Annotated[str | None, _text("The actor: a name, or JSON with id, name, avatar.", "NAME")] = None,
    payload: Annotated[str | None, _text("The `data` for your page.", "JSON")] = None,
    channel: Annotated[
        list[str] | None, _text("A channel, such as inbox or email. Repeatable. Default: those of the type.", "CHANNEL")
    ] = None,
    template: Annotated[
        str | None, _text("A template, which can supply the title; --payload has its variables.", "KEY")
    ] = None,
    tag: Annotated[list[str] | None, _text("A tag. Repeatable.", "TAG")] = None,
    group: Annotated[str | None, _text("A label by which lists may group notifications.", "GROUP")] = None,
    expires: Annotated[
        str | None, _text("Expiry: 2h or 7d from now, or 2030-01-31T12:00:00Z.", "DURATION|TIME")
    ] = None,
    send_at: Annotated[
        str | None, _text("Send later: in 2h or 7d, or at 2030-01-31T12:00:00Z.", "DURATION|TIME")
    ] = None,
    timezone: Annotated[
        str | None, _text("Time zone of a --send-at without a UTC offset, or recipient for that of each.", "ZONE")
    ] = None,
    idempotency_key: Annotated[
        str | None, _text("Repeating the key within 24 hours sends nothing again.", "KEY")
    ] = None,
    dry_run: output.DryRunOption = False,
) -> Iterator[Any]:
    """Send a notification."""
    import msgspec

    from bellcast.cli import objects
    from bellcast.client import notifications

    has_audience, words = bool(to_topic or to_role or all_), words or []
    recipient = None if has_audience or not words else words[0]
    titles = words if has_audience else words[1:]
    if (recipient is None and not has_audience) or len(titles) > 1 or not (titles or template):
        expected = "only a title with --to-topic, --to-role and --all" if has_audience else "a recipient and a title"
        raise typer.BadParameter(f"expected {expected}; quote a title of several words", param_hint="TITLE")
    audiences = {"topic": to_topic, "role": to_role, "all": all_ or None}
    chosen = {name: value for name, value in audiences.items() if value is not None}
    if len(chosen) > 1:
        raise typer.BadParameter("expected only one of --to-topic, --to-role and --all")
    to: Any = recipient or chosen
    fields: Any = {
        "title": titles[0] if titles else None,
        "body": sys.stdin.read().rstrip("\n") if body == "-" else body,
        "type": type,
        "priority": priority,
        "action_url": action_url,
        "action_text": action_text,
        "icon": icon,
        "actor": output.parsed_json(actor, "--actor") if (actor or "").startswith("{") else actor,
        "data": output.parsed_json(payload, "--payload"),
        "channels": channel,
        "template": template,
        "tags": tag,
        "group": group,
        "tenant": tenant,
        "expires_at": expires,
        "send_at": send_at,
        "timezone": timezone,
    }
    request = notifications.notify(to, idempotency_key=idempotency_key, **fields)
    if dry_run:
        yield from objects.show_plan(client, request)
        return
    sent = client.sender.send(request)
    yield {name: part for name, part in msgspec.to_builtins(sent).items() if part}  # as in REST
    if sent.schedule:
        at = sent.schedule.next_at  # None if the time has passed for everyone
        output.done(f"To be sent at {at:%Y-%m-%d %H:%M:%S %Z}" if at else "Scheduled", f"schedule {sent.schedule.key}")
    elif sent.announcement:
        audience = "everyone" if "all" in to else f"everyone of {' '.join(map(str, *to.items()))}"
        output.done(f"Announced to {audience}", sent.id)
    else:
        output.done(f"Sent to {to}", sent.id)


# --- import

FileFormat = Literal["csv", "json", "ndjson"]

# Bytes per read of the rest of a line that is too long.
BLOCK = 65_536
SUFFIXES: dict[str, FileFormat] = {".csv": "csv", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson"}
TIMES = ("created_at", "seen_at", "read_at", "archived_at", "expires_at")
TEXTS = ("title", "body", "type", "priority", "action_url", "action_text", "icon", "group", "tenant", "body_format")
FIELDS = frozenset({*TIMES, *TEXTS, "to", "actor", "data", "tags", "actions", "idempotency_key", "read"})
TRUE, FALSE = frozenset({"true", "t", "1", "yes"}), frozenset({"false", "f", "0", "no", ""})


class InvalidRow(Exception):
    """A row that is not a valid notification. Other rows are imported."""


class FileRow(NamedTuple):
    """One row of a file: its first line, and its value or the reason why it has none."""

    line: int
    value: Any
    problem: str | None = None
    breaks_off: bool = False  # then the rest of the file cannot be read either


class Mapped(NamedTuple):
    """How rows are mapped to notifications: renamed fields, the time zone of times without an offset, and the tenant of rows
    without one."""

    names: Mapping[str, str] = {}
    zone: tzinfo | None = None
    drops_unknown: bool = False
    tenant: str | None = None


def rows(stream: BinaryIO, format: FileFormat) -> Iterator[FileRow]:
    """Yield the rows of a file."""
    if format == "ndjson":
        return _lines(stream)
    if format == "json":
        return _elements(stream)
    return _records(TextIOWrapper(stream, encoding="utf-8-sig", newline=""))  # spreadsheets write a byte order mark


def _lines(stream: BinaryIO) -> Iterator[FileRow]:
    from bellcast.kernel.limits import MAX_ITEM_BYTES

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
        return json_text.loads(text)
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
            yield FileRow(line, None, f"is not CSV: {error}", breaks_off=True)
            return
        if record is None:
            return
        if None in record or None in record.values():
            yield FileRow(line, None, f"expected {len(columns)} values, as in the first line")
        else:
            # The non-empty fields. JSON values are decoded later, depending on their names.
            yield FileRow(line, {name.strip(): value for name, value in record.items() if value != ""})


# What begins, separates and ends the elements of an array.
SEPARATOR = re.compile(r"\s*([\[,\]])\s*")


def _elements(stream: BinaryIO) -> Iterator[FileRow]:
    """Yield the elements of a JSON array, which is read as a whole, up to the first position that is not valid."""
    from bellcast.kernel.limits import MAX_ITEM_BYTES

    decoder, expected, line, end = json_text.JSONDecoder(), "[", 1, 0
    try:
        text = stream.read().decode("utf-8-sig")
        while (found := SEPARATOR.match(text, end)) is not None and found[1] in expected:
            start, expected = found.end(), ",]"
            line += text.count("\n", end, start)
            if found[1] == "]" or (found[1] == "[" and text.startswith("]", start)):
                return
            value, end = decoder.raw_decode(text, start)
            is_long = end - start > MAX_ITEM_BYTES
            yield FileRow(line, None, f"has more than {MAX_ITEM_BYTES} bytes") if is_long else FileRow(line, value)
            line += text.count("\n", start, end)
        problem = f"expected {' or '.join(expected)}, got {text[end : end + 1] or 'the end of the file'}"
    except (ValueError, RecursionError) as error:
        problem = str(error)
    yield FileRow(line, None, f"is not a JSON array: {problem}", breaks_off=True)


def notification(value: Any, mapped: Mapped) -> dict[str, Any]:
    """Return the notification of a row, with an idempotency key derived from its content if it has none. Raises
    InvalidRow."""
    if not isinstance(value, dict):
        raise InvalidRow("expected an object")
    fields: dict[str, Any] = {}
    columns: dict[str, str] = {}
    for column, one in value.items():
        if one is None:
            continue
        name = mapped.names.get(column, column)
        if (other := columns.setdefault(name, column)) != column:
            raise InvalidRow(f"{name}: both {other} and {column} have a value for it; remove one of these columns")
        fields[name] = one
    if unknown := sorted(set(fields) - FIELDS):
        if not mapped.drops_unknown:
            raise InvalidRow(f"unknown: {', '.join(unknown)}; rename with --map, or pass --drop-unknown")
        fields = {name: one for name, one in fields.items() if name in FIELDS}
    item = {name: _field(name, one, mapped) for name, one in fields.items()}
    if item.pop("read", False) and "read_at" not in item:
        if "created_at" not in item:
            raise InvalidRow("read: needs created_at or read_at")
        item["read_at"] = item["created_at"]
    if mapped.tenant is not None:
        item.setdefault("tenant", mapped.tenant)
    if "idempotency_key" not in item:
        try:
            text = json_text.dumps(item, sort_keys=True, separators=(",", ":"))
        except RecursionError:  # a deeper level takes more stack to encode than to decode
            raise InvalidRow("is nested too deeply") from None
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        item["idempotency_key"] = f"import-{digest[:40]}"
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


IMPORT_EPILOG = """\
[dim]Examples[/]

  bellcast import notifications.ndjson
  bellcast import notifications.csv --map user_id=to --timezone UTC
  zcat notifications.csv.gz | bellcast import - --format csv

[dim]Fields are those of a draft, plus[/] created_at seen_at read_at archived_at read[dim]. Recipients are not alerted. A file can be \
imported again: existing rows do not change. Invalid rows are listed with their lines, and the exit status is 1; all other rows are imported.[/]
"""
# Rows per request. Small requests show progress and let the server's writer handle sends in between.
BATCH_ROWS = 1_000
BATCH_BYTES = 8 * 1024 * 1024
# Maximum errors in the JSON summary; standard error has all of them.
MAX_LISTED_ERRORS = 1_000


@app.command("import", cls=options.RequestCommand, rich_help_panel="Send and follow", epilog=IMPORT_EPILOG)
def import_(
    ctx: typer.Context,
    file: Annotated[str, options.argument("FILE", "A CSV, JSON or NDJSON file; - reads standard input.")],
    format: Annotated[
        str | None, options.option("csv|json|ndjson", "The format, if the file has no such extension.")
    ] = None,
    map: Annotated[list[str] | None, options.option("OLD=NEW", "Rename a column or field. Repeatable.")] = None,
    drop_unknown: Annotated[bool, typer.Option("--drop-unknown", help="Ignore unknown columns and fields.")] = False,
    timezone: Annotated[str | None, options.option("ZONE", "The time zone of times without a UTC offset.")] = None,
    tenant: Annotated[str | None, options.option("TENANT", "The tenant of rows without one.")] = None,
    json: output.JsonFlag = False,
) -> None:
    """Import notifications of another system, with their times and read state."""
    from bellcast.kernel.times import find_zone

    chosen: Any = SUFFIXES.get(PurePath(file).suffix.lower()) if format is None else format
    if chosen is None:
        raise typer.BadParameter("the file name has no known extension; pass --format", param_hint="FILE")
    if chosen not in SUFFIXES.values():
        raise typer.BadParameter("expected csv, json or ndjson", param_hint="--format")
    zone = None if timezone is None else find_zone(timezone)
    if zone is None and timezone is not None:
        raise typer.BadParameter("expected a time zone such as Europe/Berlin", param_hint="--timezone")
    names = {}
    for pair in map or ():
        old, separator, new = pair.partition("=")
        if not separator or new not in FIELDS:
            raise typer.BadParameter(f"expected OLD=NEW with one of {', '.join(sorted(FIELDS))}", param_hint="--map")
        names[old] = new
    mapped = Mapped(names, zone, drop_unknown, tenant)
    with (
        options.server(ctx) as client,
        nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as stream,
        output.progress("Importing") as show,
    ):
        size = 0 if file == "-" else Path(file).stat().st_size
        batches = in_batches(rows(stream, chosen), mapped, file, lambda: show(stream.tell(), size) if size else None)
        done = import_rows(client, batches)
    imported, existing, refused = done["imported"], done["existing"], done["refused"]
    if json:
        output.json(done)
    else:
        of_one = "1 notification is in its inbox"
        known = f"; {existing} of them were imported before" if existing else ""
        output.done((of_one if imported == 1 else f"{imported} notifications are in their inboxes") + known)
    if refused:
        rows_were = "1 row was" if refused == 1 else f"{refused} rows were"
        raise CommandError(f"{rows_were} not imported", "correct the file and import it again")


def import_rows(client: "options.Bellcast", batches: Iterator[list[FileRow]]) -> dict[str, Any]:
    """Import rows, and print refusals with their lines. Return the numbers of imported rows, of those among them that changed
    nothing, and of refused ones, and their errors."""
    from bellcast.client import BulkInterrupted

    done: dict[str, Any] = {"imported": 0, "existing": 0, "refused": 0, "errors": []}

    def refuse(line: int, problem: str) -> None:
        done["refused"] += 1
        if len(done["errors"]) < MAX_LISTED_ERRORS:
            done["errors"].append({"line": line, "error": problem})
        output.note(f"line {line}: {problem}")

    for batch in batches:
        for row in batch:
            if row.problem is not None:
                refuse(row.line, row.problem)
        sent = [row for row in batch if row.problem is None]
        try:
            results = client.import_notifications([row.value for row in sent])
        except BulkInterrupted as error:
            imported = done["imported"] + sum(result.error is None for result in error.results)
            stopped = f"after {output.counted(imported, 'notification')}, before line {sent[len(error.results)].line}"
            hint = "run the same command again; existing rows do not change"
            raise CommandError(f"the import stopped {stopped}: {error.__cause__}", hint) from error
        done["imported"] += sum(result.error is None for result in results)
        done["existing"] += results.existing
        for row, result in zip(sent, results, strict=True):
            if (problem := result.error) is not None:
                # The names of the fields without the item's number.
                errors = [f"{one.field.partition('.')[2] or one.field}: {one.message}" for one in problem.errors]
                refuse(row.line, "; ".join(errors) or problem.detail or problem.code)
    return done


def in_batches(
    rows: Iterator[FileRow], mapped: Mapped, file: str, batch_sent: Callable[[], None]
) -> Iterator[list[FileRow]]:
    """Yield the rows with their notifications, as many as one request imports. Raises CommandError where the file breaks off."""
    batch: list[FileRow] = []
    size = 0
    for row in rows:
        if row.breaks_off:
            yield batch
            raise CommandError(f"{file}: line {row.line}: {row.problem}", "correct the file and import it again")
        if row.problem is None:
            try:
                row = row._replace(value=notification(row.value, mapped))
            except InvalidRow as error:
                row = FileRow(row.line, None, str(error))
        batch.append(row)
        size += len(str(row.value))
        if len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch_sent()
            batch, size = [], 0
    yield batch
