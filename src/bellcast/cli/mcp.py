"""`bellcast mcp`: connects an agent that starts programs to a running server, over standard input and output."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any

import typer

from bellcast.cli import options, output
from bellcast.cli.output import CommandError

if TYPE_CHECKING:
    import httpx

# Requests at once: as many as the server accepts of a key.
CONCURRENT = 4
# The server ends a call after 10 s.
TIMEOUT = 30.0
# JSON-RPC's codes of a message that is no JSON, and of an error of the server.
PARSE_ERROR, SERVER_ERROR = -32_700, -32_000
# Names in `_meta` and `params` that become headers: since 2026-07-28 the protocol requires both.
VERSION = "io.modelcontextprotocol/protocolVersion"
NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
EPILOG = """\
[dim]Example: in the configuration of an agent[/]

  {"mcpServers": {"bellcast": {
    "command": "bellcast", "args": ["mcp"],
    "env": {"BELLCAST_URL": "https://bell.example.com",
            "BELLCAST_SECRET": "bc_…"}}}}

[dim]The server needs[/] BELLCAST_MCP=on[dim], and the key the scope agent:[/] bellcast key create helper --agent[dim].[/]
"""

app = typer.Typer()


@app.command(cls=options.RequestCommand, rich_help_panel="Send and follow", epilog=EPILOG)
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

    def answer(line: str) -> None:
        reply = _exchange(http, line)
        if reply is not None:
            with written:
                sys.stdout.write(reply + "\n")
                sys.stdout.flush()

    url = settings.url(loaded)
    output.note(f"Connecting agents to {url}")
    with (
        httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT) as http,
        ThreadPoolExecutor(CONCURRENT) as pool,
    ):
        for line in sys.stdin:
            if line.strip():
                pool.submit(answer, line)


def _exchange(http: "httpx.Client", line: str) -> str | None:
    """Send a message to the server; return its reply as one line, None for a notification."""
    import httpx

    try:
        message: Any = json.loads(line)
    except (ValueError, RecursionError):
        return _error(None, PARSE_ERROR, "this line is not JSON, or it is nested too deeply")
    id = message.get("id") if isinstance(message, dict) else None
    try:
        response = http.post(
            "/mcp", content=line.encode(), headers={"content-type": "application/json", **_routing(message)}
        )
    except httpx.HTTPError as failure:
        return None if id is None else _error(id, SERVER_ERROR, f"no answer from {http.base_url}: {failure}")
    if id is None or not response.content:
        return None
    try:
        reply = response.json()
    except ValueError:
        reply = {}
    if isinstance(reply, dict) and reply.get("jsonrpc"):
        return json.dumps(reply)
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
    return json.dumps({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})
