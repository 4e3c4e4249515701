"""The common part of both engines' writers: which commands are small."""

from typing import Any

import pytest

from bellcast.channels.types import Fanout
from bellcast.inbox.store.sends import Sends
from bellcast.inbox.types import Draft, content
from bellcast.inbox.types.sends import SendRequest
from bellcast.kernel.concurrency import CONTENTION_SENDS
from bellcast.kernel.db.script import PageCommand, Script, ScriptCommand, WriteCommand
from bellcast.kernel.db.writer import Writer
from bellcast.workflows.store import Runs
from bellcast.workflows.types.runs import BegunPage

FANOUT = Fanout(id="f", tenant="", workflow="w", owner="", version=1, audience=b"{}", body=b"{}", created_at=0)
REQUEST = SendRequest(tenant="", recipients=(), ids=(), content=content(Draft(to="alice", title="T")), created_at=0)


class QueueingWriter(Writer):
    """Records which commands are small, and runs none."""

    def __init__(self) -> None:
        super().__init__()
        self.small: list[bool] = []

    def _start(self, *, small: bool) -> None:
        self.small.append(small)

    async def close(self) -> None: ...

    @property
    def has_contention(self) -> bool:
        return bool(self._contention)


def nothing() -> Script[None]:
    return
    yield


@pytest.mark.parametrize(
    ("command", "is_small"),
    [
        (ScriptCommand(nothing, []), True),
        (PageCommand(nothing, [], "", 0), False),
    ],
)
async def test_page_of_a_fanout_is_bulk_however_few_its_rows(command: WriteCommand[None], is_small: bool) -> None:
    """Small commands go first, and count as contention, which makes the next pages small too."""
    writer = QueueingWriter()
    for _ in range(CONTENTION_SENDS):
        writer.enqueue([command], command.tenant)
    assert writer.small == [is_small] * CONTENTION_SENDS
    assert writer.has_contention == is_small


async def test_pages_of_fanouts_are_page_commands() -> None:
    written: list[object] = []

    class RecordingEngine:
        async def write(self, command: object) -> bool:
            written.append(command)
            return True

    engine: Any = RecordingEngine()
    assert await Sends(engine).add_page(REQUEST, "f", "", "alice")
    assert await Runs(engine).add_page(BegunPage(fanout=FANOUT, position="alice", runs=[], waits=[], events=[]))
    assert [type(command) for command in written] == [PageCommand, PageCommand]
