"""The page of limits matches the settings and constants and is complete."""

import importlib
import pkgutil
import re
from pathlib import Path

import bellcast
from bellcast.live import http, native, socketio
from bellcast.settings import table
from bellcast.settings.table import Settings

PAGE = Path(__file__).parents[3] / "docs" / "design" / "limits.md"
VALUE = re.compile(r"`(?P<name>\w[\w.]*)` = (?P<value>[\d.]+)")
STATED = [(match["name"], float(match["value"])) for match in VALUE.finditer(PAGE.read_text(encoding="utf-8"))]
NAMES = {name for name, _ in STATED}
IS_BOUND = re.compile(r"MAX_\w+|MIN_\w+|\w+_(LIMIT|TIMEOUT|RATE)")


def actual_value(name: str) -> float | str:
    """Return the default of a setting, or the value of a constant, or why there is none."""
    for setting in table.TABLE:
        if setting.variable == name:
            return float(Settings().value_at(setting.place))
    module, _, constant = name.rpartition(".")
    try:
        return float(getattr(importlib.import_module(f"bellcast.{module}"), constant))
    except (ImportError, AttributeError) as error:
        return str(error)


def test_documented_limits_match_the_code() -> None:
    assert STATED
    assert [(name, value, actual) for name, value in STATED if value != (actual := actual_value(name))] == []


def test_settings_that_bound_clients_are_documented() -> None:
    numbers = [
        setting.variable
        for group in ("limits", "pusher", "socketio")
        for setting in table.GROUPS[group]
        if type(Settings().value_at(setting.place)) in (int, float)
    ]
    numbers.append("BELLCAST_HEARTBEAT")
    assert len(numbers) > 30
    assert [name for name in numbers if name not in NAMES] == []


# The API and its framework, and the rooms whose work a caller causes.
BOUNDED = re.compile(r"bellcast\.(kernel\.http|rest|(\w+\.)+http|channels|explanations|templates|workflows)(\.|$)")

# Bounds of these modules that do not limit what a peer can hold.
OTHER_BOUNDS = {
    "channels.catalog.MAX_COMPARED",
    "explanations.MAX_MESSAGES",
    "channels.store.messages.MAX_OF_REFERENCE",
    "channels.types.MAX_OF_REFERENCE",
    "kernel.outbound.http.MAX_PORT",
    "kernel.http.request_body.MAX_LENGTH_DIGITS",
    "templates.http.MAX_LOCALE",
    "templates.types.MAX_LOCALE",
    "workflows.recent_data.MAX_COMPARED",
}


def test_bounds_of_the_api_and_the_engines_are_documented() -> None:
    bounds = {
        f"{module.name.partition('.')[2]}.{constant}"
        for module in pkgutil.walk_packages(bellcast.__path__, "bellcast.")
        if BOUNDED.match(module.name)
        for constant, value in vars(importlib.import_module(module.name)).items()
        if constant.startswith("MAX_") and isinstance(value, int | float)
    }
    documented = {name.rpartition(".")[2] for name in NAMES}
    assert len(bounds) > 40
    assert {bound for bound in bounds - OTHER_BOUNDS if bound.rpartition(".")[2] not in documented} == set()


def test_transport_bounds_are_documented() -> None:
    modules = [
        f"live.{package.__name__.rpartition('.')[2]}.{module.name}"
        for package in (http, native, socketio)
        for module in pkgutil.iter_modules(package.__path__)
        if not module.ispkg
    ]
    bounds = [
        f"{name}.{constant}"
        for name in modules
        for module in [importlib.import_module(f"bellcast.{name}")]
        for constant, value in vars(module).items()
        if isinstance(value, int | float) and IS_BOUND.fullmatch(constant)
    ]
    stated = {name.rpartition(".")[2] for name in NAMES}
    assert len(bounds) > 10
    assert [bound for bound in bounds if bound.rpartition(".")[2] not in stated] == []
