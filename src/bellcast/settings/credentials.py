"""The default project's credentials: given by a setting, or made at the first start and kept in the data folder."""

import os
import secrets
import tempfile
from pathlib import Path

import msgspec

from bellcast.errors import SettingsError
from bellcast.model.identities import Project
from bellcast.settings.groups import Secret, Settings


def project(settings: Settings) -> tuple[Project, bool]:
    """The project, and whether it was made just now (then its secret is to be shown, once)."""
    if settings.project is not None:
        return settings.project, False
    file = _file(settings)
    found = stored(settings)
    if found is not None:
        return found, False
    try:
        write_private(file, msgspec.json.encode(_generate()))
    except OSError as error:
        raise SettingsError(f"BELLCAST_DATA: {file} cannot be kept: {error}.") from None
    # What lies there now: of two first starts at once, the later one's.
    return _load(file, file.read_bytes()), True


def known(settings: Settings) -> Project | None:
    """Return the project of BELLCAST_PROJECT or of the data folder; None if there is neither."""
    return settings.project or stored(settings)


def stored(settings: Settings) -> Project | None:
    """Return the credentials in the data folder; None if there are none. Raises SettingsError if they are unreadable."""
    file = _file(settings)
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SettingsError(
            f"BELLCAST_DATA: {file} cannot be read: {error.strerror}. Run this as the user that runs the server, or "
            "set BELLCAST_SECRET or BELLCAST_PROJECT."
        ) from None
    return _load(file, content)


def secret(settings: Settings) -> str | None:
    """The secret for commands that talk to a running server; None if there is none to be found."""
    if settings.client.secret is not None:
        return settings.client.secret
    found = known(settings)
    return None if found is None else found.secret


def write_private(file: Path, content: bytes) -> None:
    """Write a file atomically and durably, readable by its owner only; its folder is created if needed."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}-")  # mkstemp's mode is 0600
    with os.fdopen(handle, "wb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())
    Path(name).replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _file(settings: Settings) -> Path:
    return settings.store.data / "project.json"


def _generate() -> Project:
    return Project(str(100_000 + secrets.randbelow(900_000)), secrets.token_hex(10), secrets.token_urlsafe(32))


def _load(file: Path, content: bytes) -> Project:
    try:
        kept = msgspec.json.decode(content, type=Project)
    except msgspec.DecodeError as error:
        raise SettingsError(f"BELLCAST_DATA: {file} cannot be read: {error}.") from None
    if not (kept.id and kept.key and kept.secret):
        raise SettingsError(f"BELLCAST_DATA: {file} lacks a part of the credentials.")
    return Project(kept.id, kept.key, Secret(kept.secret))
