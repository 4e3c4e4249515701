"""Named statements are unique, used and documented."""

import re
from functools import cache
from pathlib import Path

import pytest

import bellcast
from bellcast.kernel.db import statements

PACKAGE = Path(bellcast.__file__).parent
# Scripts of the rooms, and of the engines.
SOURCES = [
    file
    for file in PACKAGE.rglob("*.py")
    if "store" in (file.stem, file.parent.name) or file.is_relative_to(PACKAGE / "kernel" / "db")
]
SQL = [file for folder in statements.FOLDERS for file in (PACKAGE / folder).glob("*.sql")]
# Files with numbered parameters, which the module beside them reads.
NUMBERED = [PACKAGE / "kernel" / "brokers" / "postgres_log.sql", PACKAGE / "outbox" / "outbox.sql"]
# Runs without parameters, so it may be several.
SCRIPTS = {"create"}
# Statements that only an engine with many writers uses.
MANY_WRITERS: dict[str, set[str]] = {
    "sqlite": {"notifications_add", "announcements_newest", "materialize_add"},
    "postgres": set(),
}
# Names in lists and tables, without a Statement.
NAMED = re.compile(r'"([a-z]+(?:_[a-z]+)*)"')
# Names that are composed, such as f"{kind}_causes{scope}" and f"old_{kind}".
COMPOSED = re.compile(r'f"([a-z_{}\[\]]*_(?:[a-z]+(?:\{\w+\})?|\{\w+\}))"')


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_all_statements_are_used(dialect: str) -> None:
    assert unused({list_of(name) for name in statements.load(dialect)}, SOURCES) == set()


def unused(names: set[str], sources: list[Path]) -> set[str]:
    """Return the names that the sources neither contain nor compose."""
    texts = [file.read_text() for file in sources]
    used = {name for text in texts for name in NAMED.findall(text)}
    composed = {re.sub(r"\{[^}]*\}", r"\\w*", name) for text in texts for name in COMPOSED.findall(text) if "{" in name}
    return {name for name in names - used if not any(re.fullmatch(one, name) for one in composed)}


def list_of(name: str) -> str:
    """Return the list that a statement belongs to, else the statement itself."""
    return found[1] if (found := families().fullmatch(name)) else name


@cache
def families() -> re.Pattern[str]:
    """Return the pattern of the names that lists compose."""
    lists = [head[2] for file in SQL for head in statements.HEAD.finditer(file.read_text()) if head[1] == "list"]
    return re.compile(rf"({'|'.join(lists)})(_of_(tenant|[a-z]+))?(_last|_total|_matching)?")


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_all_used_statements_exist(dialect: str) -> None:
    names = {name for file in SOURCES for name in re.findall(r'Statement\(\s*"(\w+)"', file.read_text())}
    assert len(names) > 50
    assert names - set(statements.load(dialect)) == MANY_WRITERS[dialect]


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_statement_has_a_sentence_and_no_second_statement(dialect: str) -> None:
    for name, text in statements.load(dialect).items():
        assert re.match(r"-- [A-Z].*[.;:]", text), name
        assert ";" not in re.sub(r"--.*", "", text), name


def test_all_files_with_named_statements_are_tested() -> None:
    named = [file for file in PACKAGE.rglob("*.sql") if statements.HEAD.search(file.read_text())]
    assert sorted(named) == sorted(SQL + NUMBERED)


@pytest.mark.parametrize("file", NUMBERED, ids=lambda file: file.stem)
def test_numbered_statements_are_used_and_have_a_sentence_and_no_second_statement(file: Path) -> None:
    modules = [*file.parent.glob("*.py")]
    parts = statements.HEAD.split(file.read_text())[1:]
    texts = {name: text for kind, name, _, text in zip(*[iter(parts)] * 4, strict=True) if kind == "name"}
    assert unused(set(texts), modules) == set()
    assert {name for module in modules for name in re.findall(r'\bSQL\["(\w+)"\]', module.read_text())} <= texts.keys()
    for name, text in texts.items():
        assert re.match(r"\s*-- [A-Z].*[.;:]", text), name
        assert name in SCRIPTS or ";" not in re.sub(r"--.*", "", text), name


def test_fragment_has_a_sentence_and_balanced_parentheses() -> None:
    for file in SQL + NUMBERED:
        for head, text in zip(*[iter(re.split(r"(?m)^(-- \w+: .*)$", file.read_text())[1:])] * 2, strict=True):
            if head.startswith("-- fragment:"):
                assert re.match(r"\s*-- [A-Z].*[.;:]", text), head
                assert text.count("(") == text.count(")"), head


def test_text_of_a_dialect_replaces_the_common_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, monkeypatch, one="-- name: a\n-- Common.\nSELECT 1\n\n-- name: a @sqlite\n-- Own.\nSELECT 2\n")
    assert statements.load("sqlite")["a"].endswith("SELECT 2")
    assert statements.load("postgres")["a"].endswith("SELECT 1")


