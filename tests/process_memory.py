"""The memory of a process, for tests of what it must not contain."""

from contextlib import suppress
from pathlib import Path


def memory_of(pid):
    """Return the memory of a process."""
    regions = []
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions, *_, name = f"{line} -".split()[:7]
            if not permissions.startswith("rw") or name.startswith("[v"):
                continue
            start, end = (int(site, 16) for site in span.split("-"))
            memory.seek(start)
            with suppress(OSError):  # a guard page
                regions.append(memory.read(end - start))
    return b"".join(regions)
