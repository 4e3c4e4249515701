"""Findings of the doctor: `bellcast doctor`, and `POST /v1/doctor`."""

from typing import Literal, NamedTuple

FindingState = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """Result of one check. `fix` is empty if the state is ok."""

    check: str
    state: FindingState
    what: str
    fix: str = ""
