"""What `bellcast doctor` can see on this machine: settings, folder, store, disk, files, clock."""

import os
import resource
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from bellcast.cli import data_folder, database_checks
from bellcast.cli.findings import Finding, State
from bellcast.errors import BellcastError
from bellcast.model import patterns
from bellcast.settings import Settings
from bellcast.storage import backup
from bellcast.storage.migrations import sqlite as migrations

# A store that cannot grow refuses every send; below the first somebody has to act today, below the second soon.
DISK_PROBLEM, DISK_WARNING = 200_000_000, 2_000_000_000
# Each live connection is an open file, and some fifty are the server's own.
OWN_FILES, FEW_FILES = 50, 10_000
# Session tokens allow 2 s between two clocks; a file from further ahead means that this one went back.
CLOCK_LEEWAY_S = 60
# When this was written; a clock before it was never set.
EARLIEST = 1_750_000_000
# Names that speak of one person. Every subscriber of a public topic receives all of its events.
PERSONAL = ("user", "private", "recipient", "inbox", "account", "customer", "person", "profile", "@")
# These settings are this shell's: a server started elsewhere may have others.
HERE = "as set in this shell: "
LOCAL = ("localhost", "127.0.0.1", "::1")

# HS256 wants a key of at least 256 bits (RFC 7518, 3.2).
LEAST_SECRET = 32


def machine(settings: Settings) -> Iterator[Finding]:
    """Everything that needs no server."""
    yield from _readable("data folder", _folder(settings))
    yield from _readable("credentials", _credentials(settings))
    if settings.store.is_file:
        yield from _readable("store", _store(settings.store.path))
    yield from database_checks.examined(settings)
    yield from _readable("disk", _disk(settings))
    yield from _files()
    yield from _readable("clock", _clock(settings))
    yield from _public_topics(settings)
    yield from _origins(settings)
    yield from _proxies(settings)


