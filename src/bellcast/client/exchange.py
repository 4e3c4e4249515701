"""Trying a plan's requests until they are settled: which failures to try again, and when.

Sans-I/O: an `Exchange` says what to do next (send a request, pause) and is told what came of it.
"""

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from bellcast.client.answers import Problem
from bellcast.client.errors import (
    BellcastError,
    Forbidden,
    NotFound,
    RequestRefused,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from bellcast.client.request import Answer, Plan, Request

T = TypeVar("T")

_REFUSALS: dict[int, type[RequestRefused]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 429: TooManyRequests}
# The server says it did nothing: asking again is always safe.
_NOT_NOW = frozenset({429, 503})
# A proxy lost the server behind it, perhaps in the middle of the work.
_LOST_BEHIND = frozenset({502, 504})


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came. `delivered` is whether the server may have done it all the same."""

    error: Exception
    delivered: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait, in seconds, before the next try."""

    seconds: float


Outcome = Answer | Lost
Step = Request[Any] | Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often to try, and how long to wait between: doubling from `first`, never beyond `longest`, with jitter."""

    tries: int = 4
    first: float = 0.2
    longest: float = 20.0
    chance: Callable[[], float] = random.random

    def wait(self, request: Request[Any], tried: int, outcome: Outcome) -> float | None:
        """Seconds until the next try; None when there must be none."""
        if tried >= self.tries or not _worth_repeating(request, outcome):
            return None
        told = _retry_after(outcome)
        if told is None:
            # Full jitter: those who failed together do not come back together.
            return self.chance() * min(self.longest, self.first * 2.0**tried)
        return told + self.chance() * self.first if told <= self.longest else None


class Exchange(Generic[T]):
    """A plan being carried out: take the `step`, `tell` what came of it, until there is no step and the `result` is there."""

    def __init__(self, plan: Plan[T], retries: Retries) -> None:
        self._steps = _carry_out(plan, retries)
        self.step: Step | None = None
        self.result: T
        self.tell(None)

    def tell(self, outcome: Outcome | None) -> None:
        try:
            self.step = self._steps.send(outcome)
        except StopIteration as end:
            self.step, self.result = None, end.value


def _carry_out(plan: Plan[T], retries: Retries) -> Generator[Step, Any, T]:
    talk = iter(plan)
    try:
        request = next(talk)
        while True:
            try:
                value = yield from _settle(request, retries)
            except BellcastError as error:
                request = talk.throw(error)
            else:
                request = talk.send(value)
    except StopIteration as end:
        result: T = end.value
        return result


def _settle(request: Request[T], retries: Retries) -> Generator[Step, Any, T]:
    """Try one request until it is answered for good, or raise what stands in the way."""
    tried, doubtful = 0, False
    while True:
        outcome: Outcome = yield request
        tried += 1
        if isinstance(outcome, Answer) and (_done(outcome) or (doubtful and _already_gone(request, outcome))):
            return request.decode(outcome)
        doubtful = doubtful or _perhaps_done(outcome)
        wait = retries.wait(request, tried, outcome)
        if wait is None:
            raise _failure(outcome)
        yield Pause(wait)


def _done(answer: Answer) -> bool:
    return 200 <= answer.status < 300 or answer.status == 304


def _already_gone(request: Request[Any], answer: Answer) -> bool:
    """A deletion whose first answer was lost finds nothing the second time: that is its success."""
    return request.method == "DELETE" and answer.status == 404


def _perhaps_done(outcome: Outcome) -> bool:
    return outcome.delivered if isinstance(outcome, Lost) else outcome.status in _LOST_BEHIND


def _worth_repeating(request: Request[Any], outcome: Outcome) -> bool:
    if _perhaps_done(outcome):
        return request.repeatable
    return isinstance(outcome, Lost) or outcome.status in _NOT_NOW


def _retry_after(outcome: Outcome) -> float | None:
    """The seconds the server asks to wait (a date, which only proxies send, counts as not said)."""
    if isinstance(outcome, Lost):
        return None
    told = outcome.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else None


def _failure(outcome: Outcome) -> BellcastError:
    if isinstance(outcome, Lost):
        error = Unavailable(f"no answer: {str(outcome.error) or type(outcome.error).__name__}")
        error.__cause__ = outcome.error
        return error
    problem, retry_after = _problem(outcome), _retry_after(outcome)
    if outcome.status in _NOT_NOW - {429} or outcome.status in _LOST_BEHIND:
        return Unavailable(f"{outcome.status} {problem.detail or problem.title}", retry_after)
    return _REFUSALS.get(outcome.status, RequestRefused)(problem, retry_after)


def _problem(answer: Answer) -> Problem:
    """The refusal in the server's words; a proxy in between may have put its own page there."""
    try:
        return msgspec.json.decode(answer.content, type=Problem)
    except msgspec.DecodeError:
        return Problem(status=answer.status, code="unknown", title="refused without a reason Bellcast would give")
