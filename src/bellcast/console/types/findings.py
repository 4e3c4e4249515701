"""Findings of the doctor: `bellcast doctor`, and `POST /v1/doctor`."""

from collections.abc import AsyncGenerator
from typing import Literal, NamedTuple, Protocol

FindingState = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """Result of one check. `fix` is empty if the state is ok."""

    check: str
    state: FindingState
    what: str
    fix: str = ""


class Doctor(Protocol):
    """Checks the server from inside."""

    def findings(self) -> AsyncGenerator[Finding]:
        """Yield the finding of each check when it ends, within a bounded time. Raises TooMany while another run is in progress."""
        ...
