"""`bellcast feed` and `bellcast requests`: watch the events and requests of a running server."""

import contextlib
from typing import Annotated, Any

import typer

from bellcast.cli import console, options

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

app = typer.Typer()
OnlyTenant = Annotated[str | None, typer.Option(metavar="TENANT", help="Only this tenant.")]


@app.command(cls=options.RequestCommand, rich_help_panel="Server", epilog=FEED_EPILOG)
def feed(
    ctx: typer.Context,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Only this kind, such as refused or publish. Repeatable.")
    ] = None,
    tenant: OnlyTenant = None,
    recipient: Annotated[str | None, typer.Option(metavar="KEY", help="Only this recipient.")] = None,
    topic: Annotated[str | None, typer.Option(metavar="TOPIC", help="Only this topic.")] = None,
    connection: Annotated[str | None, typer.Option(metavar="ID", help="Only this connection.")] = None,
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="Only events that contain this text.")] = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, max=200, metavar="NUMBER", help="Start with recent events.")
    ] = 20,
    json: console.JsonFlag = False,
) -> None:
    """Watch requests, sends, events and connections of the server live."""
    import httpx
    import msgspec

    from bellcast.cli.sse_follower import TIMEOUT, error_of, frames

    single = {"tenant": tenant, "recipient": recipient, "topic": topic, "connection": connection, "text": text}
    params: dict[str, Any] = {name: value for name, value in single.items() if value is not None}
    params |= {"kind": kind or [], "last": last}
    with options.server(ctx) as client, contextlib.suppress(KeyboardInterrupt):
        credentials = client.sender.peer.credentials
        headers = {} if credentials is None else {"Authorization": f"Bearer {credentials.secret}"}
        try:
            with client.sender.http.stream(
                "GET", "/v1/feed", params=params, headers=headers, timeout=TIMEOUT
            ) as response:
                if response.status_code != 200:
                    raise error_of(response)
                for frame in frames(response.iter_raw()):
                    if json:
                        print(msgspec.json.encode({"event": frame.name, **frame.fields}).decode(), flush=True)
                    else:
                        _show(frame.name, frame.fields)
        except httpx.TransportError as error:
            raise console.CommandError(
                f"the connection was lost: {error}", "run the command again when the server is back"
            ) from error


def _show(name: str, fields: dict[str, Any]) -> None:
    if name == "skipped":
        console.note(f"{fields['count']} events were omitted: there were too many.")
        return
    if name == "end":
        raise console.CommandError(f"the server ended the feed: {fields['detail']}", "run the command again")
    who = " ".join(filter(None, (fields["tenant"], fields.get("recipient"), fields.get("topic"))))
    parts = (fields["at"][11:19], f"{name:<10}", fields["text"], f"({who})" if who else "")
    print(console.plain("  ".join(filter(None, parts))), flush=True)


@app.command(cls=options.RequestCommand, rich_help_panel="Server", epilog=REQUESTS_EPILOG)
def requests(
    ctx: typer.Context,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only this status, or a class such as 4xx.")
    ] = None,
    route: Annotated[
        str | None, typer.Option(metavar="ROUTE", help="Only this route, such as /v1/notifications.")
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Only requests with this API key.")] = None,
    id: Annotated[str | None, typer.Option(metavar="ID", help="Only the request with this X-Request-Id.")] = None,
    tenant: OnlyTenant = None,
    limit: console.LimitOption = 50,
    json: console.JsonFlag = False,
) -> None:
    """List recent requests of the server, with the reasons of refusals."""
    import msgspec

    from bellcast.client.request import HttpRequest, reads

    wanted = {"status": status, "route": route, "key": key, "id": id, "tenant": tenant, "limit": limit}
    params = {name: value for name, value in wanted.items() if value is not None}
    with options.server(ctx) as client:
        listed = client.sender.send(HttpRequest("GET", "/v1/requests", reads(dict[str, Any]), params=params))
    if json:
        for one in listed["requests"]:
            print(msgspec.json.encode(one).decode(), flush=True)
        return
    if not listed["requests"]:
        console.note("No recent request matches. Each node lists its own, from memory.")
    for one in listed["requests"]:
        errors = "; ".join(f"{error['field']} {error['message']}" for error in one["errors"])
        reason = errors or one["detail"] or one["code"] or ""
        line = f"{one['at'][11:19]}  {one['status']}  {one['ms']:>7} ms  {one['method']} {one['path']}  {reason}"
        print(console.plain(line.rstrip()), flush=True)
