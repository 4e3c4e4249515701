"""The URL of the server that ran last, stored in the data folder for the commands and the Python client."""

from pathlib import Path

import msgspec
from msgspec import Struct

from bellcast.settings.credentials import write_private
from bellcast.settings.groups import Settings

# Used if neither BELLCAST_URL nor a stored URL is known: where `bellcast serve` listens by default.
DEFAULT_URL = "http://127.0.0.1:8787"


class _StoredAddress(Struct, frozen=True):
    url: str


def url(settings: Settings) -> str:
    """Return the URL of the server that commands call: BELLCAST_URL, else the stored URL, else the default."""
    return settings.client.url or stored(settings) or DEFAULT_URL


def stored(settings: Settings) -> str | None:
    """Return the URL that the last `bellcast serve` stored; None without one, or if the file is unreadable."""
    try:
        return msgspec.json.decode(_file(settings).read_bytes(), type=_StoredAddress).url
    except (OSError, msgspec.DecodeError):
        return None


def store(settings: Settings, url: str) -> None:
    """Store the URL on which the server accepts connections. Raises OSError if the folder cannot be written."""
    write_private(_file(settings), msgspec.json.encode(_StoredAddress(reachable(url))))


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


def _file(settings: Settings) -> Path:
    return settings.store.data / "server.json"