def test_list_stands_for_the_statements_of_its_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "-- list: a\n-- A.\nSELECT id, tenant\nFROM a\nWHERE w OR x\nLEADS b\nFILTER {{f}}\nORDER BY id DESC\n\n"
    write(tmp_path, monkeypatch, one=f"{text}-- fragment: f\n-- F.\ny OR z")
    bounds = "id < :after_id AND id >= :until_id"
    loaded = statements.load("sqlite")
    assert (
        loaded["a"]
        == f"-- A.\nSELECT id, tenant FROM a WHERE (w OR x) AND {bounds} AND (y OR z) ORDER BY id DESC LIMIT :limit"
    )
    of_lead = f"FROM a WHERE (w OR x) AND tenant = :tenant AND b = :b AND {bounds}"
    assert loaded["a_of_b"] == f"-- A.\nSELECT id, tenant {of_lead} AND (y OR z) ORDER BY id DESC LIMIT :limit"
    assert loaded["a_of_b_last"] == f"-- A.\nSELECT id {of_lead} ORDER BY id DESC LIMIT 1 OFFSET :skipped"
    assert loaded["a_of_b_total"] == f"-- A.\nSELECT count(*) FROM (SELECT 1 {of_lead} LIMIT :limit) AS few"
    matching = f"-- A.\nSELECT count(*) FROM (SELECT 1 {of_lead} AND (y OR z) LIMIT :limit) AS few"
    assert loaded["a_of_b_matching"] == matching
    assert len(loaded) == 4 * len(("of all", "of a tenant", "of a lead"))


def test_duplicate_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, monkeypatch, one="-- name: a\n-- One.\nSELECT 1\n", two="-- name: a\n-- Two.\nSELECT 2\n")
    with pytest.raises(ValueError, match="twice"):
        statements.load("sqlite")


def test_fragment_is_included_in_statements_of_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fragments = "-- fragment: few\n-- Few.\nid <\n  :few\n\n-- fragment: own\n-- Own.\n{{few}} AND tenant = :tenant\n"
    statement = "-- name: a\n-- A.\nSELECT id FROM a WHERE {{own}} OR {{few}}\n"
    write(tmp_path, monkeypatch, one=statement, two=fragments)
    assert statements.load("sqlite") == {
        "a": "-- A.\nSELECT id FROM a WHERE id <\n  :few AND tenant = :tenant OR id <\n  :few"
    }


def test_columns_are_the_fields_that_a_module_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = "-- columns: word\n-- Fields.\nkeyword:softkwlist\n\n"
    monkeypatch.setattr("keyword.softkwlist", ["case", "match"])
    write(
        tmp_path,
        monkeypatch,
        one=f"{columns}-- name: a\n-- A.\nUPDATE a SET {{{{word_values}}}} RETURNING {{{{word}}}}\n",
    )
    assert statements.load("sqlite")["a"] == "-- A.\nUPDATE a SET case = :case, match = :match RETURNING case, match"


def test_fragment_of_a_dialect_replaces_the_common_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fragments = "-- fragment: f\n-- Common.\n1\n\n-- fragment: f @sqlite\n-- Own.\n2\n"
    write(tmp_path, monkeypatch, one=f"{fragments}\n-- name: a\n-- A.\nSELECT {{{{f}}}}\n")
    assert statements.load("sqlite")["a"].endswith("SELECT 2")
    assert statements.load("postgres")["a"].endswith("SELECT 1")


def test_file_of_numbered_parameters_has_the_constants_of_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "-- fragment: own\n-- Own.\ntenant = $1 AND {{more}}\n\n-- name: a\n-- A.\nSELECT id FROM a WHERE {{own}}\n"
    write(tmp_path, monkeypatch, own=text)
    own = tmp_path / "rooms/sql/own.sql"
    assert statements.of_file(own, more="b") == {"a": "SELECT id FROM a WHERE tenant = $1 AND b"}


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("name: a\n-- Again.", "the name a is defined twice"),
        ("name: a @postgres\n-- Of a dialect.", "the name a is only possible in a file of the engines"),
        ("list: b\n-- A list.", "the list b is only possible in a file of the engines"),
        ("columns: b\n-- Columns.", "the columns b is only possible in a file of the engines"),
    ],
    ids=["twice", "of a dialect", "a list", "columns"],
)
def test_file_of_numbered_parameters_is_refused_if_a_part_would_be_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, error: str
) -> None:
    write(tmp_path, monkeypatch, own=f"-- name: a\n-- A.\nSELECT 1\n\n-- {more}\nSELECT 2\n")
    with pytest.raises(ValueError, match=error):
        statements.of_file(tmp_path / "rooms/sql/own.sql")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("-- name: a\n-- A.\nSELECT {{few}}", "a: there is no fragment 'few'"),
        ("-- name: a\n-- A.\nSELECT {{no name}}", "a: there is no fragment 'no name'"),
        ("-- name: a\n-- A.\nSELECT {{f}}\n-- fragment: f @postgres\n-- F.\n1", "a: there is no fragment 'f'"),
        ("-- name: a\n-- A.\nSELECT 1\n-- fragment: f\n-- F.\n1", "no statement includes the fragment f"),
        ("-- name: a\n-- A.\nSELECT {{f}}\n-- fragment: f\n-- F.\n({{f}})", "a: the fragment f includes itself"),
        (
            "-- name: a\n-- A.\nSELECT {{f}}\n-- fragment: f\n-- F.\n{{g}}\n-- fragment: g\n-- G.\n{{f}}",
            "a: the fragment f includes itself",
        ),
        (
            "-- name: a\n-- A.\nSELECT {{f}}\n-- fragment: f\n-- F.\n1\n-- fragment: f\n-- F.\n2",
            "the fragment f is defined twice",
        ),
    ],
    ids=["unknown", "misspelled", "of another dialect", "unused", "in itself", "in a circle", "twice"],
)
def test_fragment_that_cannot_be_included_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: str
) -> None:
    write(tmp_path, monkeypatch, one=text)
    with pytest.raises(ValueError, match=error):
        statements.load("sqlite")


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
    (folder / "rooms" / "sql").mkdir(parents=True)
    for name, text in texts.items():
        (folder / "rooms" / "sql" / f"{name}.sql").write_text(text)
    monkeypatch.setattr(statements, "FOLDERS", ("rooms/sql",))
    monkeypatch.setattr(statements, "PACKAGE", folder)
