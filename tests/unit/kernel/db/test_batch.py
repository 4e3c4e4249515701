"""Commands are cut, merged and split in one place."""

import asyncio

import pytest

from bellcast.kernel.db import writer
from bellcast.kernel.db.script import NO_TENANT, ListCommand, LockKey, Script, ScriptCommand, WriteCommand
from bellcast.kernel.db.writer import ENTRY_ROWS, QueuedCommand
from bellcast.kernel.errors import NotFound, Unavailable


class Shout(ListCommand[str, str]):
    """Return each item in upper case. An item has as many rows as characters, and "alone" needs a separate script."""

    def lock_keys(self) -> frozenset[LockKey]:
        return frozenset(("acme", item) for item in self.items)

    def rows_of(self, item: str) -> int:
        return len(item)

    def is_separate(self, item: str) -> bool:
        return item == "alone"

    def script(self) -> Script[list[str]]:
        return [item.upper() for item in self.items]
        yield


class FastShout(Shout):
    """The same, by one statement."""

    def single_statement(self) -> WriteCommand[list[str] | None]:
        return ScriptCommand(self.script, None)

    def prerequisite(self) -> WriteCommand[None]:
        return ScriptCommand(lambda: nothing(None), self.lock_keys())


def nothing(result: None) -> Script[None]:
    return result
    yield


def shout(*items: str) -> Shout:
    return Shout(items)


OTHER = ScriptCommand(lambda: nothing(None), [1])


def items(commands: list[WriteCommand[object]] | list[ListCommand[object, object]]) -> list[list[object]]:
    return [list(command.items) for command in commands if isinstance(command, ListCommand)]


def test_cut_makes_entries_of_a_few_rows_and_divides_no_item() -> None:
    long = "x" * ENTRY_ROWS * 3
    half = "y" * (ENTRY_ROWS - 1)
    pieces = list(writer.cut(shout(half, "a", "b", long, "c", long)))
    assert items(pieces) == [[half, "a"], ["b", long], ["c", long]]
    assert {type(piece) for piece in pieces} == {Shout}


def test_cut_gives_a_separate_item_its_own_entry() -> None:
    assert items(list(writer.cut(shout("a", "alone", "b", "c")))) == [["a"], ["alone"], ["b", "c"]]
    assert items(list(writer.cut(shout("alone", "alone")))) == [["alone"], ["alone"]]
    assert list(writer.cut(shout())) == []


def test_merged_commands_get_their_own_results() -> None:
    commands = [shout("a"), shout("b", "c"), shout("d")]
    (run,) = writer.runs(commands)
    merged = writer.merge(run)
    assert items([merged]) == [["a", "b", "c", "d"]]
    with pytest.raises(StopIteration) as done:
        next(merged.script())
    assert writer.split_results(run, done.value.value) == [["A"], ["B", "C"], ["D"]]


def test_only_neighbours_of_one_class_merge() -> None:
    commands = [shout("a"), shout("alone"), shout("b"), OTHER, OTHER, shout("e"), shout("f"), FastShout(["g"])]
    runs = list(writer.runs(commands))
    assert [len(run) for run in runs] == [1, 1, 1, 1, 1, 2, 1]
    assert [command for run in runs for command in run] == commands
    assert writer.merge(runs[1]) is commands[1]
    assert writer.split_results(runs[3], "c") == ["c"]


def test_failure_of_a_run_is_the_result_of_each_command() -> None:
    failure = ValueError()
    assert writer.split_results([shout("a"), shout("b")], failure) == [failure, failure]


def test_commands_merge_only_if_each_may() -> None:
    assert writer.can_merge([shout("a"), shout("b")])
    assert not writer.can_merge([shout("a"), shout("alone")])
    assert not writer.can_merge([shout("a"), OTHER])
    assert not writer.can_merge([OTHER, OTHER])


def test_tenant_is_that_of_the_locked_names() -> None:
    assert shout("a").tenant == "acme"
    assert OTHER.tenant == ScriptCommand(lambda: nothing(None), None).tenant == NO_TENANT


async def entries(*commands: WriteCommand[object]) -> list[QueuedCommand]:
    loop = asyncio.get_running_loop()
    return [QueuedCommand(one, loop.create_future(), "acme", one.rows, is_small=True) for one in commands]


async def test_one_statement_takes_a_limited_number_of_rows() -> None:
    waiting = await entries(FastShout(["a"]), FastShout(["b", "c"]), FastShout(["d"]))
    assert writer.next_statement(waiting, 3) == waiting[:2]
    assert writer.next_statement(waiting, 100) == waiting
    whole = writer.joined([entry.command for entry in waiting])
    assert whole is not None
    statement = whole.single_statement()
    assert statement is not None
    with pytest.raises(StopIteration) as done:
        next(statement.script())
    assert done.value.value == ["A", "B", "C", "D"]
    before = whole.prerequisite()
    assert before is not None
    assert before.lock_keys() == {("acme", key) for key in "abcd"}


async def test_rows_after_a_failed_command_of_their_caller_do_not_overtake_it() -> None:
    first, second = await entries(shout("a"), shout("b"))
    second = second._replace(previous=first)
    assert second.is_pending
    failure = Unavailable("The database cannot be reached.")
    first.settle(failure)
    assert not second.is_pending
    assert second.result.result() is failure


@pytest.mark.parametrize("result", [["A"], NotFound("no such notification")])
async def test_other_results_of_a_command_do_not_affect_the_next(result: object) -> None:
    first, second = await entries(shout("a"), shout("b"))
    first.settle(result)
    assert second._replace(previous=first).is_pending


async def test_command_of_a_cancelled_caller_does_not_affect_the_next() -> None:
    first, second = await entries(shout("a"), shout("b"))
    first.result.cancel()
    assert not first.is_pending
    assert second._replace(previous=first).is_pending


async def test_entry_larger_than_a_statement_is_not_divided() -> None:
    waiting = await entries(FastShout(["abc"]), FastShout(["d"]))
    assert writer.next_statement(waiting, 2) == waiting[:1]


async def test_entries_without_a_common_statement_share_a_transaction() -> None:
    for commands in ([shout("a"), shout("b")], [FastShout(["a"]), FastShout(["alone"])], [FastShout(["a"]), OTHER]):
        waiting = await entries(*commands)
        whole = writer.joined(commands)
        assert whole is None or whole.single_statement() is None
        assert writer.next_statement(waiting, 1) == waiting
