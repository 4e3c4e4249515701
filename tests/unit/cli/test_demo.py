"""What `bellcast demo` prints."""

import sys
from pathlib import Path

import pytest

from bellcast.cli import demo
from bellcast.examples.demo.apps import DemoApp


@pytest.mark.parametrize("is_from_uvx", [False, True], ids=["installed", "uvx"])
def test_suggested_command_works_in_another_terminal(capsys, monkeypatch, is_from_uvx):
    script = Path(sys.executable).with_name("bellcast")
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.delenv("UV", raising=False)
    if is_from_uvx:
        monkeypatch.setenv("UV", "/usr/bin/uv")
    demo._print_urls("http://127.0.0.1:1", "/data", [DemoApp("Start page", "bellcast.examples.start_page")], None)
    command, verb = capsys.readouterr().out.splitlines()[-2].split()[:2]
    assert verb == "notify"
    assert Path(command).resolve() == script.resolve() if is_from_uvx else command == "bellcast"
