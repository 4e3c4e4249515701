"""Settings as options of a command: their names, defaults and sentences come from the table of settings.

The table is looked at when a command's options are first asked for: `bellcast --help` lists the commands without it."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:  # the reason is in the module's docstring
    from bellcast.settings import Settings
    from bellcast.settings.table import Setting

FLAGS = "bellcast.flags"
PANELS = {
    "server": "Server",
    "store": "Storage",
    "project": "Credentials",
    "client": "Server connection",
    "access": "Access",
    "native": "Native dialect",
    "pusher": "Pusher Channels",
    "socketio": "Socket.IO",
    "limits": "Limits",
}
# Too many for a first look. `bellcast config` and the reference have them, and they are taken all the same.
HIDDEN = {"limits", "pusher", "socketio"}
METAVARS = {
    "non_negative_int": "NUMBER",
    "positive_int": "NUMBER",
    "boolean": "ON|OFF",
    "allow_deny": "ALLOW|DENY",
    "names": "LIST",
    "origin_list": "LIST",
    "networks": "LIST",
    "import_path": "MODULE:NAME",
    "positive_duration": "DURATION",
    "log_format": "FORMAT",
    "log_level": "LEVEL",
}


class Tidy:
    """Help without types where they say nothing: beside switches and arguments."""

    def get_params(self, ctx: Any) -> list[Any]:
        """As typer has them."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]  # of the command this is mixed into
        for param in params:
            if param.param_type_name == "argument":
                param.display_type_rich = _no_type
            elif param.is_flag:
                param.metavar = ""
        return params


def _no_type(ctx: Any) -> str:
    return ""


class Command(Tidy, TyperCommand):
    """A command. Its usage shows each argument as its metavar is written."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] RECIPIENT`."""
        arguments = [param.metavar for param in self.get_params(ctx) if param.param_type_name == "argument"]
        return [self.options_metavar or "", *arguments]


class Group(Tidy, TyperGroup):
    """A command of commands."""


class SettingsCommand(Command):
    """A command that takes settings as options beside its own; what was given is found by `flags`."""

    names: ClassVar[tuple[str, ...]] = ()
    groups: ClassVar[tuple[str, ...]] = ()
    _given: list[Any] | None = None

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's own, the settings, and --help."""
        own = super().get_params(ctx)
        return [*own[:-1], *self._options(), own[-1]]

    def invoke(self, ctx: Any) -> Any:
        """Hand the settings over aside: the command's function lists its own options only."""
        ctx.meta[FLAGS] = {option.name: ctx.params.pop(option.name) for option in self._options()}
        return super().invoke(ctx)

    def _options(self) -> list[Any]:
        if self._given is None:
            self._given = _built(self.names, self.groups)
        return self._given


def with_settings(*names: str, groups: tuple[str, ...] = ()) -> type[SettingsCommand]:
    """The class of a command that takes these settings, and all of these groups."""
    return type("SettingsCommand", (SettingsCommand,), {"names": names, "groups": groups})


def flags(ctx: typer.Context) -> dict[str, Any]:
    """The settings given as options, by their key; None for one not given."""
    given: dict[str, Any] = ctx.meta[FLAGS]
    return given


def settings(ctx: typer.Context) -> "Settings":
    """The settings in effect."""
    from bellcast.settings import load

    return load(flags(ctx))


def _built(names: tuple[str, ...], groups: tuple[str, ...]) -> list[Any]:
    """typer's own options, made as typer makes them: of a function's parameters."""
    from bellcast.settings import Settings, as_displayed, table

    defaults = as_displayed(Settings())
    few = [(setting, "Settings") for setting in table.TABLE if setting.name in names]
    many = [(setting, PANELS[group]) for group in groups for setting in table.GROUPS[group]]
    chosen = [
        _parameter(setting, defaults[setting.variable], panel) for setting, panel in few + many if not setting.is_secret
    ]
    return _options_of(chosen)


def _parameter(setting: "Setting", default: str, panel: str) -> inspect.Parameter:
    is_flag = setting.parse.__name__ == "boolean" and default == "off"
    option = typer.Option(
        setting.flag,
        help=_help(setting, "" if is_flag else default),
        metavar="" if is_flag else METAVARS.get(setting.parse.__name__, setting.parse.__name__.upper()),
        rich_help_panel=panel,
        hidden=panel in {PANELS[group] for group in HIDDEN},
        show_default=False,
    )
    kind = bool if is_flag else str
    return inspect.Parameter(
        setting.key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _help(setting: "Setting", default: str) -> str:
    shown = f" [dim]\\[default: {escape(default)}][/]" if default else ""
    return f"{escape(setting.description)} [dim yellow]\\[{setting.variable}][/]{shown}"


def _options_of(parameters: list[inspect.Parameter]) -> list[Any]:
    """Return the options that typer derives for a function with these parameters."""

    def asked(**given: Any) -> None: ...

    taken: Callable[..., None] = asked
    taken.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
    taken.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    single = typer.Typer(add_completion=False)
    single.command()(taken)
    return list(typer.main.get_command(single).params)
