"""Parsers of settings. A parser's docstring describes the expected text, in error messages and in the reference.
Parsers raise ValueError or KeyError for any other text, or SettingsError with what was expected of a part."""

import ipaddress
import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from bellcast.auth import origins, tokens
from bellcast.kernel import setting_values
from bellcast.kernel.brokers import history, nats_wire
from bellcast.kernel.errors import SettingsError
from bellcast.kernel.identities import Project
from bellcast.kernel.ip_addresses import is_server
from bellcast.kernel.setting_values import NameList
from bellcast.kernel.times import find_zone
from bellcast.operators import types
from bellcast.preferences.types import CHANNELS
from bellcast.templates import html

MASK = "…"
SQLITE = "sqlite:///"
MEMORY = "memory:"
POSTGRES = ("postgresql://", "postgres://")
REDIS = ("redis://", "rediss://", "unix://")
NATS = ("nats://", "tls://")
# The id and the key are parts of URLs.
CREDENTIALS = re.compile(r"([A-Za-z0-9_-]+):([A-Za-z0-9_-]+):(.+)")
# The last label of a name has a letter: others are wrong addresses.
HOST_NAME = re.compile(r"([\w-]{1,63}\.)*(?!\d+\.?$)[\w-]{1,63}\.?")
# Keys are secrets of any characters except commas.
KEY_WITH_ID = re.compile(r"([A-Za-z0-9_-]{1,32}):(.+)")
# PostgreSQL's driver checks parameters of the URL only when it connects.
POSTGRES_PARAMETERS = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
}
# Three tasks write. They leave connections for reads whenever one waits for work.
MIN_STORE_CONNECTIONS = 3


class Secret(str):
    """A string with a masked repr, so that logs and tracebacks do not contain it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


def port(value: str) -> int:
    """a port, 0 to 65535 (0: any free one)"""
    if setting_values.non_negative_int(value) > 65_535:
        raise ValueError(value)
    return int(value)


def store_connections(value: str) -> int:
    """a whole number, 3 or more"""
    if setting_values.non_negative_int(value) < MIN_STORE_CONNECTIONS:
        raise ValueError(value)
    return int(value)


def landing(value: str) -> bool | str:
    """on, off, or an http or https URL"""
    if "://" not in value:
        return setting_values.boolean(value)
    return quote(setting_values.url(value), safe="%/:?#[]@!$&'()*+,;=")  # a URL has only ASCII (RFC 3986)


def allow_deny(value: str) -> bool:
    """allow or deny"""
    return setting_values.boolean({"allow": "on", "deny": "off"}.get(value.lower(), value))


def topic_history(value: str) -> NameList:
    """a comma-separated list such as room-*=1h,presence-*=off,*=2m/1000"""
    history.parse_rules(setting_values.names(value))
    return setting_values.names(value)


def claims(value: str) -> tuple[str, ...]:
    """a list such as recipient=userId,roles=role; also tenant, name, topics, publish and since"""
    tokens.claim_names_of(setting_values.names(value))
    return setting_values.names(value)


def role_map(value: str) -> NameList:
    """a list such as bellcast-admins=owner,staff=viewer; * is every user"""
    types.roles_by_group(setting_values.names(value))
    return setting_values.names(value)


def scopes(value: str) -> tuple[str, ...]:
    """a list of scopes with openid, such as openid,profile,email"""
    found = setting_values.names(value.replace(" ", ","))
    if "openid" not in found:
        raise ValueError(value)
    return found


def issuer(value: str) -> str:
    """an http or https URL without query and fragment"""
    if "?" in value or "#" in value:
        raise ValueError(value)
    return setting_values.url(value)


def origin_list(value: str) -> NameList:
    """a comma-separated list of origins such as https://app.example.com, without a final slash or a path"""
    return tuple(origin(text) for text in setting_values.names(value))


def networks(value: str) -> NameList:
    """a comma-separated list of addresses and networks such as 10.0.0.0/8"""
    return tuple(str(ipaddress.ip_network(network, strict=False)) for network in setting_values.names(value))


def hosts(value: str) -> tuple[str, ...]:
    """a comma-separated list of host names, addresses and networks such as crm.internal, 10.0.0.5 or 10.0.0.0/8"""
    for name in setting_values.names(value):
        if not HOST_NAME.fullmatch(name):
            networks(name)
    return setting_values.names(value)


def folder(value: str) -> Path:
    """a folder"""
    # Other commands take JSON with `--data`; a folder of that name would be another, empty server.
    if value.startswith("{"):
        raise SettingsError("expected a folder, got JSON. For the data of a notification, use --payload")
    return Path(value).expanduser()


def store(value: str) -> str:
    """sqlite:///path (a fourth slash begins an absolute path) or postgresql://user:password@host/database"""
    if value.startswith(POSTGRES):
        return _server(value)
    if not value.startswith(SQLITE) or value == SQLITE:
        raise ValueError(value)
    return value


