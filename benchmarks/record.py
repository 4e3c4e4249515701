"""The record of a run: figures, machine and commit, saved as JSON."""

import datetime
import importlib.metadata
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import engines, peers
from benchmarks.suite import BenchmarkResult

CHECKOUT = Path(__file__).parents[1]
PACKAGES = ("bellcast", "httptools", "msgspec", "uvicorn", "uvloop")


class Commit(msgspec.Struct, frozen=True):
    id: str
    dirty: bool


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "disk": _filesystem(Path(tempfile.gettempdir())),
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "peers": peers.versions(),
        "engines": engines.versions(),
    }


def commit() -> Commit | None:
    """Return the checked-out commit; None outside a checkout."""
    git = shutil.which("git")
    if not git or not (CHECKOUT / ".git").exists():
        return None
    head = _output([git, "rev-parse", "--short=10", "HEAD"])
    # Committed results do not change the measured code.
    changes = _output([git, "status", "--porcelain", "--", ".", ":!benchmarks/results"])
    return Commit(head, bool(changes))


def build(results: Sequence[BenchmarkResult]) -> dict[str, Any]:
    """Return the record of a run, ready for JSON."""
    head_commit = commit()
    return {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": msgspec.to_builtins(head_commit),
        "machine": machine(),
        "benchmarks": {result.name: _plain(result, head_commit) for result in results},
    }


def save(run: Mapping[str, Any]) -> Path | None:
    """Save to benchmarks/results of the checkout and return the path; None outside a checkout. A later run of the same
    day
    and commit adds its benchmarks to the file."""
    if run["commit"] is None:
        return None
    folder = CHECKOUT / "benchmarks" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.datetime.now(datetime.UTC).date()}-{run['commit']['id']}.json"
    before = msgspec.json.decode(path.read_bytes())["benchmarks"] if path.exists() else {}
    path.write_bytes(pretty({**run, "benchmarks": {**before, **run["benchmarks"]}}))
    return path


def pretty(run: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"


def _plain(result: BenchmarkResult, head_commit: Commit | None) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(result)
    for figure, out in zip(result.figures, plain["figures"], strict=True):
        out |= {"verdict": figure.verdict, "ratios": figure.ratios}
    return {**plain, "dirty": head_commit.dirty if head_commit else None}


def _filesystem(path: Path) -> str:
    """Return the file system type of a path, since durable sends on tmpfs are meaningless."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if path.resolve().is_relative_to(mount) and len(mount) > len(best[0]):
            best = (mount, kind)
    return best[1]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _output(command: list[str]) -> str:
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()
