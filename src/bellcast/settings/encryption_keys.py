"""The keys that encrypt secrets in the store: from a setting, or generated in the data folder."""

import secrets
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from bellcast.kernel.errors import SettingsError
from bellcast.kernel.identities import Project
from bellcast.settings import parsers
from bellcast.settings.credentials import read_private, write_private
from bellcast.settings.groups import Settings


class EncryptionKeys(Struct, frozen=True):
    """`current` encrypts. The previous ones only decrypt, newest first. `ids` name all of them, the current one first.
    The keys of a ring are replaced one by one, so nothing permanent may be derived from them; `identity` is the initial
    secret to derive from."""

    current: str
    previous: tuple[str, ...]
    ids: tuple[str, ...]
    identity: str
    is_ring: bool = False

    def __repr__(self) -> str:
        return f"EncryptionKeys(ids={self.ids})"


class StoredKeys(Struct, frozen=True):
    """The file in the data folder: keys, newest first."""

    keys: tuple[str, ...]


def encryption_keys(settings: Settings, project: Project) -> EncryptionKeys:
    """Return the keys; the first call generates the file, unless a setting has the key or the project.

    If the project is a setting, its nodes need not share a data folder: without BELLCAST_ENCRYPTION_KEY, they all use
    the project secret. The project secret always decrypts, because it was the key before files existed."""
    stored = _stored(_file(settings))
    configured = settings.channels.encryption_key
    if configured is not None:
        ring = parsers.key_ring(configured)
        named = ring or (("setting", configured),)
        # A single key may look like a ring with one entry.
        whole = [("whole setting", configured)] if ring is not None and len(ring) == 1 else []
        return _keys([*named, *whole, *_named(stored)], project, named[-1][1], is_ring=ring is not None)
    if not stored and settings.project is not None:
        return _keys([], project, project.secret)
    if not stored:
        # Write the first key. Two processes that start together both use the one written first.
        write_private(_file(settings), StoredKeys((secrets.token_urlsafe(32),)), replaces=False)
        stored = _stored(_file(settings))
    return _keys(_named(stored), project, project.secret)


def _named(stored: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"encryption.json {number}", key) for number, key in enumerate(stored, 1)]


def _keys(
    named: Sequence[tuple[str, str]], project: Project, identity: str, *, is_ring: bool = False
) -> EncryptionKeys:
    """Return the keys. The project secret always decrypts, because it was the key before files existed."""
    second = [] if project.second is None else [("second secret", project.second)]
    ids, keys = zip(*named, ("project secret", project.secret), *second, strict=True)
    return EncryptionKeys(keys[0], keys[1:], ids, identity, is_ring)


def rotate(settings: Settings) -> Path:
    """Prepend a new key to the file, and return the file's path. Raises SettingsError if the key is a setting.

    All former keys stay: they decrypt older backups, and until the next start of the server also the store."""
    if settings.channels.encryption_key is not None:
        raise SettingsError("BELLCAST_ENCRYPTION_KEY: the key is a setting, so a key in the data folder is not used.")
    if settings.project is not None:
        raise SettingsError(
            "BELLCAST_PROJECT: other nodes of this project cannot read the data folder. Set a new BELLCAST_ENCRYPTION_KEY "
            "on all of them instead."
        )
    file = _file(settings)
    write_private(file, StoredKeys((secrets.token_urlsafe(32), *_stored(file))))
    return file


def _stored(file: Path) -> tuple[str, ...]:
    stored = read_private(file, StoredKeys)
    if stored is None:
        return ()
    if not stored.keys or not all(stored.keys):
        raise SettingsError(f"BELLCAST_DATA: {file} has no key.")
    return stored.keys


def _file(settings: Settings) -> Path:
    return settings.store.data / "encryption.json"
