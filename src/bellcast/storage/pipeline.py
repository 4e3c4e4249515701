"""Scripts side by side: what they ask for at one time is sent at one time, so many of them wait as long as one.

Scripts that touch the same inbox follow one another; the others advance together, a statement of each at a time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from bellcast.storage.engine import Params, Row, Script, Statement
from bellcast.storage.locks import LockKey


class PipelinedConnection(Protocol):
    """A connection in a transaction."""

    def writes(self, name: str) -> bool:
        """Whether a statement changes anything."""
        ...

    async def query(self, name: str, sets: Sequence[Params]) -> list[list[Row]]:
        """Run a statement once for each of the parameter sets; the rows of each."""
        ...

    async def execute_many(self, name: str, sets: Sequence[Params]) -> None:
        """Run a statement once for each of the parameter sets."""
        ...


class GroupFailed(Exception):
    """A script raised after it had written: the transaction is of no use to the others."""


class ScriptRun:
    """One script on its way: what it asks for now, and what came of it."""

    def __init__(self, script: Script[Any]) -> None:
        self._script = script
        self._wrote = False
        self.pending: Statement | None = None
        self.outcome: Any = None

    def resume(self, rows: list[Row] | None) -> None:
        """Give it the rows it asked for, up to what it asks for next."""
        try:
            self.pending = self._script.send(rows)  # type: ignore[arg-type]  # a generator's first send is None
        except StopIteration as done:
            self.pending, self.outcome = None, done.value
        except Exception as error:
            if self._wrote:
                raise GroupFailed from error
            self.pending, self.outcome = None, error

    def record_writes(self, *, writes: bool) -> None:
        """Remember whether it has written by now."""
        self._wrote = self._wrote or writes


async def run_pipelined(connection: PipelinedConnection, scripts: Iterable[Script[Any]]) -> list[Any]:
    """Run scripts that touch nothing in common to their ends; what each returned or raised before it wrote."""
    runs = [ScriptRun(script) for script in scripts]
    for run in runs:
        run.resume(None)
    while waiting := [run for run in runs if run.pending is not None]:
        await _answer(connection, waiting)
    return [run.outcome for run in runs]


async def _answer(connection: PipelinedConnection, waiting: list[ScriptRun]) -> None:
    """What one statement is asked for by many goes out together; none goes on before all are answered."""
    answers: list[tuple[ScriptRun, list[Row]]] = []
    for (name, is_many), runs in _by_statement(waiting).items():
        for run in runs:
            run.record_writes(writes=connection.writes(name))
        if is_many:
            await connection.execute_many(name, [params for run in runs for params in _asked(run).many or ()])
            answers += [(run, []) for run in runs]
        else:
            rows = await connection.query(name, [_asked(run).params for run in runs])
            answers += zip(runs, rows, strict=True)
    for run, rows_of_run in answers:
        run.resume(rows_of_run)


def _by_statement(waiting: list[ScriptRun]) -> dict[tuple[str, bool], list[ScriptRun]]:
    found: dict[tuple[str, bool], list[ScriptRun]] = {}
    for run in waiting:
        statement = _asked(run)
        found.setdefault((statement.name, statement.many is not None), []).append(run)
    return found


def _asked(run: ScriptRun) -> Statement:
    if run.pending is None:
        raise RuntimeError("a script that has ended asks for nothing")
    return run.pending


def conflict_free_rounds(
    touched: Sequence[frozenset[LockKey]], numbers: Mapping[tuple[str, str], int]
) -> Iterator[list[int]]:
    """Indices of scripts, turn by turn: those of one turn touch nothing in common, and for each inbox the order stays.

    `numbers` are those of the inboxes that are there, so that one touched by name and by number is known as one."""
    free_at: dict[LockKey, int] = {}
    found: list[list[int]] = []
    for index, inboxes in enumerate(touched):
        same = [numbers.get(inbox, inbox) if isinstance(inbox, tuple) else inbox for inbox in inboxes]
        turn = max((free_at.get(inbox, 0) for inbox in same), default=0)
        free_at.update(dict.fromkeys(same, turn + 1))
        if turn == len(found):
            found.append([])
        found[turn].append(index)
    return iter(found)
