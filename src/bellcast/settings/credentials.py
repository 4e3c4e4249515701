"""Files of the data folder: the default project's credentials, which a setting can replace, and the URL of the server that ran last,
for the commands and the Python client."""

import os
import secrets
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from bellcast.kernel.errors import SettingsError
from bellcast.kernel.identities import Project
from bellcast.settings.groups import Secret, Settings

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
    project = read_private(file, Project, unreadable=advice, damaged=" Restore it, or delete it.")
    if project is None:
        return None
    if not (project.id and project.key and project.secret):
        raise SettingsError(f"BELLCAST_DATA: {file} lacks the id, the key or the secret. Restore it, or delete it.")
    return Project(project.id, project.key, Secret(project.secret))


def secret(settings: Settings) -> str | None:
    """Return the secret for commands that call a running server; None if none is configured or stored."""
    if settings.client.secret is not None:
        return settings.client.secret
    project = existing_project(settings)
    return None if project is None else project.secret


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


def read_private(file: Path, kind: type[T], *, unreadable: str = "", damaged: str = "") -> T | None:
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
    """Write a file of the data folder atomically and durably, readable by its owner only; the folder is created if needed. Unless it
    `replaces` one, of concurrent first starts all use the first one's. Return True if it was written. Raises SettingsError."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}-")  # mkstemp's mode is 0600
        temporary = Path(name)
        with os.fdopen(handle, "wb") as output:
            output.write(msgspec.json.encode(content))
            output.flush()
            os.fsync(output.fileno())
        try:
            temporary.replace(file) if replaces else os.link(temporary, file)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
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
        return msgspec.json.decode((settings.store.data / "server.json").read_bytes(), type=dict[str, str])["url"]
    except (OSError, msgspec.DecodeError, KeyError):
        return None


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
