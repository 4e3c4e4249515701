"""Every statement of the hot path names the recipient or the tenant as its distribution key, so that tables can be
divided by it and PostgreSQL reads one partition, or one server."""

import re
from collections.abc import Callable

import pytest

from bellcast.kernel.db import statements

# Alternatives of columns that together are the distribution key.
INBOX = [{"recipient"}]
KEYS: dict[str, list[set[str]]] = {
    "recipients": [{"id"}, {"tenant", "key"}],
    "notifications": INBOX,
    "notification_tags": INBOX,
    "tombstones": INBOX,
    "entries": INBOX,
    "inbox_entries": INBOX,
    "subscriptions": [*INBOX, {"tenant"}],
    "devices": [{"inbox"}],
    "joined_topics": [{"inbox"}],
    "pending": [{"inbox"}],
    "pending_entries": [{"inbox"}],
    "idempotency": [{"tenant"}],
    "last_events": [{"tenant"}],
    "push_endpoints": [*INBOX, {"tenant"}],
    "outside_notifications": [*INBOX, {"tenant"}],
    "webhook_events": [{"tenant"}],
    "messages": [{"tenant"}],
    "runs": [{"tenant"}],
}
# Small tables, of which every server has a copy.
EVERYWHERE = {"announcements", "counters", "tenants"}
HOT_FILES = (
    "inboxes",
    "sends",
    "marking",
    "announcements",
    "inbox_locks",
    "devices",
    "subscriptions",
    "joined_topics",
    "last_events",
)

MAINTENANCE = "the sweeps of all inboxes read by time"
LISTING = "the console lists the sends of all recipients, newest first; the index notifications_direct has them"
OF_TENANT = "the console lists the sends of a small tenant by its recipients, at most 20,000 rows"
BY_ID = "your server names a notification by its id alone; the index notifications_direct has it"
EXCEPTIONS = {
    "due_snoozed": MAINTENANCE,
    "device_forget": MAINTENANCE,
    "last_event_forget": MAINTENANCE,
    "joined_topics_sweep": MAINTENANCE,
    "direct_find": BY_ID,
    "sent_last": LISTING,
    "sent_page": LISTING,
    "sent_total": LISTING,
    "sent_of_tenant_size": OF_TENANT,
    "sent_of_tenant_page": OF_TENANT,
    "sent_of_tenant_total": OF_TENANT,
    "sends_recent": "the console counts the last 20,000 sends of all recipients; the index notifications_direct has them",
    "announced_reach": "the console counts at most 1,000 inboxes of an announcement; the index notifications_announced has them",
    "topics_of_all": "the console lists the topics of all tenants; the index subscriptions_topic has them",
}

KEYWORDS = "SET|WHERE|ON|ORDER|CROSS|LEFT|JOIN|GROUP|LIMIT|UNION|SELECT|VALUES|FOR"
SOURCE = re.compile(
    rf"\b(?:FROM|JOIN|UPDATE|INTO)\s+(?!SET\b|LATERAL\b)(\w+)\b(?! ?\((?!SUBQUERY))(?:\s+(?:AS\s+)?(?!(?:{KEYWORDS})\b)(\w+))?"
)
WITH = re.compile(r"(\w+)(?: \([^)]*\))? AS (?:MATERIALIZED )?\(")
INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\)")
SET = re.compile(r"\bSET\b.*?(?=\bWHERE\b|\Z)", re.DOTALL)
COMPARISON = re.compile(r"(?<![\w:])((?:\w+\.)?\w+) (?:=|IN) \(?((?:\w+\.)?:?\w+)")
PAIRS = re.compile(r"\((\w+), (\w+)\) (?:=|IN) \(?SUBQUERY")


def hot_statements() -> list[tuple[str, str, str]]:
    """Return the statements of the hot path: their dialects, names and texts."""
    found = []
    for dialect in ("sqlite", "postgres"):
        texts = statements.load(dialect)
        names = {name for file in HOT_FILES for name in names_in(file)}
        found += [(dialect, name, statements.body(texts[name])) for name in sorted(names & texts.keys())]
    return found


