"""The locks of triggers that write schedules."""

from types import SimpleNamespace
from typing import Any, cast

from bellcast.documents.store import lock_of
from bellcast.kernel.db.script import TENANT_LOCK
from bellcast.workflows.store import StartTriggers
from bellcast.workflows.types.runs import SCHEDULES


def test_new_schedule_locks_its_tenant_as_an_erasure_does() -> None:
    """Otherwise one could be added between the check of its tenant and the end of an erasure, and remain."""
    request: Any = SimpleNamespace(tenant="acme", schedules=[SimpleNamespace(key="news")])
    keys = cast(Any, StartTriggers)([request]).lock_keys()
    assert keys == {lock_of(SCHEDULES, "acme", "news"), ("acme", TENANT_LOCK)}
