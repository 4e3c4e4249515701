"""Subcommands of objects that the app defines by key: `list`, `show`, `put FILE` and `delete`."""

import dataclasses
import inspect
import json as json_text
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias
from urllib.parse import unquote

import typer

from bellcast.cli import options, output
from bellcast.cli.output import CommandError
from bellcast.kernel.errors import BadRequest

if TYPE_CHECKING:  # imported when a command runs, not for --help
    from bellcast.client.request import HttpRequest

OwnerOption = Annotated[str | None, options.option("TENANT", "The tenant. Default: the project's own.")]
FileArgument = Annotated[list[str], options.argument("[KEY] FILE", "JSON or YAML; - is standard input.")]
# Annotated with the help of each kind.
Key: TypeAlias = str
Owner: TypeAlias = str | None
DataOption = Annotated[str | None, options.option("JSON", "The variables.")]


class CommandGroup(NamedTuple):
    """The subcommands of a kind of object, whose methods of the client are those of its `plural`. `key` is the help of its key,
    `key_name` the name of its argument, and `owner` the help of the option for its tenant."""

    commands: typer.Typer
    plural: str
    key: str
    key_name: str = "KEY"
    owner: str = "The tenant. Default: the project's own."

    def add_list(self, line: Callable[[dict[str, Any]], str], help: str) -> None:
        """Add `list`, which prints a line for each object."""

        def list_(client: "options.Bellcast", tenant: Owner = None) -> Iterator[Any]:
            items = every_page(self._of(client).list, self.plural, tenant)
            yield items
            output.show(map(line, items))
            if not items:
                output.note("Nothing found.")

        self._add("list", help, list_)

    def add_search(
        self,
        line: Callable[[dict[str, Any]], str],
        help: str,
        filters: Mapping[str, Any],
        epilog: str | None = None,
    ) -> None:
        """Add `list`, which prints a line for each of the newest objects that the options `filters` select."""

        def list_(
            client: "options.Bellcast", limit: output.AppLimitOption = 50, tenant: OwnerOption = None, **of: str | None
        ) -> Iterator[Any]:
            import msgspec

            page = self._of(client).list(**of, limit=limit, tenant=tenant)
            items = msgspec.to_builtins(getattr(page, self.plural))
            yield items
            output.show(map(line, items))
            if not items:
                output.note("Nothing found. --tenant NAME lists those of another tenant.")

        client, *others, _ = inspect.signature(list_).parameters.values()
        added = [client.replace(name=name, annotation=one, default=None) for name, one in filters.items()]
        list_.__signature__ = inspect.Signature([client, *added, *others])  # type: ignore[attr-defined]  # of typer
        options.command(self.commands, "list", help=help, epilog=epilog)(list_)

    def add_show(self, help: str) -> None:
        """Add `show`, which prints an object as JSON."""

        def show(client: "options.Bellcast", key: Key, tenant: Owner = None) -> None:
            output.json(self._of(client).get(key, tenant=tenant))

        self._add("show", help, show)

    def add_put(self, help: str, of: str = "", detail: Callable[[dict[str, Any]], str] = lambda written: "") -> None:
        """Add `put`, which writes the object in a file. The report has `of` before its key, and `detail` after it."""

        def put(
            ctx: typer.Context, named: FileArgument, tenant: Owner = None, dry_run: output.DryRunOption = False
        ) -> Iterator[Any]:
            *keys, name = named
            if len(keys) > 1:
                problem = f"expected a key and one file, got {len(named)} arguments"
                raise CommandError(problem, "write the files one by one")
            file = Path(name)
            key, body = read_object(file)
            key = keys[0] if keys else key
            with options.server(ctx, file) as client:
                written = self._of(client).put(key, body, tenant=tenant, dry_run=dry_run)
            yield written
            output.done(f"{'Would write' if dry_run else 'Wrote'} {of}{key}", detail(written))

        self._add("put", help, put)

    def add_delete(self, help: str, done: str = "Deleted") -> None:
        """Add `delete`; `done` is the report."""

        def delete(client: "options.Bellcast", key: Key, tenant: Owner = None) -> None:
            self._of(client).delete(key, tenant=tenant)
            output.done(f"{done} {key}")

        self._add("delete", help, delete)

    def add_act(self, name: str, help: str, method: str, planned: str, done: str) -> None:
        """Add a command that calls a method of the client with an object; `planned` and `done` begin its reports."""

        def act(
            client: "options.Bellcast", key: Key, tenant: Owner = None, dry_run: output.DryRunOption = False
        ) -> Iterator[Any]:
            response = getattr(self._of(client), method)(key, tenant=tenant, dry_run=dry_run)
            yield response or {self.key_name.lower(): key}
            output.done(f"{planned if dry_run else done} {key}")

        self._add(name, help, act)

    def _of(self, client: "options.Bellcast") -> Any:
        return getattr(client, self.plural)

    def _add(self, name: str, help: str, command: Callable[..., Any]) -> None:
        """Add a command with the help of this kind's key and tenant."""
        described = {
            "key": Annotated[str, options.argument(self.key_name, self.key)],
            "tenant": Annotated[str | None, options.option("TENANT", self.owner)],
        }
        command.__annotations__ |= {name: one for name, one in described.items() if name in command.__annotations__}
        options.command(self.commands, name, help=help)(command)


