"""The default project's credentials: given by a setting, or made at the first start and kept in the data folder."""

import os
import secrets
import tempfile
from pathlib import Path

import msgspec

from bellcast.errors import SettingsError
from bellcast.model.people import Project
from bellcast.settings.groups import Secret, Settings


def project(settings: Settings) -> tuple[Project, bool]:
    """The project, and whether it was made just now (then its secret is to be shown, once)."""
    if settings.project is not None:
        return settings.project, False
    file = _file(settings)
    try:
        if file.exists():
            return _kept(file), False
        _keep(file, _made())
        # What lies there now: of two first starts at once, the later one's.
        return _kept(file), True
    except OSError as error:
        raise SettingsError(f"BELLCAST_DATA: {file} cannot be kept: {error}.") from None


def secret(settings: Settings) -> str | None:
    """The secret for commands that talk to a running server; None if there is none to be found."""
    if settings.client.secret is not None:
        return settings.client.secret
    if settings.project is not None:
        return settings.project.secret
    file = _file(settings)
    return _kept(file).secret if file.exists() else None


def _file(settings: Settings) -> Path:
    return settings.store.data / "project.json"


def _made() -> Project:
    return Project(str(100_000 + secrets.randbelow(900_000)), secrets.token_hex(10), secrets.token_urlsafe(32))


def _kept(file: Path) -> Project:
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=Project)
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(f"BELLCAST_DATA: {file} cannot be read: {error}.") from None
    if not (kept.id and kept.key and kept.secret):
        raise SettingsError(f"BELLCAST_DATA: {file} lacks a part of the credentials.")
    return Project(kept.id, kept.key, Secret(kept.secret))


def _keep(file: Path, project: Project) -> None:
    """Whole or not at all, readable by its owner only, on the disk before anybody is told."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".project-")  # mkstemp's mode is 0600
    with os.fdopen(handle, "wb") as written:
        written.write(msgspec.json.encode(project))
        written.flush()
        os.fsync(written.fileno())
    Path(name).replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
