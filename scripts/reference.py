"""Write the reference pages that are made of the code: `python scripts/reference.py [PAGE…]`."""

import sys
from collections.abc import Callable
from pathlib import Path

from bellcast import settings
from bellcast.settings import table
from bellcast.settings.groups import Settings

FOLDER = Path(__file__).parent.parent / "docs" / "reference"

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
    "store": ("What is kept", ""),
    "project": (
        "The project",
        "An id, a public key, and the secret that signs session tokens and opens every server path.",
    ),
    "client": ("Commands that talk to a running server", ""),
    "access": ("Who may ask", ""),
    "native": ("Bellcast's own dialect", ""),
    "limits": (
        "Limits",
        "Each takes a whole number; 0 means none. Over a limit the answer is 422 naming the field, 413 for a whole "
        "request, and on the live path the close code that fits.",
    ),
}


def settings_page() -> str:
    """Every setting in a table per group."""
    defaults = settings.shown(Settings())
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
    return f"| `{setting.variable}` | {f'`{default}`' if default else ''} | {setting.expects} | {setting.what} |"


PAGES: dict[str, Callable[[], str]] = {"settings": settings_page}


def main(names: list[str]) -> None:
    """Write the named pages, or all."""
    for name in names or PAGES:
        FOLDER.mkdir(parents=True, exist_ok=True)
        page = FOLDER / f"{name}.md"
        page.write_text(PAGES[name](), encoding="utf-8")
        print(page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page)


if __name__ == "__main__":
    main(sys.argv[1:])
