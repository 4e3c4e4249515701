"""Loads the object named in a setting, as `module:name`."""

import importlib
import sys
from pathlib import Path
from typing import Any, TypeVar

from bellcast.kernel.errors import Invalid, SettingsError

T = TypeVar("T")


def load(variable: str, target: str, expected: type[T], *, default_name: str = "") -> T:
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
