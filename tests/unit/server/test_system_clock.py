"""Steps of the system's clock."""

import time

import pytest
import structlog

from bellcast.kernel.clock import (
    BEGAN_AT,
    CHECK_MS,
    CONFIRM_MS,
    MAX_STEP_MS,
    SteadyClock,
    SystemClock,
    TestClock,
    request_time,
)

DAY_MS = 86_400_000


class Machine:
    """The clocks of a machine, in milliseconds."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000_000, 5_000
        self.clock = SystemClock(lambda: self.wall * 1_000_000, lambda: self.steady * 1_000_000)

    def pass_time(self, ms: int) -> int:
        self.wall += ms
        self.steady += ms
        return self.clock.now()


@pytest.mark.parametrize("step", [DAY_MS, -DAY_MS])
def test_short_step_of_the_clock_has_no_effect_and_is_logged(step: int) -> None:
    machine = Machine()
    before = machine.clock.now()
    with structlog.testing.capture_logs() as logs:
        machine.wall += step
        assert machine.pass_time(3_000) == before + 3_000
        assert machine.pass_time(1_000) == before + 4_000
        machine.wall -= step
        assert machine.pass_time(1_000) == before + 5_000
    assert [(one["event"], one["seconds"]) for one in logs] == [("clock_stepped", step / 1000)]


@pytest.mark.parametrize("step", [DAY_MS, -DAY_MS])
def test_lasting_step_of_the_clock_is_used(step: int) -> None:
    machine = Machine()
    before = machine.clock.now()
    with structlog.testing.capture_logs() as logs:
        machine.wall += step
        assert machine.clock.now() == before
        assert machine.pass_time(CONFIRM_MS) == before + CONFIRM_MS + step
        assert machine.pass_time(1) == before + CONFIRM_MS + step + 1
    assert [one["event"] for one in logs] == ["clock_stepped", "clock_step_used"]


def test_corrections_of_the_clock_are_used_at_once() -> None:
    machine = Machine()
    before = machine.clock.now()
    for _ in range(10):  # together more than a step
        machine.wall += 30_000
        before += 30_001
        assert machine.pass_time(1) == before


def test_time_is_checked_for_a_step_once_a_second() -> None:
    machine, checks = Machine(), []
    machine.clock = SystemClock(
        lambda: machine.wall * 1_000_000, lambda: checks.append(1) or machine.steady * 1_000_000
    )
    checks.clear()
    for _ in range(2 * CHECK_MS):
        machine.pass_time(1)
    assert len(checks) == 2


def test_steady_clock_starts_at_the_system_time_and_takes_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, system = SteadyClock(), time.time_ns
    before = clock.now()
    assert abs(before - system() // 1_000_000) < MAX_STEP_MS
    monkeypatch.setattr(time, "time_ns", lambda: system() - DAY_MS * 1_000_000)
    assert before <= clock.now() < before + MAX_STEP_MS


def test_what_a_request_creates_is_of_its_beginning_and_what_it_replaces_of_the_current_time() -> None:
    clock = TestClock(5)
    assert request_time(clock) == 5
    began = BEGAN_AT.set(0)
    try:
        assert (request_time(clock), request_time(clock, b"{}")) == (0, 5)
    finally:
        BEGAN_AT.reset(began)
