"""Resolve the server URL and the secret of the client."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bellcast.client.errors import InvalidArgument, NotConfigured

DEFAULT_URL = "http://127.0.0.1:8787"  # default address of `bellcast serve`
DATA_FOLDER = "bellcast-data"
# Prefix of API keys, which cannot sign session tokens.
API_KEY = "bc_"
HELP = (
    "no secret: pass one, set BELLCAST_SECRET or BELLCAST_PROJECT (or the _FILE variable of either), or run this where "
    "{folder} is, the data folder of `bellcast serve`"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secret or API key for requests, and the project's public key if it is known."""

    secret: str = field(repr=False)
    key: str | None = None


def find_url(value: str | None, environ: Mapping[str, str] = os.environ) -> str:  # noqa: TID251  the app's environment
    """Return the server's URL: as given, BELLCAST_URL, the one stored in the data folder, or the default."""
    url = value or _variable("URL", environ)
    if not url:
        try:
            stored = msgspec.json.decode((_folder(environ) / "server.json").read_bytes(), type=dict[str, Any])
            found = stored.get("url")
            url = found if isinstance(found, str) else DEFAULT_URL
        except (OSError, ValueError):
            url = DEFAULT_URL
    if not url.startswith(("http://", "https://")):
        raise InvalidArgument("url", f"expected an address that begins with http:// or https://, got {url!r}")
    if url.rstrip("/").endswith("/v1"):
        raise InvalidArgument("url", f"expected the server's address without /v1, got {url!r}")
    return url.rstrip("/")


def find_credentials(value: str | Credentials | None, environ: Mapping[str, str] = os.environ) -> Credentials:  # noqa: TID251  the app's
    """Return the credentials: as given, BELLCAST_SECRET, BELLCAST_PROJECT, or those of the data folder.

    Raises NotConfigured if none are set or stored."""
    if isinstance(value, Credentials):
        _check("secret", value.secret)
        return value
    secret = value if value is not None else _variable("SECRET", environ)
    if secret is None:
        project = _project(environ)
        _check(
            "the secret of " + ("BELLCAST_PROJECT" if _variable("PROJECT", environ) else "project.json"), project.secret
        )
        return project
    _check("BELLCAST_SECRET" if value is None else "secret", secret)
    try:
        project = _project(environ)
    except NotConfigured:
        return Credentials(secret)
    return Credentials(secret, project.key if project.secret == secret else None)


def _check(source: str, secret: object) -> None:
    """Check that a secret can be sent in a header. The error names the argument or variable, not the value."""
    if not isinstance(secret, str) or not secret or not secret.isascii() or not secret.isprintable():
        raise InvalidArgument(source, "must be printable ASCII, and not empty")


def _project(environ: Mapping[str, str]) -> Credentials:
    """Return the project of BELLCAST_PROJECT, else that of the data folder. Raises NotConfigured."""
    if declared := _variable("PROJECT", environ):
        parts = declared.split(":", 2)
        if len(parts) != 3 or not all(parts):
            raise NotConfigured("BELLCAST_PROJECT: expected id:key:secret")
        return Credentials(parts[2], parts[1])
    folder = _folder(environ)
    file = folder / "project.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=Credentials)
    except (FileNotFoundError, NotADirectoryError):
        raise NotConfigured(HELP.format(folder=folder)) from None
    except (OSError, ValueError) as error:
        raise NotConfigured(f"{file} cannot be read: {error}") from None


def _variable(name: str, environ: Mapping[str, str]) -> str | None:
    """Return BELLCAST_<name>, else the content of the file named by BELLCAST_<name>_FILE. An empty value counts as
    unset."""
    value = environ.get(f"BELLCAST_{name}", "").strip()
    if value:
        return value
    file = environ.get(f"BELLCAST_{name}_FILE")
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError) as error:
        raise NotConfigured(f"BELLCAST_{name}_FILE: the file cannot be read: {error}") from None


def _folder(environ: Mapping[str, str]) -> Path:
    return Path(_variable("DATA", environ) or DATA_FOLDER).expanduser()