def add_commands(commands: typer.Typer, plural: str, name: str) -> CommandGroup:
    """Add the subcommands of a kind of object that is written from a file, and return their group."""
    article = "an" if name[0] in "aeiou" else "a"
    group = CommandGroup(commands=commands, plural=plural, key=f"The key of the {name}.")
    group.add_list(lambda one: str(one["key"]), f"List the {plural}.")
    group.add_show(f"Show {article} {name} as JSON.")
    group.add_put(f"Write {article} {name}. Its key is KEY, else the file's.")
    group.add_delete(f"Delete {article} {name}.")
    return group


def every_page(list_: Callable[..., Any], plural: str, tenant: str | None) -> list[dict[str, Any]]:
    """Return all objects of a list."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = list_(after=after, tenant=tenant)
        found += page[plural]
        after = page["next"]
        if after is None:
            return found


def read_text(file: Path, hint: str = "FILE") -> str:
    """Return the text of a file, or of standard input for `-`. `hint` is the parameter that names it."""
    try:
        return typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise typer.BadParameter(f"{file} cannot be read: {reason}", param_hint=hint) from None


def read_object(file: Path) -> tuple[str, dict[str, Any]]:
    """Return the key and the body of an object in a file as JSON or YAML. A file that `bellcast pull` wrote has an encoded key as
    its name."""
    from bellcast.kernel.yaml_text import YamlText

    text = read_text(file)
    try:
        value = json_text.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            value = YamlText(text.encode()).value
        except BadRequest as refusal:
            is_json = file.suffix not in (".yaml", ".yml") and text.lstrip().startswith(("{", "["))
            reason = f" is not JSON: {error}" if is_json else f": {refusal.detail}"
            raise CommandError(f"{file}{reason}", "correct the file") from None
    if not isinstance(value, dict):
        raise CommandError(f"{file} has no object", "write fields with values, as JSON or YAML")
    key = value.pop("key", None) or unquote(file.stem)
    return str(key), value


def request(
    client: "options.Bellcast",
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    kind: Any = dict[str, Any],
    **params: Any,
) -> Any:
    """Send a request with the parameters that are not None. Return its response, of this kind."""
    from bellcast.client.request import call

    return client.sender.send(call(method, path, kind, body, **params))


def every(client: "options.Bellcast", path: str, rows: str) -> list[dict[str, Any]]:
    """Return the items of all pages of the list at a path."""
    return every_page(partial(request, client, "GET", path), rows, None)


def show_plan(client: "options.Bellcast", send: "HttpRequest[Any]") -> Iterator[Any]:
    """Send the request as a dry run, yield what it would decide for each channel, and print that."""
    from bellcast.client.request import reads

    planned = dataclasses.replace(send, params={**send.params, "dry_run": "true"}, decode=reads(dict[str, Any]))
    plan = client.sender.send(planned)
    yield plan
    for one in plan["plan"]:
        at = f" at {one['at']}" if one["at"] else ""
        rule = f", {one['rule']}" if one["rule"] else ""
        output.show([f"{one['recipient']}  {one['channel']}  {one['outcome']}{at}{rule}"])
    count = plan["recipients"]
    output.done(f"Would send to {'an audience' if count is None else output.counted(count, 'recipient')}")
