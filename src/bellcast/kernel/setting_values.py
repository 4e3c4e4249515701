"""Parsers of settings that know no subject. A parser's docstring describes the expected text, in error messages and in the
reference. Parsers raise ValueError or KeyError for any other text."""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from bellcast.kernel import times
from bellcast.kernel.errors import Invalid, SettingsError
from bellcast.kernel.ip_addresses import is_server

T = TypeVar("T")
Parser: TypeAlias = Callable[[str], Any]
# Returned by parsers for which an empty text is a value: the empty list.
NameList: TypeAlias = Annotated[tuple[str, ...], "of names"]
# A hundred years in seconds: longer durations are typing errors, and times after the year 9999 cannot be stored.
MAX_DURATION = 36_525 * 86_400
# Larger whole numbers are typing errors: they do not fit the types of databases, system calls and JSON's readers.
MAX_WHOLE = 2**53 - 1


def text(value: str) -> str:
    """a text"""
    return value


def non_negative_int(value: str) -> int:
    """a whole number, 0 or more"""
    if not value.isascii() or not value.isdigit() or int(value) > MAX_WHOLE:
        raise ValueError(value)
    return int(value)


def positive_int(value: str) -> int:
    """a whole number, 1 or more"""
    if non_negative_int(value) < 1:
        raise ValueError(value)
    return int(value)


def boolean(value: str) -> bool:
    """on, off, true, false, 1 or 0"""
    return {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}[value.lower()]


def duration(value: str) -> float:
    """a duration such as 25, 300ms, 2m, 1h or 7d"""
    seconds = times.seconds(value)
    if seconds > MAX_DURATION:
        raise ValueError(value)
    return seconds


def positive_duration(value: str) -> float:
    """a duration above 0, such as 25, 300ms or 2m"""
    if duration(value) == 0:
        raise ValueError(value)
    return duration(value)


def path(value: str) -> str:
    """a path that begins and ends with a slash, such as /socket.io/"""
    if not re.fullmatch(r"/([\w.~-]+/)+", value, re.ASCII):
        raise ValueError(value)
    return value


def file(value: str) -> Path:
    """a file that can be read"""
    if not Path(value).is_file():
        raise ValueError(value)
    return Path(value)


def names(value: str) -> NameList:
    """a comma-separated list"""
    return tuple(name for name in map(str.strip, value.split(",")) if name)


def url(value: str) -> str:
    """an http or https URL"""
    parts = urlsplit(value)
    is_usable = parts.scheme in ("http", "https") and is_server(parts.netloc.rpartition("@")[2])
    if not is_usable or not value.isprintable() or " " in value:
        raise ValueError(value)
    return value


def imported(variable: str, target: str, expected: type[T], *, default_name: str = "") -> T:
    """Import `module:name`; the module may be in the working directory. `default_name` is used for a target without a
    name.

    Raises SettingsError with the variable; Invalid, raised by the module, passes through."""
    module, _, name = target.partition(":")
    working_directory = str(Path.cwd())
    if working_directory not in sys.path:
        sys.path.insert(0, working_directory)
    try:
        found: Any = importlib.import_module(module)
        for part in (name or default_name).split("."):
            found = getattr(found, part)
    except Invalid:
        raise
    except Exception as error:
        raise SettingsError(f"{variable}: {target} cannot be loaded: {type(error).__name__}: {error}.") from error
    if not isinstance(found, expected):
        raise SettingsError(f"{variable}: {target} must be bellcast.{expected.__name__}, got {type(found).__name__}.")
    return found
