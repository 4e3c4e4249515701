"""What `bellcast pull` accepts from a server."""

from typing import Any

import pytest

from bellcast.cli.git import Server
from bellcast.settings import load


def test_objects_of_other_kinds_are_ignored_because_kinds_become_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    def request(*_: Any, **__: Any) -> Any:
        return {"objects": [{"kind": kind, "tenant": None, "key": "k"} for kind in ("../../outside", "types")]}

    monkeypatch.setattr(Server, "request", request)
    assert list(Server(load({}, {})).state(("types", "templates"))) == [("types", None, "k")]
