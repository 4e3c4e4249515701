"""`bellcast api`, `requests`, `feed`, `tail` and `mcp`: requests to the REST API, what the server has recently done, an inbox live, and
agents that start programs."""

import contextlib
import json as json_text
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs

import typer
from rich.markup import escape
from rich.text import Text

from bellcast.cli import objects, options, output
from bellcast.cli.output import CommandError

if TYPE_CHECKING:  # imported when the command runs, not for --help
    import httpx

    from bellcast.cli.remote import SseFollower, SseFrame

API_EPILOG = """\
[dim]Examples[/]

  bellcast api GET "/v1/connections?tenant=*&state=closed"
  bellcast api DELETE /v1/recipients/alice/sessions
  bellcast api PUT /v1/tenants/acme --body '{"name": "Acme"}'
  bellcast api POST /v1/events --body @event.json
  bellcast api GET /v1/messages --accept text/csv > messages.csv

[dim]The paths are in the REST reference, and at[/] /docs [dim]of the server.[/]
"""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
JSON = "application/json"
# An export has up to 100,000 rows.
TIMEOUT_SECONDS = 60.0

app = typer.Typer()
OnlyTenant = Annotated[str | None, options.option("TENANT", "Only this tenant.")]


@app.command(cls=options.RequestCommand, rich_help_panel="Server", epilog=API_EPILOG)
def api(
    ctx: typer.Context,
    method: Annotated[str, options.argument("METHOD", "GET, POST, PUT, PATCH or DELETE.")],
    path: Annotated[str, options.argument("PATH", "A path of the server, with its query.")],
    body: Annotated[str | None, options.option("JSON", "The body: JSON, or @FILE. @- reads standard input.")] = None,
    accept: Annotated[str, options.option("TYPE", "The format of the response.")] = JSON,
) -> None:
    """Send a request to the REST API, for operations without a separate command."""
    import msgspec

    from bellcast.client.request import HttpRequest

    if method.upper() not in METHODS:
        raise typer.BadParameter(f"expected {', '.join(METHODS)}, got {method}", param_hint="METHOD")
    if not path.startswith("/") or path.startswith("//"):
        raise typer.BadParameter(f"expected a path such as /v1/connections, got {path}", param_hint="PATH")
    route, _, query = path.partition("?")
    params: dict[str, Any] = parse_qs(query, keep_blank_values=True)
    headers = {"Accept": accept} | ({} if body is None else {"Content-Type": JSON})
    content = None
    if body is not None:
        text = objects.read_text(Path(body[1:]), "--body") if body.startswith("@") else body
        output.parsed_json(text, "--body")
        content = text.encode()
    with options.server(ctx) as client:
        # The response itself is the result.
        request = HttpRequest(method.upper(), route, lambda one: one, params, headers, content, timeout=TIMEOUT_SECONDS)
        response = client.sender.send(request)
        if not response.content:
            output.note(f"The response is {response.status}, without a body.")
        elif response.headers.get("content-type", "").partition(";")[0] == JSON:
            print(msgspec.json.format(response.content, indent=2).decode())
        elif sys.stdout.isatty():
            for line in response.content.decode(errors="replace").splitlines():
                print(output.plain(line))
        else:
            sys.stdout.buffer.write(response.content)


FEED_EPILOG = """\
[dim]Examples[/]

  bellcast feed
  bellcast feed --kind refused --last 50
  bellcast feed --recipient alice --json | jq .detail

[dim]With --json, each line is one event. Secrets are redacted. Ctrl-C stops it.[/]
"""
REQUESTS_EPILOG = """\
[dim]Examples[/]

  bellcast requests --status 4xx
  bellcast requests --route "POST /v1/notifications" --json
"""


