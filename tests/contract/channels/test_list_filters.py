"""Filters of messages by the workflow of their run, and of runs by their messages, on every store."""

from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from bellcast.channels.types import MessageUpdate
from bellcast.kernel.db.lists import ListPage, ListTotal
from tests.clock import FakeClock
from tests.contract.app import wanted
from tests.contract.channels.test_store_messages import NOW, message
from tests.store import Store
from tests.workflows import WorkflowWorld

WAIT = {"key": "wait", "type": "delay", "for": "1h"}


class SentRuns(NamedTuple):
    """The ids of runs: of acme's workflow `first` with an e-mail through `main` and an SMS through `texts`, of its
    workflow `second` with an e-mail through `spare`, of its workflow `second` without a message; of globex' `first` with an SMS
    through `main`."""

    both: str
    spare: str
    silent: str
    other: str


@pytest.fixture
async def sent(store: Store, clock: FakeClock) -> SentRuns:
    world, ids = WorkflowWorld(store, clock), []
    for tenant, workflow in (("acme", "first"), ("acme", "second"), ("acme", "second"), ("globex", "first")):
        await world.put(workflow, WAIT, tenant=tenant)
        ids.append(await world.trigger(workflow, tenant=tenant))
        clock.advance(1)
    runs = SentRuns(*ids)
    for number, tenant, run, channel, provider in (
        (1, "acme", runs.both, "email", "main"),
        (2, "acme", runs.both, "sms", "texts"),
        (3, "acme", runs.spare, "email", "spare"),
        (4, "globex", runs.other, "sms", "main"),
        (5, "acme", None, "email", "main"),
    ):
        added = message(number, tenant=tenant, run=run, channel=channel)
        await store.messages.add([added])
        (begun,) = await store.messages.begin([added.id], NOW)
        accepted = MessageUpdate(message=replace(begun, state="sent", provider=provider))
        await store.messages.finish([accepted], NOW)
    return runs


@pytest.mark.parametrize(
    ("filters", "workflow", "numbers"),
    [
        ({"tenant": "acme"}, "first", [2, 1]),
        ({"tenant": "acme"}, "second", [3]),
        ({"tenant": "acme"}, "absent", []),
        ({"tenant": "acme", "channel": "email"}, "first", [1]),
        ({"tenant": "acme", "state": "sent"}, "first", [2, 1]),
        ({"tenant": "acme", "state": "failed"}, "first", []),
        ({"tenant": "acme", "recipient": "alice"}, "second", [3]),
        ({"tenant": "acme", "notification": "n1"}, "second", [3]),
        ({"tenant": "*"}, "first", [4, 2, 1]),
        ({"tenant": "*", "provider": "main"}, "first", [4, 1]),
    ],
)
async def test_messages_are_those_of_runs_of_the_workflow(
    store: Store, sent: SentRuns, filters: dict[str, Any], workflow: str, numbers: list[int]
) -> None:
    found = await store.messages.page(wanted(**filters, workflow=workflow))
    assert [int(one.id[-3:]) for one in found.items] == numbers


async def test_messages_of_a_run_are_compared_with_its_workflow(store: Store, sent: SentRuns) -> None:
    found = {
        workflow: len((await store.messages.page(wanted("acme", run=sent.both, workflow=workflow))).items)
        for workflow in ("first", "second")
    }
    assert found == {"first": 2, "second": 0}


@pytest.mark.parametrize(
    "filters",
    [{}, {"state": "running"}, {"recipient": "alice"}, {"recipient": "alice", "state": "running"}],
    ids=lambda one: "-".join(one) or "none",
)
async def test_runs_are_those_with_a_message_of_the_channel_and_the_provider(
    store: Store, sent: SentRuns, filters: dict[str, Any]
) -> None:
    async def found(**more: Any) -> list[str]:
        page = await store.runs.page(wanted(**{"tenant": "acme", **filters, **more}))
        assert page.scanned_until is None
        return [run.id for run in page.items]

    assert await found() == [sent.silent, sent.spare, sent.both]
    assert await found(channel="email") == [sent.spare, sent.both]
    assert await found(channel="sms") == await found(provider="texts") == await found(provider="main") == [sent.both]
    # One message must match both filters.
    assert await found(channel="sms", provider="main") == []
    assert (
        await found(channel="email", workflow="first") == await found(channel="sms", trigger=sent.both) == [sent.both]
    )
    assert await found(channel="email", trigger=sent.silent) == []
    if "recipient" not in filters:
        assert await found(tenant="*", channel="sms") == [sent.other, sent.both]
        assert await found(tenant="*", provider="main", workflow="first") == [sent.other, sent.both]


@pytest.mark.parametrize(
    "filters",
    [
        {"tenant": "acme"},
        {"tenant": "acme", "state": "running"},
        {"tenant": "acme", "recipient": "alice"},
        {"tenant": "acme", "workflow": "second"},
        {"tenant": "*"},
    ],
    ids="-".join,
)
async def test_page_compares_a_bounded_number_of_runs_with_their_messages(
    store: Store, sent: SentRuns, filters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 1)
    newest = sent.other if filters["tenant"] == "*" else sent.silent
    page = await store.runs.page(wanted(**filters, provider="spare"))
    assert page == ListPage([], scanned_until=(newest,), total=ListTotal(0, exact=False))
    below = sent.silent if filters["tenant"] == "*" else newest
    (run,) = (await store.runs.page(wanted(**filters, provider="spare", before=below))).items
    assert run.id == sent.spare


async def test_page_of_a_trigger_compares_a_bounded_number_of_runs(
    store: Store, sent: SentRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 1)
    page = await store.runs.page(wanted("acme", trigger=sent.silent, channel="email"))
    assert (page.items, page.scanned_until) == ([], (sent.silent,))
