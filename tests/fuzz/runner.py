"""Runs a fuzzing target for a limited time with Hypothesis."""

import os
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from tests import thoroughness

# 25 targets. By hand: `FUZZ_TARGET_SECONDS=600 pytest tests/fuzz -s --timeout 0`.
TARGET_SECONDS = 0.5
THOROUGH_TARGET_SECONDS = 4.0
BATCH_EXAMPLES = 25

T = TypeVar("T")


def fuzz(name: str, inputs: SearchStrategy[T], check: Callable[[T], None], seeds: Sequence[T] = ()) -> None:
    """Call `check` with every seed, then with generated inputs until the time is over; print the number of inputs.

    `check` fails by raising. Hypothesis shrinks the failing input and prints it."""
    count = 0

    def counted(value: T) -> None:
        nonlocal count
        count += 1
        check(value)

    for seed in seeds:
        counted(seed)
    batch = settings(
        max_examples=BATCH_EXAMPLES,
        deadline=None,  # a loaded machine pauses; targets bound their own work where time matters
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    default = THOROUGH_TARGET_SECONDS if thoroughness.is_thorough else TARGET_SECONDS
    seconds = float(os.environ.get("FUZZ_TARGET_SECONDS", default))
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        batch(given(inputs)(counted))()
    print(f"\nfuzz {name}: {count:,} inputs in {time.monotonic() - started:.0f} s")
