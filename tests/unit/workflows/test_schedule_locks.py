"""The locks of triggers that write schedules."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import UNSET

from bellcast.documents.store import lock_of
from bellcast.kernel.db.script import TENANT_LOCK
from bellcast.workflows.store import StartTriggers
from bellcast.workflows.types.runs import SCHEDULES


@pytest.mark.parametrize(
    ("tenant", "replaces", "locks_tenant"),
    [("acme", UNSET, True), ("acme", None, True), ("acme", b"{}", True), ("", UNSET, False), ("", None, False)],
)
def test_schedule_locks_a_tenant_that_can_be_erased(tenant: str, replaces: Any, locks_tenant: bool) -> None:
    """Otherwise one could be added between the check of its tenant and the end of an erasure, and remain. The sends of the default
    tenant with a time would wait for each other."""
    request: Any = SimpleNamespace(tenant=tenant, schedules=[SimpleNamespace(key="news", replaces=replaces)])
    keys = cast(Any, StartTriggers)([request]).lock_keys()
    assert keys == {lock_of(SCHEDULES, tenant, "news"), *([(tenant, TENANT_LOCK)] if locks_tenant else [])}