def database(value: str) -> str:
    """postgresql://user:password@host/database"""
    if not value.startswith(POSTGRES):
        raise ValueError(value)
    return _server(value)


def broker(value: str) -> str:
    """memory:, redis://host, rediss://host, nats://host,host, tls://host or postgresql://user:password@host/database"""
    if value.startswith(NATS):
        nats_wire.parse_url(value)
        return value
    return value if value == MEMORY else _server(value)


def _server(value: str) -> str:
    parts = urlsplit(value)
    server = parts.netloc.rpartition("@")[2]
    # PostgreSQL's driver tries several hosts in turn, and takes the encoded path of a socket.
    hosts = [host for host in server.split(",") if "%" not in host] if value.startswith(POSTGRES) else [server]
    is_usable = value.startswith(POSTGRES + REDIS) and all(not host or is_server(host) for host in hosts)
    if not is_usable or not (parts.netloc or parts.path):
        raise ValueError(value)
    for name, text in parse_qsl(parts.query, keep_blank_values=True) if value.startswith(POSTGRES) else ():
        allowed = POSTGRES_PARAMETERS.get(name, (text,))
        if text not in allowed:
            raise SettingsError(f"expected a URL with {name} {', '.join(allowed[:-1])} or {allowed[-1]}, got {text!r}.")
    return value


def import_path(value: str) -> str:
    """module:name, such as shop.bells:handlers"""
    module, _, name = value.partition(":")
    if not all(part.isidentifier() for part in f"{module}.{name}".split(".")):
        raise ValueError(value)
    return value


def module(value: str) -> str:
    """module or module:name, such as shop.flows:workflows"""
    name, colon, attribute = value.partition(":")
    parts = f"{name}.{attribute}" if colon else name
    if not all(part.isidentifier() for part in parts.split(".")):
        raise ValueError(value)
    return value


def credentials(value: str) -> Project:
    """id:key:secret of printable ASCII characters"""
    match = CREDENTIALS.fullmatch(value)
    if match is None:
        raise ValueError(value)
    return Project(match[1], match[2], header_secret(match[3]))


def log_level(value: str) -> str:
    """debug, info, warning or error"""
    return {name: name for name in ("debug", "info", "warning", "error")}[value.lower()]


def log_format(value: str) -> str:
    """console or json"""
    return {name: name for name in ("console", "json")}[value.lower()]


def access_log(value: str) -> str:
    """errors, all or off"""
    return {name: name for name in ("errors", "all", "off")}[value.lower()]


def origin(value: str) -> str:
    """an origin such as https://app.example.com"""
    canonical = origins.canonical(value)
    if canonical is None:
        raise ValueError(value)
    return canonical


def secret(value: str) -> Secret:
    """a secret"""
    value.encode()  # raises ValueError for lone surrogates, which cannot be signed
    return Secret(value)


def key_ring(value: str) -> tuple[tuple[str, str], ...] | None:
    """Split `id:key,id:key`; the first key encrypts. None for a single key without an id. Raises ValueError for a list
    with missing or duplicate ids."""
    parts = value.split(",")
    matches = [KEY_WITH_ID.fullmatch(part.strip()) for part in parts]
    if not any(matches):
        return None
    ring = tuple((match[1], match[2]) for match in matches if match is not None)
    if len(ring) < len(parts) or len({id for id, _ in ring}) < len(ring):
        raise ValueError("keys without ids, or with duplicate ids")
    return ring


def encryption_key(value: str) -> Secret:
    """a secret, or id:key,id:key with different ids"""
    key_ring(value)
    return secret(value)


def header_secret(value: str) -> Secret:
    """a secret of printable ASCII characters"""
    if not value.isascii() or not value.isprintable():  # it is sent in a header
        raise ValueError(value)
    return Secret(value)


def secrets(value: str) -> tuple[Secret, ...]:
    """a list of URLs of providers, each with its scheme, separated by commas"""
    urls = tuple(Secret(url) for url in setting_values.names(value))
    if not all("://" in url for url in urls):
        raise ValueError(value)
    return urls


def channels(value: str) -> NameList:
    """a list of channels: inbox, email, sms, push, chat"""
    if not set(setting_values.names(value)) <= set(CHANNELS):
        raise ValueError(value)
    return setting_values.names(value)


def brand(value: str) -> str:
    """a JSON object such as {"name": "Shop", "color": "#0a5c36"}"""
    html.read_brand(value)
    return value


def durations(value: str) -> tuple[float, ...]:
    """a list of durations such as 10s,2m,1h"""
    return tuple(setting_values.duration(one) for one in setting_values.names(value))


def timezone(value: str) -> str:
    """an IANA time zone such as Europe/Vienna"""
    if find_zone(value) is None:
        raise ValueError(value)
    return value
