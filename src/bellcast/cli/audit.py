"""`bellcast audit`: list operators' actions, and verify the integrity of the log."""

from typing import Annotated, Any

import typer

from bellcast.cli import console, options
from bellcast.cli.rest import request

audit, app = options.group("audit", "List and verify the audit log.", panel="Server")


@audit.command("list", cls=options.RequestCommand)
def list_(
    ctx: typer.Context,
    limit: console.LimitOption = 50,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Entries about this tenant only.")] = None,
    json: console.JsonFlag = False,
) -> None:
    """List the newest entries."""
    entries = request(ctx, "GET", "/v1/audit", limit=limit, tenant=tenant)["entries"]
    if json:
        console.json(entries)
        return
    for one in entries:
        print(f"{one['at']}\t{one['actor']}\t{one['action']}\t{one['target']}\t{one['outcome']}", flush=True)


@audit.command(cls=options.RequestCommand)
def verify(
    ctx: typer.Context,
    head: Annotated[
        str | None,
        typer.Option(metavar="NUMBER:MAC", help="An entry from an `audit_head` log line, which must be unchanged."),
    ] = None,
    json: console.JsonFlag = False,
) -> None:
    """Verify that no entry was changed, inserted or removed.

    Removal of the newest entries is only detected if --head names one of them."""
    from bellcast.cli.console import CommandError

    checked, last, found = 0, None, None
    number, mac = (None, None) if head is None else _parse(head)
    while True:
        part = _verify(ctx, 0 if last is None else last["number"])
        checked += part["checked"]
        if part["broken"] is not None:
            raise CommandError(
                f"the audit log was changed: entry {part['broken']['number']} of {part['broken']['at']} is not genuine, or "
                "the entries before it were removed",
                "restore an earlier backup, and compare",
            )
        last = part["last"] or last
        if number is not None and found is None and last is not None and last["number"] >= number:
            found = _verify(ctx, number - 1, 1)["last"]
        if part["is_complete"]:
            break
    if number is not None and (found is None or (found["number"], found["mac"]) != (number, mac)):
        raise CommandError(f"the audit log was changed: entry {number} is missing or different", "restore a backup")
    if json:
        console.json({"checked": checked, "last": last})
    else:
        console.done(f"All {checked} entries of the audit log are genuine.")


def _verify(ctx: typer.Context, after: int, limit: int = 5_000) -> Any:
    return request(ctx, "GET", "/v1/audit/verification", after=after, limit=limit)


def _parse(head: str) -> tuple[int, str]:
    number, _, mac = head.partition(":")
    if not number.isdecimal() or int(number) < 1 or not mac:
        raise typer.BadParameter("expected NUMBER:MAC, such as 41:9f86d0…", param_hint="--head")
    return int(number), mac
