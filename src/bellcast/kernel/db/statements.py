"""The statements of the rooms: each has a name, a sentence and one text, or one per dialect where they differ.

-- name: inbox_state
-- Read the state of one inbox.
SELECT …

-- name: of_ids @sqlite

Text that several statements share is a fragment, of any file. `{{name}}` includes it, in statements and in fragments.

-- fragment: run_columns
-- The columns of a run, in the order of its row.
id, tenant, …

-- name: run_find
-- One run.
SELECT {{run_columns}} FROM runs WHERE id = :id

The fields of a type are columns, whose names are in a module: `{{run_fields}}` lists them, `{{run_fields_values}}` sets them.

-- columns: run_fields
-- The columns that a definition sets.
bellcast.workflows.types:FIELDS

A list stands for several statements: see `list_statements`.
"""

import importlib
import re
from importlib import resources

from bellcast.kernel.db import list_statements

HEAD = re.compile(r"^-- (name|fragment|columns|list): (\w+)(?: @(\w+))?$", re.MULTILINE)
# Folders with statements, below the package.
FOLDERS = (
    "audit",
    "auth",
    "channels/store",
    "channels/suppressions",
    "console",
    "documents",
    "exports",
    "inbox/store",
    "kernel/db",
    "kernel/jobs",
    "operators",
    "recipients/store",
    "replays",
    "tenants",
    "topics/store",
    "webhooks",
    "workflows/store",
)
# Not a comment: a fragment that is not included must be an error of the database, never a condition that is left out.
INCLUDE = re.compile(r"\{\{(.*?)\}\}")
PARAMETER = re.compile(r"(?<!:):([a-z_]+)")  # not a cast, `::`
COMMENT = re.compile(r"^\s*--.*\n?", re.MULTILINE)


def load(dialect: str) -> dict[str, str]:
    """Load the texts of all statements by name, with their fragments; the dialect's text replaces the common one.

    Raises `ValueError` for a name that is defined twice, and for a fragment that is unknown, unused or includes itself."""
    found: dict[tuple[str, str], str] = {}
    own: dict[tuple[str, str], str] = {}
    files = [file for folder in FOLDERS for file in resources.files("bellcast").joinpath(folder).iterdir()]
    for file in sorted((file for file in files if file.name.endswith(".sql")), key=lambda file: file.name):
        for kind, name, only, text in _parse(file.read_text(encoding="utf-8")):
            if only in ("", dialect):
                target = own if only else found
                if (kind, name) in target:
                    raise ValueError(f"{file.name}: the {kind} {name} is defined twice")
                target[kind, name] = text
    texts = found | own
    fragments = {name: body(text) for (kind, name), text in texts.items() if kind == "fragment"}
    for name, text in ((name, body(text)) for (kind, name), text in texts.items() if kind == "columns"):
        module, _, constant = text.partition(":")
        columns = getattr(importlib.import_module(module), constant)
        fragments |= {name: ", ".join(columns), f"{name}_values": ", ".join(f"{one} = :{one}" for one in columns)}
    named = _include(
        fragments, {name: text for (kind, name), text in texts.items() if kind not in ("fragment", "columns")}
    )
    lists = [(name, named.pop(name)) for kind, name in texts if kind == "list"]
    return named | {each: one for name, text in lists for each, one in list_statements.compose(name, text)}


def _parse(text: str) -> list[tuple[str, str, str, str]]:
    _, *parts = HEAD.split(text)
    return [(kind, name, only or "", text.strip()) for kind, name, only, text in zip(*[iter(parts)] * 4, strict=True)]


def _include(fragments: dict[str, str], texts: dict[str, str]) -> dict[str, str]:
    used: set[str] = set()

    def expand(text: str, place: str, outer: tuple[str, ...]) -> str:
        def included(match: re.Match[str]) -> str:
            name = match[1]
            if name not in fragments:
                raise ValueError(f"{place}: there is no fragment {name!r}; define `-- fragment: {name}`")
            if name in outer:
                raise ValueError(f"{place}: the fragment {name} includes itself")
            used.add(name)
            return expand(fragments[name], place, (*outer, name))

        return INCLUDE.sub(included, text)

    expanded = {name: expand(text, name, ()) for name, text in texts.items()}
    if unused := fragments.keys() - used:
        raise ValueError(
            f"no statement includes the fragment {', '.join(sorted(unused))}: delete it or name its dialect"
        )
    return expanded


def body(text: str) -> str:
    """Return a statement without its comments."""
    return COMMENT.sub("", text).strip()
