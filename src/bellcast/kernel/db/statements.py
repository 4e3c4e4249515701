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

A list stands for several statements, which `compose_list` makes: it is read in pages, by the key of its rows.

-- list: messages
-- Messages, newest first.
SELECT {{message_columns}}
FROM messages
LEADS notification, recipient
FILTER {{message_filters}}
ORDER BY id DESC

Each clause begins a line. ORDER BY names the key, with which the selected columns begin, and its first column says the
direction of all. LEADS are the columns that indexes of a tenant's rows begin with. WHERE is a condition of every statement,
and FILTER one of pages, which compare it row by row.
"""

import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

HEAD = re.compile(r"^-- (name|fragment|columns|list): (\w+)(?: @(\w+))?$", re.MULTILINE)
PACKAGE = Path(__file__).parents[2]
# Folders with statements, below the package.
FOLDERS = (
    "audit",
    "auth",
    "channels/store",
    "console",
    "documents",
    "exports",
    "inbox/store",
    "kernel/db",
    "kernel/jobs",
    "operators",
    "preferences",
    "recipients",
    "replays",
    "tenants",
    "topics",
    "webhooks",
    "workflows",
)
# Not a comment: a fragment that is not included must be an error of the database, never a condition that is left out.
INCLUDE = re.compile(r"\{\{(.*?)\}\}")
PARAMETER = re.compile(r"(?<!:):([a-z_]+)")  # not a cast, `::`
COMMENT = re.compile(r"^\s*--.*\n?", re.MULTILINE)


def load(dialect: str) -> dict[str, str]:
    """Load the texts of all statements by name, with their fragments; the dialect's text replaces the common one.

    Raises `ValueError` for a name that is defined twice, and for a fragment that is unknown, unused or includes itself."""
    files = [file for folder in FOLDERS for file in (PACKAGE / folder).glob("*.sql")]
    parsed = _parse(sorted(files, key=lambda file: file.name))
    texts = parsed.get("", {}) | parsed.get(dialect, {})
    fragments = {name: body(text) for (kind, name), text in texts.items() if kind == "fragment"}
    for name, text in ((name, body(text)) for (kind, name), text in texts.items() if kind == "columns"):
        module, _, constant = text.partition(":")
        columns = getattr(importlib.import_module(module), constant)
        fragments |= {name: ", ".join(columns), f"{name}_values": ", ".join(f"{one} = :{one}" for one in columns)}
    named = _include(
        fragments, {name: text for (kind, name), text in texts.items() if kind not in ("fragment", "columns")}
    )
    lists = [(name, named.pop(name)) for kind, name in texts if kind == "list"]
    return named | {each: one for name, text in lists for each, one in compose_list(name, text)}


def of_file(file: Path, **constants: str) -> dict[str, str]:
    """Return the statements of a file that is not for the engines, without their comments: their parameters are numbered. The
    constants are further fragments. Raises `ValueError` as `load` does, and for anything but statements and fragments of no dialect."""
    parsed = _parse([file])
    texts: dict[str, dict[str, str]] = {"name": {}, "fragment": dict(constants)}
    for dialect, parts in parsed.items():
        for (kind, part), text in parts.items():
            if dialect or kind not in texts:
                raise ValueError(f"{file.name}: the {kind} {part} is only possible in a file of the engines")
            texts[kind][part] = body(text)
    return _include(texts["fragment"], texts["name"])


def _parse(files: Iterable[Path]) -> dict[str, dict[tuple[str, str], str]]:
    """Return the texts of files by dialect, "" for the common ones, and by kind and name. Raises `ValueError` for a name that is
    defined twice."""
    parsed: dict[str, dict[tuple[str, str], str]] = {}
    for file in files:
        parts = HEAD.split(file.read_text(encoding="utf-8"))[1:]
        for kind, name, dialect, text in zip(*[iter(parts)] * 4, strict=True):
            texts = parsed.setdefault(dialect or "", {})
            if (kind, name) in texts:
                raise ValueError(f"{file.name}: the {kind} {name} is defined twice")
            texts[kind, name] = text.strip()
    return parsed


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


CLAUSE = re.compile(r"^(SELECT|FROM|WHERE|LEADS|FILTER|ORDER BY) ", re.MULTILINE)
TENANT = "tenant"


def compose_list(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of a list's statements: of all rows, and, if they have a tenant, of one tenant and of each lead.

    `messages_of_tenant` is a page, `messages_of_tenant_last` the last key that a page may examine,
    `messages_of_tenant_total` a count, and `messages_of_tenant_matching` one with the filters."""
    comment, *parts = CLAUSE.split(text)
    clauses = {keyword: part.strip() for keyword, part in zip(parts[::2], parts[1::2], strict=True)}
    # In parentheses: an OR in a condition must not set the others aside, such as the tenant.
    where, filtered = (f"({clauses[one]})" if one in clauses else "" for one in ("WHERE", "FILTER"))
    key = [column.removesuffix(" DESC") for column in clauses["ORDER BY"].split(", ")]
    direction = " DESC" if clauses["ORDER BY"].endswith(" DESC") else ""
    scopes: list[tuple[str, ...]] = [()]
    if re.search(rf"(?<![\w.]){TENANT}\b", clauses["SELECT"]):
        leads = clauses["LEADS"].split(", ") if "LEADS" in clauses else []
        scopes += [(TENANT,), *((TENANT, lead) for lead in leads)]
    for scope in scopes:
        columns = [column for column in key if TENANT not in scope or column != TENANT]
        owned = [f"{column} = :{column}" for column in scope]
        bounds = [
            _bound(columns, "<" if direction else ">", "after"),
            _bound(columns, ">=" if direction else "<=", "until"),
        ]
        examined = _all([where, *owned, *bounds])
        shown = _all([examined, filtered])
        order = ", ".join(f"{column}{direction}" for column in columns)
        place = "_of_".join([name, *scope[-1:]])
        source = f"FROM {clauses['FROM']} WHERE"
        texts = {
            place: f"SELECT {clauses['SELECT']} {source} {shown} ORDER BY {order} LIMIT :limit",
            f"{place}_last": f"SELECT {', '.join(columns)} {source} {examined} ORDER BY {order} LIMIT 1 OFFSET :skipped",
        }
        # Without filters, both counts would be the same.
        counted = {"total": examined} | ({"matching": shown} if shown != examined else {})
        for name_of, rows in counted.items():
            texts[f"{place}_{name_of}"] = f"SELECT count(*) FROM (SELECT 1 {source} {rows} LIMIT :limit) AS few"  # noqa: S608  parts of one text of a `.sql` file
        yield from ((each, f"{comment}{text}") for each, text in texts.items())


def _bound(columns: list[str], comparison: str, name: str) -> str:
    """Return the condition that compares the key with parameters: `(tenant, key) > (:after_tenant, :after_key)`."""
    values = [f":{name}_{column}" for column in columns]
    if len(columns) == 1:
        return f"{columns[0]} {comparison} {values[0]}"
    return f"({', '.join(columns)}) {comparison} ({', '.join(values)})"


def _all(conditions: list[str]) -> str:
    return " AND ".join(one for one in conditions if one)
