"""The named statements: each written once, each used, each with a sentence."""

import re
from pathlib import Path

import pytest

import bellcast.storage
from bellcast.storage import statements

ROOM = Path(bellcast.storage.__file__).parent
# What only an engine with many writers asks for.
MANY_WRITERS: dict[str, set[str]] = {"sqlite": {"notifications_add"}, "postgres": set()}
# Told by name in lists and tables rather than in a Statement.
NAMED = re.compile(r'"([a-z]+(?:_[a-z]+)*)"')


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_statement_is_used(dialect: str) -> None:
    used = {name for file in ROOM.rglob("*.py") for name in NAMED.findall(file.read_text())}
    assert set(statements.load(dialect)) - used == set()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_statement_asked_for_is_there(dialect: str) -> None:
    asked = {name for file in ROOM.rglob("*.py") for name in re.findall(r'Statement\(\s*"(\w+)"', file.read_text())}
    assert len(asked) > 50
    assert asked - set(statements.load(dialect)) == MANY_WRITERS[dialect]


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_statement_has_a_sentence_and_is_one(dialect: str) -> None:
    for name, text in statements.load(dialect).items():
        assert re.match(r"-- [A-Z].*[.;:]", text), name
        assert ";" not in re.sub(r"--.*", "", text), name


def test_a_dialects_own_text_goes_before_the_common_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, monkeypatch, one="-- name: a\n-- Common.\nSELECT 1\n\n-- name: a @sqlite\n-- Own.\nSELECT 2\n")
    assert statements.load("sqlite")["a"].endswith("SELECT 2")
    assert statements.load("postgres")["a"].endswith("SELECT 1")


def test_a_name_cannot_be_given_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, monkeypatch, one="-- name: a\n-- One.\nSELECT 1\n", two="-- name: a\n-- Two.\nSELECT 2\n")
    with pytest.raises(ValueError, match="twice"):
        statements.load("sqlite")


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
    (folder / "sql").mkdir()
    for name, text in texts.items():
        (folder / "sql" / f"{name}.sql").write_text(text)
    monkeypatch.setattr("bellcast.storage.statements.resources.files", lambda _: folder)
