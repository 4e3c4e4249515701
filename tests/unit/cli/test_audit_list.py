"""What `bellcast audit list` says about entries that were not searched."""

from typing import Any

import pytest
from typer.testing import CliRunner

from bellcast.cli import access

NOTE = "there may be older ones that match"


@pytest.mark.parametrize(("scanned_until", "is_noted"), [(None, False), ("01a228e2-a6af-70f6-9822-8ba80313315c", True)])
def test_audit_list_notes_a_search_that_stopped_before_the_oldest_entry(
    monkeypatch: pytest.MonkeyPatch, scanned_until: str | None, is_noted: bool
) -> None:
    def request(*_: Any, **__: Any) -> Any:
        return {"entries": [], "next": None, "scanned_until": scanned_until}

    monkeypatch.setattr(access, "request", request)
    listed = CliRunner(env={"BELLCAST_SECRET": "x" * 40}).invoke(access.app, ["audit", "list", "--text", "a", "--json"])
    assert listed.exit_code == 0
    assert listed.stdout.strip() == "[]"
    assert (NOTE in listed.stderr) is is_noted
