"""Composes the statements of a list, which is read in pages, by the key of its rows.

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

import re
from collections.abc import Iterator

CLAUSE = re.compile(r"^(SELECT|FROM|WHERE|LEADS|FILTER|ORDER BY) ", re.MULTILINE)
TENANT = "tenant"


def compose(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of a list's statements: of all rows, and, if they have a tenant, of one tenant and of each lead.

    `messages_of_tenant` is a page, `messages_of_tenant_last` the last key that a page may examine, and
    `messages_of_tenant_total` a count."""
    comment, *parts = CLAUSE.split(text)
    clauses = {keyword: part.strip() for keyword, part in zip(parts[::2], parts[1::2], strict=True)}
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
        examined = _all([clauses.get("WHERE", ""), *owned, *bounds])
        shown = _all([examined, clauses.get("FILTER", "")])
        order = ", ".join(f"{column}{direction}" for column in columns)
        place = "_of_".join([name, *scope[-1:]])
        source = f"FROM {clauses['FROM']} WHERE"
        texts = {
            place: f"SELECT {clauses['SELECT']} {source} {shown} ORDER BY {order} LIMIT :limit",
            f"{place}_last": f"SELECT {', '.join(columns)} {source} {examined} ORDER BY {order} LIMIT 1 OFFSET :skipped",
            f"{place}_total": f"SELECT count(*) FROM (SELECT 1 {source} {examined} LIMIT :limit) AS few",  # noqa: S608  parts of one text of a `.sql` file
        }
        yield from ((each, f"{comment}{text}") for each, text in texts.items())


def _bound(columns: list[str], comparison: str, name: str) -> str:
    """Return the condition that compares the key with parameters: `(tenant, key) > (:after_tenant, :after_key)`."""
    values = [f":{name}_{column}" for column in columns]
    if len(columns) == 1:
        return f"{columns[0]} {comparison} {values[0]}"
    return f"({', '.join(columns)}) {comparison} ({', '.join(values)})"


def _all(conditions: list[str]) -> str:
    return " AND ".join(one for one in conditions if one)