@app.command(cls=options.RequestCommand, rich_help_panel="Server", epilog=FEED_EPILOG)
def feed(
    ctx: typer.Context,
    kind: Annotated[
        list[str] | None, options.option("KIND", "Only this kind, such as refused or publish. Repeatable.")
    ] = None,
    tenant: OnlyTenant = None,
    recipient: Annotated[str | None, options.option("KEY", "Only this recipient.")] = None,
    topic: Annotated[str | None, options.option("TOPIC", "Only this topic.")] = None,
    connection: Annotated[str | None, options.option("ID", "Only this connection.")] = None,
    text: Annotated[str | None, options.option("TEXT", "Only events that contain this text.")] = None,
    last: Annotated[int, options.option("NUMBER", "Start with recent events.", "--last", "-n", min=0, max=200)] = 20,
    json: output.JsonFlag = False,
) -> None:
    """Watch requests, sends, events and connections of the server live."""
    import msgspec

    from bellcast.cli import remote
    from bellcast.client.request import drop_none

    params = drop_none(tenant=tenant, recipient=recipient, topic=topic, connection=connection, text=text, last=last)
    params["kind"] = kind or []
    with (
        contextlib.suppress(KeyboardInterrupt),
        options.server(ctx) as client,
        remote.stream(client, "GET", "/v1/feed", params) as response,
    ):
        for name, fields, _ in remote.frames(response.iter_raw()):
            if json:
                print(msgspec.json.encode({"event": name, **fields}).decode(), flush=True)
            elif name == "skipped":
                output.note(f"{output.counted(fields['count'], 'event')} omitted: there were too many.")
            elif name == "end":
                raise CommandError(f"the server ended the feed: {fields['detail']}", "run the command again")
            else:
                who = " ".join(filter(None, (fields["tenant"], fields.get("recipient"), fields.get("topic"))))
                parts = (fields["at"][11:19], f"{name:<10}", fields["text"], f"({who})" if who else "")
                output.show(["  ".join(filter(None, parts))])


@options.command(app, rich_help_panel="Server", epilog=REQUESTS_EPILOG)
def requests(
    client: "options.Bellcast",
    status: Annotated[str | None, options.option("STATUS", "Only this status, or a class such as 4xx.")] = None,
    route: Annotated[str | None, options.option("ROUTE", "Only this route, such as /v1/notifications.")] = None,
    key: Annotated[str | None, options.option("KEY", "Only requests with this API key.")] = None,
    id: Annotated[str | None, options.option("ID", "Only the request with this X-Request-Id.")] = None,
    tenant: OnlyTenant = None,
    limit: output.LimitOption = 50,
    json: output.JsonFlag = False,
) -> None:
    """List recent requests of the server, with the reasons of refusals."""
    import msgspec

    wanted: dict[str, Any] = {"status": status, "route": route, "key": key, "id": id, "tenant": tenant, "limit": limit}
    listed = objects.request(client, "GET", "/v1/requests", **wanted)
    if json:
        for one in listed["requests"]:
            print(msgspec.json.encode(one).decode(), flush=True)
        return
    if not listed["requests"]:
        output.note("No recent request matches. Each node lists its own, from memory.")
    for one in listed["requests"]:
        errors = "; ".join(f"{error['field']} {error['message']}" for error in one["errors"])
        reason = errors or one["detail"] or one["code"] or ""
        line = f"{one['at'][11:19]}  {one['status']}  {one['ms']:>7} ms  {one['method']} {one['path']}  {reason}"
        output.show([line.rstrip()])


TAIL_EPILOG = """\
[dim]Examples[/]

  bellcast tail alice
  bellcast tail alice --tenant acme --topic deploys
  bellcast tail alice --json | jq -r '.notification.title // empty'

[dim]With --json, each line is one frame as live clients receive it, without heartbeats; it starts with the newest \
notifications as[/] notification [dim]frames. Nothing is marked as seen or read. Ctrl-C stops it.[/]
"""


@app.command(cls=options.RequestCommand, rich_help_panel="Send and follow", epilog=TAIL_EPILOG)
def tail(
    ctx: typer.Context,
    recipient: Annotated[str, options.argument("RECIPIENT", "The recipient: your app's user id.")],
    tenant: Annotated[str | None, options.option("TENANT", "The recipient's tenant.")] = None,
    topic: Annotated[list[str] | None, options.option("TOPIC", "Also show a topic's live events. Repeatable.")] = None,
    last: Annotated[
        int,
        options.option("NUMBER", "Start with this many of the newest notifications.", "--last", "-n", min=0, max=100),
    ] = 5,
    json: output.JsonFlag = False,
) -> None:
    """Follow an inbox live in the terminal."""
    from bellcast.cli.remote import SseFollower

    view = TailOutput(recipient, json=json)
    with (
        options.server(ctx) as client,
        contextlib.suppress(KeyboardInterrupt),
        contextlib.nullcontext() if json else view.state,
    ):

        def token() -> str:
            return client.token(recipient, ttl="1h", tenant=tenant, topics=topic)

        follower = SseFollower(client, token, view.disconnected)
        for frame in chain(_newest(client, follower, last), follower.frames(topic or [])):
            view.show(frame)
            if frame.name == "reset":
                for newest in _newest(client, follower, last):
                    view.show(newest)


