"""Settings as command options, with names, defaults and help from the table of settings.

The table is imported when a command's options are first needed: `bellcast --help` works without it."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from bellcast.cli import output

if TYPE_CHECKING:  # imported late, see the module's docstring
    from bellcast.client import Bellcast as Bellcast  # also for the commands
    from bellcast.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

FLAGS = "bellcast.flags"
HELP_ALL = "help_all"
# The options that `--help` of a server shows: those of the first week.
FIRST_WEEK = frozenset(
    ["host", "port", "data", "store", "origins", "email", "public_url", "access_log", "log_level", HELP_ALL, "help"]
)
PANELS = {
    "server": "Server",
    "store": "Storage",
    "project": "Credentials",
    "client": "Server connection",
    "access": "Access",
    "oidc": "Identity provider of operators",
    "channels": "E-mail and text messages",
    "limits": "Limits",
}
# What rich would read as a tag in a help text.
RICH_TAG = re.compile(r"\[[a-z#/@][^[]*?]")
DIALECT_GROUPS = "dialects"  # the groups of all dialects
# Groups whose options are accepted but not listed in the help: `bellcast config` and the reference list them.
HIDDEN_GROUPS = {"limits", "oidc", DIALECT_GROUPS}
METAVARS = {
    "non_negative_int": "NUMBER",
    "positive_int": "NUMBER",
    "boolean": "ON|OFF",
    "landing": "ON|OFF|URL",
    "allow_deny": "ALLOW|DENY",
    "names": "LIST",
    "origin_list": "LIST",
    "networks": "LIST",
    "import_path": "MODULE:NAME",
    "module": "MODULE[:NAME]",
    "positive_duration": "DURATION",
    "log_format": "FORMAT",
    "log_level": "LEVEL",
}


def option(metavar: str, help: str, *names: str, **attributes: Any) -> Any:
    """Return an option with a value. Its name is that of the parameter, unless `names` are given."""
    return typer.Option(*names, metavar=metavar, help=help, **attributes)


def argument(metavar: str, help: str, **attributes: Any) -> Any:
    """Return an argument."""
    return typer.Argument(metavar=metavar, help=help, **attributes)


TenantsOption = Annotated[
    list[str] | None, option("TENANT", "A tenant that it is restricted to. Repeatable.", "--tenant")
]


class CompactHelp:
    """Help without types for flags and arguments."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]  # defined by the class this is mixed into
        for param in params:
            if param.param_type_name == "argument":
                param.display_type_rich = lambda _: ""
            elif param.is_flag:
                param.metavar = ""
        return params


class CliGroup(CompactHelp, TyperGroup):
    """A group of commands."""


