"""Causes omit the addresses, ids and long numbers of failures, and keep statuses."""

import pytest

from bellcast.replays import MAX_CAUSE, cause_of


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (None, "unknown"),
        ("  \n", "unknown"),
        ("550 5.1.1 <bob@example.com>: no such user", "5.1.1 ADDRESS: no such user"),
        ("5.1.1 <bob@example.com>: no such user", "5.1.1 ADDRESS: no such user"),
        ("550 no such user", "550 no such user"),
        ("451 4.7.1 greylisted, queue id 4XJ1k20Qqz12", "4.7.1 greylisted, queue id ID"),
        ("HTTP 502 from https://api.example.com/v1?key=1", "HTTP 502 from URL"),
        ("HTTP 400: +4915112345678 is not a valid number", "HTTP 400: NUMBER is not a valid number"),
        ("run 01977420-dc00-7000-8000-000000000001 was lost", "run ID was lost"),
        ("KeyError:\n  'timezone'", "KeyError: 'timezone'"),
        ("HTTP 401: authenticate", "HTTP 401: authenticate"),
    ],
)
def test_cause_is_the_reason_without_its_variable_parts(reason: str | None, cause: str) -> None:
    assert cause_of(reason) == cause


@pytest.mark.parametrize("part", ["a", "a-", "1a", "@", "a@", "https://", "1"])
def test_long_reason_is_cut(part: str) -> None:
    assert len(cause_of(part * 100_000)) <= MAX_CAUSE
