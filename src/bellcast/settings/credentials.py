"""Files of the data folder: the default project's credentials and the keys that encrypt secrets in the store, which settings can
replace, and the URL of the server that ran last, for the commands and the Python client."""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from bellcast.kernel.errors import SettingsError
from bellcast.kernel.identities import Project
from bellcast.settings import parsers
from bellcast.settings.parsers import Secret
from bellcast.settings.table import Settings

T = TypeVar("T")


def project(settings: Settings) -> tuple[Project, bool]:
    """Return the project, and True if it was generated now, so that the caller shows its secret once."""
    file, existing = credentials_file(settings), existing_project(settings)
    if existing is not None:
        return msgspec.structs.replace(existing, second=settings.second_secret), False
    generated = Project(str(100_000 + secrets.randbelow(900_000)), secrets.token_hex(10), secrets.token_urlsafe(32))
    is_new = write_private(file, generated, replaces=False)
    return stored(settings) or generated, is_new


def existing_project(settings: Settings) -> Project | None:
    """Return the project of BELLCAST_PROJECT or of the data folder; None if there is neither."""
    return settings.project or stored(settings)


def stored(settings: Settings) -> Project | None:
    """Return the credentials in the data folder, or None. Raises SettingsError if they are unreadable."""
    file = credentials_file(settings)
    advice = " Run this as the user that runs the server, or set BELLCAST_SECRET or BELLCAST_PROJECT."
    project = _read_private(file, Project, unreadable=advice, damaged=" Restore it, or delete it.")
    if project is None:
        return None
    if not (project.id and project.key and project.secret):
        raise SettingsError(f"BELLCAST_DATA: {file} lacks the id, the key or the secret. Restore it, or delete it.")
    return Project(project.id, project.key, Secret(project.secret))


def prepare_folder(settings: Settings) -> None:
    """Create missing folders, and set the umask so that only the owner can read files of this process: they contain the
    notifications of all recipients."""
    os.umask(0o077)
    store = {settings.store.path.parent} if settings.store.is_file else set()
    for folder in {settings.store.data} | store:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = "a file has this name" if isinstance(error, FileExistsError) else error.strerror
            raise SettingsError(
                f"BELLCAST_DATA: the folder {folder} cannot be created: {reason}. Choose another with --data."
            ) from None


def _read_private(file: Path, kind: type[T], *, unreadable: str = "", damaged: str = "") -> T | None:
    """Return the content of a file of the data folder, or None without it. Raises SettingsError, with one of the advices."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SettingsError(f"BELLCAST_DATA: {file} cannot be read: {error.strerror}.{unreadable}") from None
    except msgspec.DecodeError as error:
        raise SettingsError(f"BELLCAST_DATA: {file} cannot be read: {error}.{damaged}") from None


def write_private(file: Path, content: object, *, replaces: bool = True) -> bool:
    """Write a file of the data folder atomically and durably, readable by its owner only, the owner of the folder if root writes
    it; the folder is created if needed. Unless it `replaces` one, of concurrent first starts all use the first one's. Return True
    if it was written. Raises SettingsError."""
    from bellcast.kernel.db.sqlite_connection import give_to_owner, sync

    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}-")  # mkstemp's mode is 0600
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as output:
                give_to_owner(output.fileno(), file.parent)
                output.write(msgspec.json.encode(content))
            sync(temporary)
            temporary.replace(file) if replaces else os.link(temporary, file)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        sync(file.parent)
    except OSError as error:
        raise SettingsError(f"BELLCAST_DATA: {file} cannot be written: {error}.") from None
    return True


def credentials_file(settings: Settings) -> Path:
    """Return the path of the credentials, which the first start creates."""
    return settings.store.data / "project.json"


# Used if neither BELLCAST_URL nor a stored URL is known: where `bellcast serve` listens by default.
DEFAULT_URL = "http://127.0.0.1:8787"


def url(settings: Settings) -> str:
    """Return the URL of the server that commands call: BELLCAST_URL, else the stored URL, else the default."""
    return settings.client.url or stored_url(settings) or DEFAULT_URL


def stored_url(settings: Settings) -> str | None:
    """Return the URL that the last `bellcast serve` stored; None without one, or if the file is unreadable."""
    try:
        stored = msgspec.json.decode((settings.store.data / "server.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return None
    found = stored.get("url")
    return found if isinstance(found, str) else None


def store_url(settings: Settings, url: str) -> None:
    """Store the URL on which the server accepts connections. Raises SettingsError if the folder cannot be written."""
    write_private(settings.store.data / "server.json", {"url": reachable(url)})


def listening(host: str, port: int) -> str:
    """Return the URL of a server that listens on this address."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def reachable(url: str) -> str:
    """Return the URL with loopback in place of the wildcard address, to which clients cannot connect."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def setup_link(settings: Settings, url: str, code: str) -> str:
    """Return the link that sets up the console: at the public URL if it is known, else at this URL of the server."""
    base = (settings.channels.public_url or url).rstrip("/")
    return f"{base}/console/setup#code={code}"  # a fragment is not sent to servers, so no access log contains it


# --- the keys that encrypt secrets in the store


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

    def __rich_repr__(self) -> list[tuple[str, tuple[str, ...]]]:
        return [("ids", self.ids)]


class StoredKeys(Struct, frozen=True):
    """The file in the data folder: keys, newest first. Fields of other versions are ignored."""

    keys: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1)]


def encryption_keys(settings: Settings, project: Project) -> EncryptionKeys:
    """Return the keys; the first call generates the file, unless a setting has the key or the project.

    If the project is a setting, its nodes need not share a data folder: without BELLCAST_ENCRYPTION_KEY, they all use
    the project secret. The project secret always decrypts, because it was the key before files existed."""
    file, configured = _file(settings), settings.channels.encryption_key
    keys = _stored(file)
    if not keys and configured is None and settings.project is None:
        # Write the first key. Two processes that start together both use the one written first.
        write_private(file, StoredKeys((secrets.token_urlsafe(32),)), replaces=False)
        keys = _stored(file)
    named = [(f"encryption.json {number}", key) for number, key in enumerate(keys, 1)]
    ring, identity = None, project.secret
    if configured is not None:
        ring = parsers.key_ring(configured)
        own = ring or (("setting", configured),)
        identity = own[-1][1]
        # A single key may look like a ring with one entry.
        whole = [("whole setting", configured)] if ring is not None and len(ring) == 1 else []
        named = [*own, *whole, *named]
    second = [] if project.second is None else [("second secret", project.second)]
    ids, values = zip(*named, ("project secret", project.secret), *second, strict=True)
    return EncryptionKeys(values[0], values[1:], ids, identity, is_ring=ring is not None)


def rotate_encryption_key(settings: Settings) -> Path:
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
    unreadable, damaged = " Run this as the user that runs the server.", " Restore your copy of it."
    stored = _read_private(file, StoredKeys, unreadable=unreadable, damaged=damaged)
    return () if stored is None else stored.keys


def _file(settings: Settings) -> Path:
    return settings.store.data / "encryption.json"
