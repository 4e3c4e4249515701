"""Fuzzing for a limited time: mangled client messages, and the growth of the server's memory."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.servers import ServerProcess

# Ten minutes before a release, seconds otherwise.
SECONDS = float(os.environ.get("FUZZ_SECONDS", "2"))
TIMEOUT = SECONDS + 240
WARM_UP = 300
# KiB that the second half of a run may add, however long it is: allocators fluctuate. This finds growth;
# test_memory_leaks.py finds leaks of single sessions.
ALLOWED = 2_000
PIECES = ['"', "{", "[", "]", ",", ":", "-", "/", "9", "é", "\x1e", "\\ud800", "b", "null"]


def mangled(rng: random.Random, seeds: list[str]) -> str | bytes:
    """Return one of the seeds with up to eight changes, some as bytes."""
    message = list(rng.choice(seeds))
    for _ in range(rng.choice([0, 0, 1, 1, 2, 8])):
        position = rng.randrange(len(message) + 1)
        message[position : position + rng.randrange(2)] = rng.choice(PIECES)
    text = "".join(message)
    return text.encode() if rng.random() < 0.1 else text


def growth_of(server: ServerProcess, attack: Callable[[], None]) -> int:
    """Return the growth of the server's memory during the second half of the attacks, in KiB."""
    for _ in range(WARM_UP):
        attack()
    sizes = []
    for _ in range(2):
        started = time.monotonic()
        while time.monotonic() - started < SECONDS / 2:
            attack()
        sizes.append(resident(server))
    return sizes[1] - sizes[0]


def resident(server: ServerProcess) -> int:
    """Return the resident memory in KiB."""
    assert server.process is not None
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
