"""Run scripts in parallel on one connection. Their next statements are sent together, so many scripts take as many
round trips as the longest.

Scripts that write to the same inbox run in order. The others advance together, one statement of each at a time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bellcast.kernel.db.commit.batch import BatchFailed
from bellcast.kernel.db.commit.command import LockKey
from bellcast.kernel.db.postgres_connection import PostgresConnection
from bellcast.kernel.db.script import Row, Script, Statement


class ScriptRun:
    """A running script: its pending statement, and its outcome at the end."""

    def __init__(self, script: Script[Any]) -> None:
        self._script = script
        self._wrote = False
        self.pending: Statement | None = None
        self.outcome: Any = None

    def resume(self, rows: list[Row] | None) -> None:
        """Pass the rows of the pending statement to the script, and run up to the next statement."""
        try:
            self.pending = self._script.send(rows)  # type: ignore[arg-type]  # a generator's first send is None
        except StopIteration as done:
            self.pending, self.outcome = None, done.value
        except Exception as error:
            if self._wrote:
                raise BatchFailed from error
            self.pending, self.outcome = None, error

    def record_writes(self, *, writes: bool) -> None:
        self._wrote = self._wrote or writes


async def run_pipelined(connection: PostgresConnection, scripts: Iterable[Script[Any]]) -> list[Any]:
    """Run scripts that share no inbox. Return the result of each, or the exception that it raised before writing."""
    runs = [ScriptRun(script) for script in scripts]
    for run in runs:
        run.resume(None)
    while waiting := [(run, run.pending) for run in runs if run.pending is not None]:
        await _advance(connection, waiting)
    return [run.outcome for run in runs]


async def _advance(connection: PostgresConnection, waiting: Sequence[tuple[ScriptRun, Statement]]) -> None:
    """Run all pending statements, then resume all scripts."""
    results: list[tuple[ScriptRun, list[Row]]] = []
    groups: dict[tuple[str, bool], list[tuple[ScriptRun, Statement]]] = {}
    for run, statement in waiting:
        groups.setdefault((statement.name, statement.many is not None), []).append((run, statement))
    for (name, is_many), pending in groups.items():
        for run, _ in pending:
            run.record_writes(writes=connection.writes(name))
        if is_many:
            await connection.execute_many(name, [params for _, statement in pending for params in statement.many or ()])
            results += [(run, []) for run, _ in pending]
        else:
            rows = await connection.query(name, [statement.params for _, statement in pending])
            results += [(run, rows_of_run) for (run, _), rows_of_run in zip(pending, rows, strict=True)]
    for run, rows_of_run in results:
        run.resume(rows_of_run)


def conflict_free_rounds(
    keys: Sequence[frozenset[LockKey]], numbers: Mapping[tuple[str, str], int]
) -> Iterator[list[int]]:
    """Yield the indices of scripts per round. Scripts of one round share no inbox, and the order per inbox is
    preserved. `numbers` maps the names of existing inboxes, so that the name and the number of an inbox count as the
    same."""
    next_round: dict[LockKey, int] = {}
    rounds: list[list[int]] = []
    for index, inboxes in enumerate(keys):
        unique = [numbers.get(inbox, inbox) if isinstance(inbox, tuple) else inbox for inbox in inboxes]
        turn = max((next_round.get(inbox, 0) for inbox in unique), default=0)
        next_round.update(dict.fromkeys(unique, turn + 1))
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(index)
    return iter(rounds)