class CliCommand(CompactHelp, TyperCommand):
    """A command that may also take settings as options, which `flags` returns."""

    names: ClassVar[tuple[str, ...]] = ()
    groups: ClassVar[tuple[str, ...]] = ()

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage, such as `[OPTIONS] RECIPIENT`. The arguments' metavars are unchanged."""
        arguments = [param.metavar for param in self.get_params(ctx) if param.param_type_name == "argument"]
        return [self.options_metavar or "", *arguments]

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's parameters, the settings, and --help last. A server's own options are the rarer ones."""
        *own, help = super().get_params(ctx)
        return [*self._options(), *own, _help_all(), help] if self.groups else [*own, *self._options(), help]

    def invoke(self, ctx: Any) -> Any:
        """Move the settings to `ctx.meta`, since the command's function takes its own options only."""
        ctx.meta[FLAGS] = {option.name: ctx.params.pop(option.name) for option in self._options()}
        ctx.params.pop(HELP_ALL, None)
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the options of the first week of a server, or all if `--help-all` asks for them."""
        options = [param for param in self.get_params(ctx) if self.groups and param.name not in FIRST_WEEK]
        hidden = [option.hidden for option in options]
        for option in options:
            # An option without a text is the supervisor's, never a person's.
            option.hidden = HELP_ALL not in ctx.meta or not option.help
        super().format_help(ctx, formatter)
        for option, was_hidden in zip(options, hidden, strict=True):
            option.hidden = was_hidden

    def _options(self) -> Sequence[Any]:
        return setting_options(self.names, self.groups) if self.names or self.groups else ()


def with_settings(*names: str, groups: tuple[str, ...] = ()) -> type[CliCommand]:
    """Return a command class that takes these settings and the settings of these groups."""
    return type("SettingsCommand", (CliCommand,), {"names": names, "groups": groups})


# A command that sends requests to a server.
RequestCommand = with_settings("DATA", "URL")


def group(
    app: typer.Typer, name: str, help: str, epilog: str | None = None, panel: str = "Send and follow"
) -> typer.Typer:
    """Add a group of commands to an app. Without a command, it prints its help."""

    def print_help(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            ctx.get_help()  # rich prints it

    commands = typer.Typer(cls=CliGroup, callback=print_help, invoke_without_command=True)
    app.add_typer(commands, name=name, help=help, epilog=epilog, rich_help_panel=panel)
    return commands


def flags(ctx: typer.Context) -> dict[str, Any]:
    """Return the settings passed as options by key; None for an absent one."""
    values: dict[str, Any] = ctx.meta[FLAGS]
    return values


def settings(ctx: typer.Context) -> "Settings":
    """Load the settings in effect."""
    from bellcast.settings import load

    return load(flags(ctx))


class LateClient:
    """The client of the running server. It is created when it is first used, so wrong arguments are reported before it."""

    def __init__(self, create: Callable[[], "Bellcast"]) -> None:
        self._client = cache(create)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client(), name)


def command(
    commands: typer.Typer, name: str | None = None, *, cls: type[CliCommand] = RequestCommand, **attributes: Any
) -> Callable[[F], F]:
    """Register a function as a command. If its first parameter is `client`, this is a client of the running server, and refusals
    name the argument `file`; otherwise it is the context. A generator first yields its result, which `--json` prints, and then
    prints what it did."""

    def register(function: F) -> F:
        first, *rest = inspect.signature(function).parameters.values()
        is_generator = inspect.isgeneratorfunction(function)

        def run(ctx: typer.Context, **values: Any) -> None:
            is_json, file = is_generator and values.pop("json"), values.get("file")
            with ExitStack() as stack:
                client = LateClient(lambda: stack.enter_context(server(ctx, file)))
                for result in function(client if first.name == "client" else ctx, **values) or ():
                    if is_json:
                        output.json(result)
                        break

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        if is_generator:
            kind = inspect.Parameter.KEYWORD_ONLY
            rest.append(inspect.Parameter("json", kind, default=False, annotation=output.JsonFlag))
        context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        # From these, typer derives the arguments and options.
        run.__signature__ = inspect.Signature([context, *rest])  # type: ignore[attr-defined]  # read by inspect.signature
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (context, *rest)}
        commands.command(name, cls=cls, **attributes)(run)
        return function

    return register


@contextmanager
def server(ctx: typer.Context, file: Path | None = None) -> Iterator["Bellcast"]:
    """Yield a client of the running server (`remote.server`)."""
    from bellcast.cli import remote

    with remote.server(settings(ctx), file) as client:
        yield client


def panels(*groups: str) -> dict[str, str]:
    """Return the titles of groups by their names; `DIALECT_GROUPS` stands for several."""
    from bellcast.live.dialects import DIALECTS

    titles = {one.name: one.title for one in DIALECTS if one.config}
    names = [name for group in groups for name in (titles if group == DIALECT_GROUPS else (group,))]
    return {name: titles.get(name) or PANELS[name] for name in names}


@cache
def setting_options(names: tuple[str, ...], groups: tuple[str, ...]) -> Sequence[Any]:
    """Return the options of these settings and groups."""
    from bellcast.settings import Settings, as_displayed, table

    defaults = as_displayed(Settings())
    few = [(setting, "Settings") for setting in table.TABLE if setting.name in names]
    many = [(setting, panel) for group, panel in panels(*groups).items() for setting in table.GROUPS[group]]
    hidden = panels(*HIDDEN_GROUPS).values()
    found = []
    for setting, panel in few + many:
        if setting.is_secret:
            continue
        default, parser = defaults[setting.variable], setting.parse.__name__
        is_flag = parser == "boolean" and default == "off"
        shown = f" [dim]\\[default: {_escaped(default)}][/]" if default and not is_flag else ""
        one = TyperOption(
            param_decls=[setting.key, setting.flag],
            help=f"{_escaped(setting.description)} [dim yellow]\\[{setting.variable}][/]{shown}",
            metavar="" if is_flag else METAVARS.get(parser, parser.upper()),
            type=bool if is_flag else str,
            is_flag=is_flag,
            rich_help_panel=panel,
            hidden=panel in hidden,
        )
        found.append(one)
    return found


@cache
def _help_all() -> TyperOption:
    """Return the option `--help-all`."""

    def show(ctx: Any, _: Any, wanted: bool) -> None:
        if wanted:
            ctx.meta[HELP_ALL] = True
            ctx.get_help()  # rich prints it
            ctx.exit()

    return TyperOption(
        param_decls=[HELP_ALL, "--help-all"],
        help="Show all options and exit.",
        type=bool,
        is_flag=True,
        is_eager=True,
        callback=show,
        metavar="",
        default=False,
    )


def _escaped(text: str) -> str:
    """Return a text without tags, like `rich.markup.escape`, whose import would be a twentieth of the start of a server."""
    return RICH_TAG.sub(r"\\\g<0>", text)