def _newest(client: "options.Bellcast", follower: "SseFollower", last: int) -> Iterator["SseFrame"]:
    """Yield the newest notifications as frames, oldest first, and set the stream's position after them."""
    from bellcast.cli.remote import SseFrame
    from bellcast.client.request import call

    request = call("GET", "/v1/inbox", dict[str, Any], limit=max(last, 1))
    page = client.sender.speaking_with(follower.token()).send(request)
    follower.position = page["position"]
    counters = {name: page[name] for name in ("unread", "unseen", "position")}
    for notification in reversed(page["notifications"][:last]):
        yield SseFrame("notification", {"notification": notification, **counters})


INDENT = " " * 16


# The mark of each priority, its style and that of the title.
LINE_STYLES = {
    "low": ("·", "dim", "dim"),
    "normal": ("●", "cyan", "bold"),
    "high": ("▲", "yellow", "bold yellow"),
    "urgent": ("■", "red", "bold white on red"),
}
READ = ("○", "dim", "dim")


class TailOutput:
    """Prints frames as text, with connection state and counters in a status line; with `json`, as one JSON object per line."""

    def __init__(self, recipient: str, *, json: bool) -> None:
        self._recipient = escape(output.plain(recipient))
        self._is_json = json
        self._titles: dict[str, str] = {}
        self.state = output.out().status("")

    def disconnected(self, reason: str) -> None:
        """Show that the connection was lost. The stream resumes without loss."""
        self.state.update(f"[yellow]{escape(output.plain(reason))}: reconnecting[/]")

    def show(self, frame: "SseFrame") -> None:
        """Print a line for the frame, and update the counters."""
        import msgspec  # not for --help

        if self._is_json:
            if frame.name != "heartbeat":
                print(msgspec.json.encode({"type": frame.name, **frame.fields}).decode(), flush=True)
            return
        fields, one = frame.fields, frame.fields.get("notification") or {}
        if one:
            self._titles[one["id"]] = one["title"]
        line: Text | None = None
        match frame.name:
            case "ready" if fields["refused"]:
                refused = [
                    f"not following {output.plain(of['topic'])}: {output.plain(of['message'])}"
                    for of in fields["refused"]
                ]
                line = Text("\n".join(refused), "yellow")
            case "notification":
                line = _notification(one)
            case "notification-update":
                state = next((state for state in ("archived", "read", "seen") if one[f"{state}_at"]), "unread")
                line = _note("✓", f"{one['title']}: {state}")
            case "notification-delete":
                line = _note("✗", f"{self._titles.pop(fields['id'], fields['id'])}: deleted")
            case "counts" if "changed" in fields:
                line = _note("✓", f"{'all' if fields['ids'] == 'all' else len(fields['ids'])} {fields['changed']}")
            case "reset":
                line = _note("↻", "too many changes were missed: the newest notifications again")
            case "event":
                topic, event = output.plain(fields.get("topic") or "you"), output.plain(fields["name"])
                data = output.plain(msgspec.json.encode(fields["data"]).decode())
                line = Text.assemble(" " * 14, ("⚡ ", "magenta"), (f"{topic} ", "dim"), event, f" {data}")
            case "presence":
                changes = [f"{of['recipient']} {change}" for change in ("joined", "left") for of in fields[change]]
                line = _note("◦", f"{fields['topic']}: {', '.join(changes)}")
        if line is not None:
            output.out().print(line)
        if "unread" in fields:
            self.state.update(f"[bold]{self._recipient}[/]  {fields['unread']} unread  [dim]live, Ctrl-C stops[/]")


def _notification(one: dict[str, Any]) -> Text:
    """Return a line with the title, and lines with the other fields below it."""
    mark, mark_style, title_style = READ if one["read_at"] else LINE_STYLES[one["priority"]]
    when = datetime.fromisoformat(one["created_at"]).astimezone().strftime("%d %b %H:%M")
    title = Text(output.plain(one["title"]), title_style)
    type = (f"  {output.plain(one['type'])}", "dim")
    lines = [Text.assemble((f"{when}  ", "dim"), (f"{mark} ", mark_style), title, type)]
    lines += [Text(INDENT + output.plain(line)) for line in (one["body"] or "").splitlines()]
    if one["action_url"]:
        lines.append(Text.assemble(INDENT, ("→ ", "dim"), (output.plain(one["action_url"]), "cyan underline")))
    actor = (one["actor"] or {}).get("name")
    labels = [f"by {output.plain(actor)}"] if actor else []
    labels += [f"#{output.plain(tag)}" for tag in one["tags"]]
    if labels:
        lines.append(Text(INDENT + "  ".join(labels), "dim"))
    return Text("\n").join(lines)


