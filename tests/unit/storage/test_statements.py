"""Named statements are unique, used and documented."""

import re
from pathlib import Path

import pytest

import bellcast.storage
from bellcast.storage import statements

FOLDER = Path(bellcast.storage.__file__).parent
# Statements that only an engine with many writers uses.
MANY_WRITERS: dict[str, set[str]] = {
    "sqlite": {"notifications_add", "announcements_newest", "materialize_add"},
    "postgres": set(),
}
# Names in lists and tables, without a Statement.
NAMED = re.compile(r'"([a-z]+(?:_[a-z]+)*)"')


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_all_statements_are_used(dialect: str) -> None:
    used = {name for file in FOLDER.rglob("*.py") for name in NAMED.findall(file.read_text())}
    assert set(statements.load(dialect)) - used == set()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_all_used_statements_exist(dialect: str) -> None:
    names = {name for file in FOLDER.rglob("*.py") for name in re.findall(r'Statement\(\s*"(\w+)"', file.read_text())}
    assert len(names) > 50
    assert names - set(statements.load(dialect)) == MANY_WRITERS[dialect]


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_statement_has_a_sentence_and_no_second_statement(dialect: str) -> None:
    for name, text in statements.load(dialect).items():
        assert re.match(r"-- [A-Z].*[.;:]", text), name
        assert ";" not in re.sub(r"--.*", "", text), name


def test_text_of_a_dialect_replaces_the_common_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, monkeypatch, one="-- name: a\n-- Common.\nSELECT 1\n\n-- name: a @sqlite\n-- Own.\nSELECT 2\n")
    assert statements.load("sqlite")["a"].endswith("SELECT 2")
    assert statements.load("postgres")["a"].endswith("SELECT 1")


def test_duplicate_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, monkeypatch, one="-- name: a\n-- One.\nSELECT 1\n", two="-- name: a\n-- Two.\nSELECT 2\n")
    with pytest.raises(ValueError, match="twice"):
        statements.load("sqlite")


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
    (folder / "sql").mkdir()
    for name, text in texts.items():
        (folder / "sql" / f"{name}.sql").write_text(text)
    monkeypatch.setattr("bellcast.storage.statements.resources.files", lambda _: folder)
