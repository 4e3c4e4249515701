"""Refusals of the command line name the file that they are about."""

import io
import sys
from pathlib import Path

import pytest
import typer

from bellcast import cli
from bellcast.cli import object_files, objects
from bellcast.cli.output import CommandError


def test_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(typer.BadParameter, match=r"none\.yaml cannot be read: No such file"):
        objects.read_object(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["sms.yaml", "sms.json"])
def test_object_may_begin_with_a_brace_in_yaml(tmp_path, name):
    (tmp_path / name).write_text("{channel: sms, url: 'twilio://SID:TOKEN@default'}")
    assert objects.read_object(tmp_path / name) == ("sms", {"channel": "sms", "url": "twilio://SID:TOKEN@default"})


def test_key_of_an_object_without_one_is_the_name_that_a_pull_gives_its_file(tmp_path):
    (file,) = object_files.files_of(tmp_path, ("types", None, "shop/order:paid"), {})
    file.parent.mkdir()
    file.write_text("name: Paid")
    assert objects.read_object(file) == ("shop/order:paid", {"name": "Paid"})


@pytest.mark.parametrize(
    ("name", "reason"),
    [("sms.yaml", "The body is not YAML"), ("sms.json", "is not JSON: .*line 1"), ("-", "is not JSON: .*line 1")],
)
def test_object_that_cannot_be_read_is_refused_in_the_language_of_its_name(tmp_path, monkeypatch, name, reason):
    text = '{"channel": "sms" "url": "x"}'
    (tmp_path / name).write_text(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    with pytest.raises(CommandError, match=reason):
        objects.read_object(Path("-") if name == "-" else tmp_path / name)


def test_object_that_is_nested_too_deeply_is_refused(tmp_path):
    (tmp_path / "sms.json").write_text("[" * 100_000)
    with pytest.raises(CommandError, match=r"sms\.json is not JSON: maximum recursion depth"):
        objects.read_object(tmp_path / "sms.json")


def test_damaged_backup_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("bellcast.cli.logs.configure", lambda server: None)
    broken = tmp_path / "broken.db"
    broken.write_text("no database")
    with pytest.raises(CommandError, match=r"broken\.db: The file is not a database"):
        cli.app(["restore", str(broken), "--data", str(tmp_path / "data")], standalone_mode=False)
