"""Write the generated pages: `python scripts/reference.py [--check] [PAGE…]`.

`--check` writes nothing and exits with status 1 if a page is out of date."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from bellcast import settings
from bellcast.agents import documentation
from bellcast.settings import table
from bellcast.settings.table import Settings

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "reference"

INTRODUCTION = """\
# Settings

This page is generated from the code by `make docs`; edit the texts there.

Set a setting with an option of the command that uses it (`--port 80`), with an environment variable
(`BELLCAST_PORT=80`), or with a file and its path in `BELLCAST_PORT_FILE`, which keeps secrets out of the
environment. The option takes precedence over the variable, the variable over the file. An empty value counts as not set, except
for a list, where it is the empty list.

Options, variables and files are read once, at start; [the console](../howto/console-operate.md#change-settings) changes some settings while
the server runs. The server does not start with an invalid value or an unknown `BELLCAST_…` name; the error names it.
`bellcast config` shows the effective settings, with secrets masked. Durations are seconds, or have a unit: `300ms`, `25s`, `2m`,
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
    "oidc": (
        "Identity provider of operators",
        "For the console: [sign in with your identity provider](../howto/console-access.md#sign-in-with-your-identity-provider).",
    ),
    "native": ("Native dialect", ""),
    "channels": (
        "E-mail and text messages",
        "Providers and defaults of the channels outside the inbox: [send e-mail](../howto/email.md).",
    ),
    "pusher": (
        "Pusher Channels",
        "For clients and server libraries of Pusher: [Move from Pusher](../howto/move-from-pusher.md).",
    ),
    "socketio": (
        "Socket.IO",
        "For the stock clients of Socket.IO: [Move from Socket.IO](../howto/move-from-socketio.md).",
    ),
    "limits": (
        "Limits",
        "Each is an integer; 0 means no limit, unless stated otherwise. Exceeding a limit is a 422 that names the field, a 413 for a whole "
        "request, and on live connections the corresponding close code.",
    ),
}


def settings_page() -> str:
    """Return the page of the settings, with a table per group."""
    defaults = settings.as_displayed(Settings())
    return INTRODUCTION + "".join(_group(*TITLES[name], rows, defaults) for name, rows in table.GROUPS.items())


def _group(title: str, about: str, rows: list[table.Setting], defaults: dict[str, str]) -> str:
    head = [
        "",
        f"## {title}",
        *(("", about) if about else ()),
        "",
        "| Variable | Default | Value | |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *(_row(setting, defaults[setting.variable]) for setting in rows)]) + "\n"


def _row(setting: table.Setting, default: str) -> str:
    return f"| `{setting.variable}` | {f'`{default}`' if default else ''} | {setting.expects} | {setting.description} |"


# Each other page has a module `reference_<page>.py`. In these, and in problems and symptoms, only the text between the marks is
# generated.
FIGURES = {
    "figures": ROOT / "benchmarks" / "README.md",
    "headlines": ROOT / "README.md",
    "scale": ROOT / "docs" / "design" / "scale.md",
    "comparison": ROOT / "docs" / "comparison.md",
}
PAGES = {
    "settings": FOLDER / "settings.md",
    "cli": FOLDER / "cli.md",
    "errors": FOLDER / "errors.md",
    "frames": FOLDER / "frames.md",
    "rest": FOLDER / "rest.md",
    "python": FOLDER / "python.md",
    "typescript": FOLDER / "typescript.md",
    "elements": FOLDER / "elements.md",
    "problems": ROOT / "docs" / "howto" / "doctor.md",
    "symptoms": ROOT / "docs" / "howto" / "troubleshoot.md",
    **FIGURES,
}


def generate(name: str) -> str:
    """Return the current text of a page."""
    if name == "settings":
        return settings_page()
    page: str = module(name).page()
    return page


def module(name: str) -> ModuleType:
    """Import the module that generates a page."""
    folder = str(Path(__file__).parent)
    if folder not in sys.path:  # a test imports this file from elsewhere
        sys.path.append(folder)
    return importlib.import_module(f"reference_{name}")


def check(names: list[str]) -> None:
    """Exit with status 1 if a page is out of date. Figures are not checked: they belong to the commit of their run."""
    names = [name for name in names if name not in FIGURES]
    stale = [name for name in names if PAGES[name].read_text(encoding="utf-8") != generate(name)]
    if stale:
        sys.exit(f"out of date: {', '.join(stale)}. Run: make docs")


def write(names: list[str]) -> None:
    """Write the pages."""
    for name in names:
        PAGES[name].write_text(generate(name), encoding="utf-8")
        print(PAGES[name].relative_to(ROOT))
    # What the server makes of these pages for language models; not in git.
    for file, make in (("llms.txt", documentation.overview), ("llms-full.txt", documentation.full)):
        (ROOT / "docs" / file).write_text(make(), encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Write or check the named pages, by default all."""
    names = [name for name in arguments if name != "--check"] or list(PAGES)
    (check if "--check" in arguments else write)(names)


if __name__ == "__main__":
    main(sys.argv[1:])
