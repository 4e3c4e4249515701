"""What `bellcast doctor` says: what was looked at, how it is, and what to do."""

from typing import Literal, NamedTuple

State = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """`fix` is empty where all is well."""

    check: str
    state: State
    what: str
    fix: str = ""
