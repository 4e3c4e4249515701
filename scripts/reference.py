"""Write the pages that are made of the code: `python scripts/reference.py [--check] [PAGE…]`.

`--check` writes nothing and ends with status 1 if a page is not what the code says."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from bellcast import settings
from bellcast.settings import table
from bellcast.settings.groups import Settings

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "reference"

INTRODUCTION = """\
# Settings

This page is made from the code by `make docs`; change the sentences there.

A setting is given as an option of the command that uses it (`--port 80`), as an environment variable
(`BELLCAST_PORT=80`), or as a file whose path stands in `BELLCAST_PORT_FILE`, which keeps secrets out of the
environment. The option wins over the variable, the variable over the file. An empty value counts as not given, except
for a list, where it is the empty list.

They are read once, at start. A wrong value or an unknown `BELLCAST_…` name stops the start with a message that names it.
`bellcast config` shows what is in effect, secrets masked. Durations are seconds, or have a unit: `300ms`, `25s`, `2m`,
`1h`, `7d`.
"""

TITLES = {
    "server": ("The server", ""),
    "store": ("Storage", ""),
    "project": (
        "The project",
        "An id, a public key, and the secret that signs session tokens and opens every server path.",
    ),
    "client": ("Commands that talk to a running server", ""),
    "access": ("Access", ""),
    "native": ("Native dialect", ""),
    "channels": (
        "E-mail and text messages",
        "Providers and defaults of the channels outside the inbox: [send e-mail](../howto/email.md).",
    ),
    "pusher": (
        "Pusher Channels",
        "For clients and server libraries of Pusher: [moving from Pusher](../howto/move-from-pusher.md).",
    ),
    "socketio": (
        "Socket.IO",
        "For the stock clients of Socket.IO: [moving from Socket.IO](../howto/move-from-socketio.md).",
    ),
    "limits": (
        "Limits",
        "Each takes a whole number; 0 means none. Over a limit the answer is 422 naming the field, 413 for a whole "
        "request, and on the live path the close code that fits.",
    ),
}


def settings_page() -> str:
    """Every setting in a table per group."""
    defaults = settings.as_displayed(Settings())
    return INTRODUCTION + "".join(_group(*TITLES[name], rows, defaults) for name, rows in table.GROUPS.items())


def _group(title: str, about: str, rows: list[table.Setting], defaults: dict[str, str]) -> str:
    head = [
        "",
        f"## {title}",
        *(("", about) if about else ()),
        "",
        "| Variable | Default | Takes | |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *(_row(setting, defaults[setting.variable]) for setting in rows)]) + "\n"


def _row(setting: table.Setting, default: str) -> str:
    return f"| `{setting.variable}` | {f'`{default}`' if default else ''} | {setting.expects} | {setting.description} |"


# The other pages have a file each, `reference_<page>.py`. Of these two only what is between their marks is made.
FIGURES = {"figures": ROOT / "benchmarks" / "README.md", "headlines": ROOT / "README.md"}
PAGES = {
    "settings": FOLDER / "settings.md",
    "cli": FOLDER / "cli.md",
    "errors": FOLDER / "errors.md",
    "frames": FOLDER / "frames.md",
    "rest": FOLDER / "rest.md",
    "python": FOLDER / "python.md",
    **FIGURES,
}


def made(name: str) -> str:
    """The text of a page as the code says it now."""
    if name == "settings":
        return settings_page()
    page: str = module(name).page()
    return page


def module(name: str) -> ModuleType:
    """The module that makes a page."""
    folder = str(Path(__file__).parent)
    if folder not in sys.path:  # a test imports this file from elsewhere
        sys.path.append(folder)
    return importlib.import_module(f"reference_{name}")


def check(names: list[str]) -> None:
    """End with status 1 if one of the pages is not what the code says. (Figures stay those of their own commit.)"""
    names = [name for name in names if name not in FIGURES]
    stale = [name for name in names if PAGES[name].read_text(encoding="utf-8") != made(name)]
    if stale:
        sys.exit(f"out of date: {', '.join(stale)}. Run: make docs")


def write(names: list[str]) -> None:
    """Write the pages."""
    for name in names:
        PAGES[name].write_text(made(name), encoding="utf-8")
        print(PAGES[name].relative_to(ROOT))


def main(arguments: list[str]) -> None:
    """Write the named pages, or all; or check them."""
    names = [name for name in arguments if name != "--check"] or list(PAGES)
    (check if "--check" in arguments else write)(names)


if __name__ == "__main__":
    main(sys.argv[1:])