def _readable(check: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings of one check; a problem if what it looks at cannot be read."""
    try:
        yield from findings
    except OSError as error:
        what = f"{error.filename} cannot be read: {error.strerror}"
        yield Finding(check, "problem", what, f"run this as the user that runs the server; this is {_me()}")


def _folder(settings: Settings) -> Iterator[Finding]:
    data = settings.store.data
    if not data.is_dir():
        yield Finding("data folder", "warning", f"{data} is not there yet", "the first `bellcast serve` makes it")
    elif not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("data folder", "problem", f"{data} cannot be written", f"chown it to who runs this: {_me()}")
    elif stat.S_IMODE(data.stat().st_mode) & 0o007:
        yield Finding("data folder", "warning", f"everybody here can read {data}", f"chmod 700 {data}")
    else:
        yield Finding("data folder", "ok", str(data))


def _me() -> str:
    return f"user {os.getuid()}"


def _credentials(settings: Settings) -> Iterator[Finding]:
    kept = data_folder.credentials(settings)
    if settings.project is not None and len(settings.project.secret) < LEAST_SECRET:
        what = f"the secret in BELLCAST_PROJECT has {len(settings.project.secret)} characters: it can be guessed"
        yield Finding("credentials", "warning", what, "make one of 32 or more: `openssl rand -base64 32`")
    elif settings.project is not None:
        yield Finding("credentials", "ok", "from BELLCAST_PROJECT")
    elif not kept.exists():
        yield Finding("credentials", "warning", "none yet", "the first `bellcast serve` makes them")
    elif stat.S_IMODE(kept.stat().st_mode) & 0o077:
        yield Finding("credentials", "problem", f"others can read {kept}", f"chmod 600 {kept}")
    else:
        yield Finding("credentials", "ok", f"{kept}, readable by its owner only")


def _store(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield Finding("store", "warning", f"{path} is not there yet", "the first `bellcast serve` makes it")
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            backup.verify(connection)
            version, known = migrations.version(connection), len(migrations.steps())
    except (BellcastError, sqlite3.Error) as error:
        yield Finding("store", "problem", f"{path}: {error}", "restore a backup with `bellcast restore`")
        return
    if version < known:
        fix = "`bellcast migrate`, or start the server"
        yield Finding("store", "warning", f"{path} is at version {version} of {known}", fix)
    else:
        yield Finding("store", "ok", f"{path} is whole, version {version}")


def _disk(settings: Settings) -> Iterator[Finding]:
    kept = settings.store.path if settings.store.is_file else data_folder.credentials(settings)
    there = next(parent for parent in kept.absolute().parents if parent.exists())
    free = shutil.disk_usage(there).free
    what = f"{free / 1e9:.1f} GB free for {there}"
    if free >= DISK_WARNING:
        yield Finding("disk", "ok", what)
        return
    state: State = "problem" if free < DISK_PROBLEM else "warning"
    yield Finding("disk", state, what, "make room, or shorten BELLCAST_RETENTION: a full disk refuses every send")


def _files() -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        yield Finding("open files", "ok", "no limit")
        return
    what = f"{hard:,} at most: room for about {hard - OWN_FILES:,} live connections"
    if hard < FEW_FILES:
        yield Finding("open files", "warning", what, "raise the hard limit (ulimit -Hn, systemd's LimitNOFILE=)")
    else:
        yield Finding("open files", "ok", what)


def _clock(settings: Settings) -> Iterator[Finding]:
    now = time.time()  # noqa: TID251  it is this machine's clock that is looked at
    path = settings.store.path if settings.store.is_file else data_folder.credentials(settings)
    written = path.stat().st_mtime if path.exists() else 0
    if now < EARLIEST:
        yield Finding("clock", "problem", "it was never set", "set it, best by NTP: session tokens end by it")
    elif written > now + CLOCK_LEEWAY_S:
        yield Finding("clock", "problem", f"{path} was written in the future: it went back", "set it, best by NTP")
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def _public_topics(settings: Settings) -> Iterator[Finding]:
    public = settings.access.public_topics
    personal = [pattern for pattern in public if _is_personal(pattern)]
    if personal:
        fix = "follow them by subscription, or by the session token's `topics`; take them out of BELLCAST_PUBLIC_TOPICS"
        yield Finding("public topics", "warning", f"{HERE}anybody can follow {', '.join(personal)}", fix)
    else:
        yield Finding("public topics", "ok", HERE + (", ".join(public) or "none"))


def _is_personal(pattern: str) -> bool:
    return any(word in pattern.lower() for word in PERSONAL) or patterns.matches(pattern, "user.1")


def _origins(settings: Settings) -> Iterator[Finding]:
    declared = settings.access.origins
    open_ = [origin for origin in declared if origin.startswith("http://") and urlsplit(origin).hostname not in LOCAL]
    if open_:
        what = f"{HERE}{', '.join(open_)}: pages without TLS, whose tokens anybody on the way can read"
        yield Finding("origins", "warning", what, "serve them with https://")
    elif settings.access.session_url and not declared:
        what = f"{HERE}cookies are accepted from this server's own pages only"
        yield Finding("origins", "warning", what, "name your pages' origins in BELLCAST_ORIGINS")
    else:
        yield Finding("origins", "ok", HERE + (", ".join(declared) or "any page that has a session token"))


def _proxies(settings: Settings) -> Iterator[Finding]:
    trusted = settings.server.trusted_proxies
    if any(network.endswith("/0") for network in trusted):
        fix = "name your proxy's address in BELLCAST_TRUSTED_PROXIES"
        yield Finding("proxies", "problem", f"{HERE}everybody's X-Forwarded-For is believed", fix)
    elif settings.server.host not in LOCAL and not trusted:
        what = f"{HERE}listening on {settings.server.host} with none in front"
        yield Finding("proxies", "warning", what, "put TLS in front, and name that proxy in BELLCAST_TRUSTED_PROXIES")
    else:
        yield Finding("proxies", "ok", HERE + (", ".join(trusted) or "none"))
