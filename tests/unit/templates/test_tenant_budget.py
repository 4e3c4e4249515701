"""CPU time of the templates of one tenant."""

import asyncio
import itertools
import threading
from datetime import tzinfo
from typing import Any

import pytest

from bellcast.kernel.errors import TooMany
from bellcast.templates import budget
from bellcast.templates.budget import CPU_SHARE, MAX_SLOW, MAX_SLOW_TEXTS, STOPPED_SECONDS, TemplateError, budget_of
from bellcast.templates.rendering import Renderer
from bellcast.templates.types import Variables

SLOW = "{% for i in range(data) %}{% for j in range(data) %}{% endfor %}{% endfor %}x"
ENDLESS = 30_000


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the budgets, which the test sets."""
    time = [1_000.0]
    monkeypatch.setattr(budget, "monotonic", lambda: time[0])
    return time


@pytest.fixture
def renderings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The budgets of CPU time that renderings began with; those of large loops use them up without computing."""
    begun: list[str] = []

    class Counted(budget.Rendering):
        def __init__(
            self, variables: dict[str, int], seconds: float, locale: Any, zone: tzinfo, *, is_strict: bool
        ) -> None:
            super().__init__(variables, 0 if variables["data"] == ENDLESS else 60, locale, zone, is_strict=is_strict)
            begun.append("rendering")

    monkeypatch.setattr(budget, "Rendering", Counted)
    return begun


def render(tenant: str, data: int = ENDLESS, *, is_strict: bool = True) -> str:
    return Renderer(Variables(values={"data": data}, tenant=tenant), is_strict=is_strict).render(SLOW)


def test_charged_time_delays_the_next_rendering_of_the_tenant(now: list[float]) -> None:
    acme, globex = budget_of("acme"), budget_of("globex")
    acme.charge(CPU_SHARE)
    assert acme.seconds_to_wait() == 0
    acme.charge(1)
    assert (acme.seconds_to_wait(), globex.seconds_to_wait()) == (pytest.approx(1 / CPU_SHARE), 0)
    now[0] += 1 / CPU_SHARE
    assert acme.seconds_to_wait() == 0


def test_rendering_is_charged_to_its_tenant(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(step=0.01)
    monkeypatch.setattr(budget, "thread_time", lambda: next(seconds))
    for _ in range(100):
        render("acme", 1)
    assert budget_of("acme").seconds_to_wait() > 0
    assert budget_of("globex").seconds_to_wait() == 0


async def test_wait_ends_when_the_time_is_available() -> None:
    acme = budget_of("acme")
    acme.charge(CPU_SHARE + 0.02)
    await acme.wait()
    assert acme.seconds_to_wait() == 0


async def test_charged_block_waits_for_the_time_and_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    acme, seconds = budget_of("acme"), itertools.count()
    monkeypatch.setattr(budget, "thread_time", lambda: next(seconds))
    acme.charge(CPU_SHARE + 0.02)
    async with acme.charging():
        assert acme.seconds_to_wait() == 0
    assert acme.seconds_to_wait() > 1


def test_slow_text_is_repeated_once_and_then_stopped_for_its_tenant(now: list[float], renderings: list[str]) -> None:
    for _ in range(MAX_SLOW):
        with pytest.raises(TemplateError, match=budget.TOO_SLOW):
            render("acme")
    assert len(renderings) == MAX_SLOW + 1
    for _ in range(40):
        with pytest.raises(TemplateError, match="is not rendered, because it took longer than"):
            render("acme")
    assert len(renderings) == MAX_SLOW + 1
    assert render("globex", 1) == "x"
    # A preview with other data does not stop the text of sends, nor the reverse.
    assert render("acme", 1, is_strict=False) == "x"
    now[0] += STOPPED_SECONDS
    assert render("acme", 1) == "x"


def test_text_that_renders_in_time_in_between_is_not_stopped(now: list[float], renderings: list[str]) -> None:
    for _ in range(MAX_SLOW):
        for _ in range(MAX_SLOW - 1):
            with pytest.raises(TemplateError, match=budget.TOO_SLOW):
                render("acme")
        assert render("acme", 1) == "x"


def test_slow_texts_of_a_tenant_are_bounded(now: list[float]) -> None:
    acme = budget_of("acme")
    for text in range(MAX_SLOW_TEXTS + 1):
        acme.add_slow(text)
    assert [one in acme.slow for one in (0, 1, MAX_SLOW_TEXTS)] == [False, True, True]


async def test_texts_of_a_tenant_are_compiled_one_at_a_time_and_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the previews of one author would hold all threads, which also check the passwords of others."""
    may_end, both_run, running = threading.Event(), threading.Barrier(3), list[str]()
    monkeypatch.setattr(budget, "thread_time", lambda: len(running) * 2.0)

    def compile(tenant: str) -> None:
        running.append(tenant)
        both_run.wait(60)
        may_end.wait(60)
        raise ValueError

    tasks = [asyncio.create_task(budget.in_thread(one, compile, one)) for one in ("busy", "busy", "other")]
    await asyncio.to_thread(both_run.wait, 60)
    assert sorted(running) == ["busy", "other"]
    assert budget_of("busy").seconds_to_wait() == 0
    monkeypatch.setattr(budget, "MAX_WAITING", 2)
    with pytest.raises(TooMany):
        await budget.in_thread("busy", compile, "busy")
    tasks[1].cancel()
    may_end.set()
    await asyncio.wait(tasks)
    assert isinstance(tasks[0].exception(), ValueError)
    assert budget_of("busy").seconds_to_wait() > 0
    assert budget_of("busy").waiting == 0
