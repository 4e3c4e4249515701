"""Whose inboxes a script writes to, said beside the script: an engine with many writers holds them before it begins.

The scripts were written for one writer at a time. Where there are many, a script has an inbox to itself while it runs,
and all writers take inboxes in one order, so that none waits for another in a circle. A script that says nothing runs
alone and is run again when another process came between.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from bellcast.storage.engine import Script

# By its number, or by its tenant and key when it may not be there yet.
LockKey: TypeAlias = int | tuple[str, str]
LockRule: TypeAlias = Callable[..., Iterable[LockKey]]
F = TypeVar("F", bound=Callable[..., Script[Any]])

_rules: dict[Callable[..., Script[Any]], LockRule] = {}


def locks(inboxes: LockRule) -> Callable[[F], F]:
    """Say whose inboxes a script writes to, from its own arguments; none is said by an empty list."""

    def note(script: F) -> F:
        _rules[script] = inboxes
        return script

    return note


# Whose work it is where a script names inboxes by number or says nothing: what people do themselves, and upkeep.
NO_TENANT = "\x00"


def tenant_of(touched: Iterable[frozenset[LockKey] | None]) -> str:
    """Whose turn these scripts take."""
    for inboxes in touched:
        for inbox in inboxes or ():
            if isinstance(inbox, tuple):
                return inbox[0]
    return NO_TENANT


class ScriptCall(NamedTuple):
    """A script that is to be run, from its beginning, as often as it takes."""

    script: Callable[..., Script[Any]]
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}

    def __call__(self) -> Script[Any]:
        """A fresh run."""
        return self.script(*self.args, **self.kwargs)

    @property
    def inboxes(self) -> frozenset[LockKey] | None:
        """Whose inboxes it writes to; None if it does not say."""
        touching = _rules.get(self.script)
        return None if touching is None else frozenset(touching(*self.args, **self.kwargs))