def names_in(file: str) -> list[str]:
    paths = [statements.PACKAGE.joinpath(folder, f"{file}.sql") for folder in statements.FOLDERS]
    (path,) = [path for path in paths if path.is_file()]
    text = path.read_text(encoding="utf-8")
    return [match[2] for match in statements.HEAD.finditer(text)]


def unkeyed(text: str) -> list[str]:
    """Return the tables of a statement that it does not search by a distribution key.

    A table is searched by its key if the columns are compared with values, or with columns of a table that is searched by its key."""
    own = set(WITH.findall(text))
    tables: dict[str, tuple[str, dict[str, set[str]]]] = {}
    missing = []
    for number, query in enumerate(queries(text)):
        compared = comparisons(query)
        for table, columns in INSERT.findall(query):
            if not is_keyed(table, set(re.findall(r"\w+", columns))):
                missing.append(table)
        for table, alias in SOURCE.findall(query):
            if table not in own and table in KEYS:
                tables[f"{alias or table} {number}"] = (table, compared(alias))
    return missing + unresolved(tables)


def is_keyed(table: str, columns: set[str]) -> bool:
    return table not in KEYS or any(key <= columns for key in KEYS[table])


def unresolved(tables: dict[str, tuple[str, dict[str, set[str]]]]) -> list[str]:
    """Return the tables of which no key is compared with values, directly or through other tables."""
    found: set[str] = set()
    while True:
        open_aliases = {alias.split()[0] for alias in tables.keys() - found}
        new = {
            alias
            for alias, (table, compared) in tables.items()
            if is_keyed(table, {column for column, others in compared.items() if others - open_aliases})
        } - found
        if not new:
            return [table for alias, (table, _) in tables.items() if alias not in found]
        found |= new


def queries(text: str) -> list[str]:
    """Return a statement and its subqueries, each with the text SUBQUERY in place of its own subqueries."""
    found: list[str] = []
    stack = [""]
    for character in text:
        if character == "(":
            stack.append("")
        elif character == ")":
            inner = stack.pop()
            is_query = re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)\b", inner) is not None
            found += [inner] * is_query
            stack[-1] += "(SUBQUERY)" if is_query else f"({inner})"
        else:
            stack[-1] += character
    return [SET.sub("", query) if "INSERT" not in query else query for query in (*found, *stack)]


def comparisons(query: str) -> Callable[[str], dict[str, set[str]]]:
    """Return a function from an alias to its columns, each with the aliases or values that it is compared with."""
    pairs = [(column, "SUBQUERY") for pair in PAIRS.findall(query) for column in pair]
    found = COMPARISON.findall(query) + pairs

    def of(alias: str) -> dict[str, set[str]]:
        columns: dict[str, set[str]] = {}
        for one, other in [*found, *((other, one) for one, other in found)]:
            owner, _, column = one.rpartition(".")
            if owner in (alias, ""):
                columns.setdefault(column, set()).add(other.partition(".")[0])
        return columns

    return of


def test_hot_statements_name_their_distribution_key() -> None:
    searched = {(dialect, name): unkeyed(text) for dialect, name, text in hot_statements()}
    assert searched
    assert {key: tables for key, tables in searched.items() if bool(tables) != (key[1] in EXCEPTIONS)} == {}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM notifications WHERE id = :id",
        "SELECT id FROM notifications n WHERE n.created_at < :before",
        "UPDATE recipients SET name = :name WHERE key = :key",
        "DELETE FROM devices WHERE heard_at < :before",
        "SELECT 1 FROM recipients r JOIN notifications n ON n.id = :id WHERE r.id = :inbox",
        "SELECT 1 FROM recipients r JOIN notifications n ON n.recipient = r.id WHERE r.tenant = :tenant",
        "DELETE FROM devices WHERE inbox IN (SELECT inbox FROM devices WHERE heard_at < :before)",
        "UPDATE notifications SET recipient = :inbox WHERE id = :id",
        "INSERT INTO tombstones (revision, id) VALUES (1, 2)",
    ],
)
def test_statement_without_a_key_is_found(text: str) -> None:
    assert unkeyed(text)


def test_every_table_of_a_hot_statement_is_known() -> None:
    for _, _, text in hot_statements():
        found = {table for query in queries(text) for table, _ in SOURCE.findall(query)}
        assert found - set(WITH.findall(text)) <= KEYS.keys() | EVERYWHERE
