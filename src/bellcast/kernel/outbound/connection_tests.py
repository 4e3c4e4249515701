"""Tests of connections to other servers, step by step."""

from typing import Literal

from msgspec import Struct


class TestStep(Struct, frozen=True, kw_only=True):
    """One step of a test; `fix` is set if it failed. Skipped are the steps after a failed one, and those that do not apply."""

    step: str
    state: Literal["ok", "failed", "skipped"]
    ms: float
    detail: str
    fix: str | None


class TestReport(Struct, frozen=True):
    """The result of a test."""

    state: Literal["ok", "failed"]
    steps: list[TestStep]