def _note(mark: str, text: str) -> Text:
    return Text(f"{' ' * 14}{mark} {output.plain(text)}", "dim")


# Requests of an agent at once: as many as the server accepts of a key.
CONCURRENT = 4
# The server ends a call after 10 s.
MCP_TIMEOUT_SECONDS = 30.0
# JSON-RPC's codes of a message that is no JSON, and of an error of the server.
PARSE_ERROR, SERVER_ERROR = -32_700, -32_000
# Names in `_meta` and `params` that become headers: since 2026-07-28 the protocol requires both.
VERSION = "io.modelcontextprotocol/protocolVersion"
NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
MCP_EPILOG = """\
[dim]Example: in the configuration of an agent[/]

  {"mcpServers": {"bellcast": {
    "command": "bellcast", "args": ["mcp"],
    "env": {"BELLCAST_URL": "https://bell.example.com",
            "BELLCAST_SECRET": "bc_…"}}}}

[dim]The server needs[/] BELLCAST_MCP=on[dim], and the key the scope agent:[/] bellcast key create helper --agent[dim].[/]
"""


@app.command(cls=options.RequestCommand, rich_help_panel="Send and follow", epilog=MCP_EPILOG)
def mcp(ctx: typer.Context) -> None:
    """Connect an agent to the server's tools (MCP over standard input and output)."""
    import httpx

    from bellcast import settings
    from bellcast.cli import remote

    loaded = options.settings(ctx)
    secret = remote.credentials(loaded).secret
    if not secret.startswith("bc_"):
        raise CommandError(
            "agents need an API key, not the project secret",
            "create one with `bellcast key create helper --agent`, and set BELLCAST_SECRET to it",
        )
    headers = {"authorization": f"Bearer {secret}", "accept": "application/json, text/event-stream"}
    written = Lock()

    def reply_to(line: str) -> None:
        reply = _exchange(http, line)
        if reply is not None:
            with written:
                sys.stdout.write(reply + "\n")
                sys.stdout.flush()

    url = settings.url(loaded)
    output.note(f"Connecting agents to {url}")
    with (
        httpx.Client(base_url=url, headers=headers, timeout=MCP_TIMEOUT_SECONDS) as http,
        ThreadPoolExecutor(CONCURRENT) as pool,
    ):
        for line in sys.stdin:
            if line.strip():
                pool.submit(reply_to, line)


def _exchange(http: "httpx.Client", line: str) -> str | None:
    """Send a message to the server; return its reply as one line, None for a notification."""
    import httpx

    try:
        message: Any = json_text.loads(line)
        content = line.encode()
    except (ValueError, RecursionError):  # in the locale C, bytes that are not UTF-8 are in the text
        return _error(None, PARSE_ERROR, "this line is not JSON in UTF-8, or it is nested too deeply")
    id = message.get("id") if isinstance(message, dict) else None
    try:
        response = http.post("/mcp", content=content, headers={"content-type": "application/json", **_routing(message)})
    except httpx.HTTPError as failure:
        return None if id is None else _error(id, SERVER_ERROR, f"no answer from {http.base_url}: {failure}")
    if id is None or not response.content:
        return None
    try:
        reply = response.json()
    except ValueError:
        reply = {}
    if isinstance(reply, dict) and reply.get("jsonrpc"):
        return json_text.dumps(reply)
    detail = reply.get("detail") if isinstance(reply, dict) else None
    return _error(id, SERVER_ERROR, str(detail or f"the server answered {response.status_code}"))


def _routing(message: Any) -> dict[str, str]:
    """Return the headers that repeat parts of a message."""
    if not isinstance(message, dict):
        return {}
    method, params = message.get("method"), message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    version = meta.get(VERSION) if isinstance(meta, dict) else None
    if not isinstance(version, str) or not isinstance(method, str) or not isinstance(params, dict):
        return {}
    named = params.get(NAMES.get(method, ""))
    found = {"mcp-protocol-version": version, "mcp-method": method, **({"mcp-name": str(named)} if named else {})}
    return {name: value for name, value in found.items() if value.isascii() and value.isprintable()}


def _error(id: Any, code: int, text: str) -> str:
    return json_text.dumps({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})
